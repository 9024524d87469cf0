/**
 * TranscriptEvents as the service sends them, decoded: ours, the AWS SDK's codec, and the CRC alone. Part of
 * `npm run bench:micro`.
 */
import { ok, strictEqual } from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type * as Decode from '../../src/eventstream/decode.ts'
import { barOf, type Bar } from '../results-format.ts'
import { sdkCodec } from './aws-sdk.ts'
import { load } from './built.ts'
import { runMicroBench, TIME, type MicroGroup, type MicroRow, type Outcome } from './micro-bench.ts'
import { EVENT_KINDS, transcriptJson, transcriptMessage, type EventKind } from './transcripts.ts'

const OURS = 'transcribe-relay'
const SMITHY = '@smithy/eventstream-codec'
const FLOOR = 'floor: CRC'

function rows(eventKind: EventKind): MicroRow[] {
  const dimensions = { event: eventKind.kind }
  const json = transcriptJson(eventKind)
  return [
    {
      subject: OURS,
      dimensions,
      async prepare() {
        const { decodeMessage } = await load<typeof Decode>('eventstream/decode')
        const message = await transcriptMessage(eventKind)
        return {
          run: () => decodeMessage(message),
          check() {
            const { headers, payload } = decodeMessage(message)
            strictEqual(payload.toString(), json)
            strictEqual(headers.get(':event-type')?.value, 'TranscriptEvent')
            strictEqual(headers.size, 3)
          },
        }
      },
    },
    {
      subject: SMITHY,
      dimensions,
      async prepare() {
        const message = await transcriptMessage(eventKind)
        return {
          run: () => sdkCodec.decode(message),
          check() {
            const { headers, body } = sdkCodec.decode(message)
            strictEqual(Buffer.from(body).toString(), json)
            strictEqual(headers[':event-type']?.value, 'TranscriptEvent')
          },
        }
      },
    },
    {
      subject: FLOOR,
      dimensions,
      async prepare() {
        const message = await transcriptMessage(eventKind)
        const covered = message.length - 4
        return {
          run: () => crc32(message),
          check: () => ok(crc32(message.subarray(0, covered)) === message.readUInt32BE(covered), 'the CRC'),
        }
      },
    },
  ]
}

const decode: MicroGroup = {
  id: 'decode',
  title: 'Decoding a TranscriptEvent',
  text: [
    'One whole message in, headers and a view of the JSON out, both checksums verified; the JSON is not parsed. 0.3 KB is a short partial ' +
      'result, 2 KB a sentence, 8 KB a long final one. The floor is one CRC over the message.',
  ],
  charts: [
    {
      id: 'decode',
      title: 'Decoding a TranscriptEvent',
      kind: 'bar',
      figure: TIME,
      dimension: 'event',
      scale: 'log',
    },
  ],
  reference: OURS,
  rows: EVENT_KINDS.flatMap(rows),
}

function bars(outcome: Outcome): Bar[] {
  const [own, smithy, floor] = [OURS, SMITHY, FLOOR].map(subject => `decode/${subject}/2 KB`) as [
    string,
    string,
    string,
  ]
  const [ownNs, smithyNs, floorNs] = [
    outcome.medianNs(own),
    outcome.medianNs(smithy),
    outcome.medianNs(floor),
  ]
  return [
    barOf({
      id: 'decode-2-KB',
      title: `decode a 2 KB event with both CRCs, against “${SMITHY}”`,
      relation: 'at least',
      limit: 5,
      figure: outcome.ratio(smithy, own),
      explanation: [
        `${SMITHY} takes ${smithyNs.toFixed(0)} ns, ours ${ownNs.toFixed(0)} ns, of which ${floorNs.toFixed(0)} ns are the CRC of the message. ` +
          `Both have it from Node.js, whose x64 builds compute it with tables, not with vector instructions; a decoder that did nothing else would be at ${(smithyNs / floorNs).toFixed(1)}×. ` +
          'The rest of ours is the view of the payload, the comparison of the headers with those before, and the lengths.',
      ],
    }),
  ]
}

await runMicroBench(
  {
    name: 'decode',
    title: 'Decoding results',
    method: [
      'Events are made of words with times, as in real results; a decoder must give back headers and JSON.',
    ],
    misleads: [
      'The same headers come again and again, and our decoder remembers them: a peer that changed them with every message would ' +
        'find it slower by a decoded header block (the “memo miss” row of framing).',
      'The rest of a result’s way (parsing JSON, flattening, writing JSON) costs several times more than decoding the message.',
    ],
    groups: [decode],
    bars,
  },
  import.meta.url,
)
