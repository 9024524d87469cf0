/**
 * The event-stream codec on audio: ours, the AWS SDK's, and the floor below both. `npm run bench:framing`.
 *
 * Comments in src/eventstream/ name rows of this file. If a row goes, so does the trick that it stands for.
 */
import { ok, strictEqual } from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type * as AudioEvent from '../../src/eventstream/audio-event.ts'
import type * as Decode from '../../src/eventstream/decode.ts'
import type * as FrameMemory from '../../src/session/frame-memory.ts'
import { barOf, type Bar } from '../results-format.ts'
import { checkFirstFrame, sdkCodec, sdkEncodeAudioEvent, SdkStream } from './aws-sdk.ts'
import { load } from './built.ts'
import { copyAndCrc, FLOOR, FLOOR_WITH_MEMORY, allocateFromPool } from './floor.ts'
import { partGroups } from './framing-parts.ts'
import { runMicroBench, TIME, type MicroGroup, type MicroRow, type Outcome } from './micro-bench.ts'
import { pcmOf } from './pcm.ts'

const OURS = 'transcribe-relay'
/** As in the relay: frames are kept until results cover them, and their memory is used again. */
const OURS_RECYCLED = 'transcribe-relay, recycled memory'
const SMITHY = '@smithy/eventstream-codec'
const SDK = 'AWS SDK: encode, sign, encode'
const CRC_FLOOR = 'floor: CRC'

/** 20, 50, 100 and 200 ms at 16 kHz; 100 ms at 48 kHz; a second at 16 kHz, the most the service takes at once. */
const AUDIO_BYTES = [640, 1600, 3200, 6400, 9600, 32_000] as const

/** Three seconds of 100 ms: about how much a session keeps. */
const KEPT_FRAMES = 30

const loadAudioEvent = () => load<typeof AudioEvent>('eventstream/audio-event')

function encodeRows(audioBytes: number): MicroRow[] {
  const dimensions = { 'audio bytes': audioBytes }
  const pcm = pcmOf(audioBytes)
  const expected = () => Buffer.from(sdkEncodeAudioEvent(pcm))
  return [
    {
      subject: OURS,
      dimensions,
      async prepare() {
        const { encodeAudioEvent } = await loadAudioEvent()
        return {
          run: () => encodeAudioEvent(pcm),
          check: () => ok(encodeAudioEvent(pcm).equals(expected()), 'the bytes of the AWS codec'),
        }
      },
    },
    {
      subject: OURS_RECYCLED,
      dimensions,
      async prepare() {
        const { writeAudioEvent, AUDIO_OVERHEAD_BYTES } = await loadAudioEvent()
        const { createFrameMemory } = await load<typeof FrameMemory>('session/frame-memory')
        const memory = createFrameMemory()
        const kept: Buffer[] = []
        const run = () => {
          const frame = writeAudioEvent(memory.take(AUDIO_OVERHEAD_BYTES + audioBytes), pcm)
          kept.push(frame)
          const oldest = kept.length > KEPT_FRAMES ? kept.shift() : undefined
          if (oldest !== undefined) memory.give(oldest)
          return frame
        }
        return {
          run,
          check() {
            for (let frame = 0; frame < KEPT_FRAMES * 2; frame += 1) run()
            ok(
              kept.every(frame => frame.equals(expected())),
              'the bytes of the AWS codec, in every frame that is kept',
            )
          },
        }
      },
    },
    {
      subject: SMITHY,
      dimensions,
      prepare: () => ({
        run: () => sdkEncodeAudioEvent(pcm),
        check: () => ok(Buffer.from(sdkCodec.decode(expected()).body).equals(pcm), 'the audio, read back'),
      }),
    },
    {
      subject: SDK,
      dimensions,
      prepare() {
        const stream = new SdkStream()
        return {
          run: () => stream.encodeFrame(pcm),
          check: async () => checkFirstFrame(await new SdkStream().encodeFrame(pcm), pcm),
        }
      },
    },
    floorRow(FLOOR, dimensions, pcm, frame => () => frame),
    floorRow(FLOOR_WITH_MEMORY, dimensions, pcm, frame => () => allocateFromPool(frame.length)),
  ]
}

/** `takeFrame`: from a frame that is there to the way of getting one for each call. */
function floorRow(
  subject: string,
  dimensions: MicroRow['dimensions'],
  pcm: Buffer,
  takeFrame: (frame: Buffer) => () => Buffer,
): MicroRow {
  return {
    subject,
    dimensions,
    async prepare() {
      const { encodeAudioEvent, AUDIO_OVERHEAD_BYTES, AUDIO_PAYLOAD_OFFSET } = await loadAudioEvent()
      const message = encodeAudioEvent(pcm)
      const headCrc = crc32(message.subarray(0, AUDIO_PAYLOAD_OFFSET))
      const take = takeFrame(Buffer.alloc(pcm.length + AUDIO_OVERHEAD_BYTES))
      const run = () => {
        const frame = take()
        frame.writeUInt32BE(copyAndCrc(frame, pcm, AUDIO_PAYLOAD_OFFSET, headCrc), frame.length - 4)
        return frame
      }
      return {
        run,
        check: () =>
          strictEqual(
            run().subarray(AUDIO_PAYLOAD_OFFSET).compare(message.subarray(AUDIO_PAYLOAD_OFFSET)),
            0,
            'audio and CRC of the message',
          ),
      }
    },
  }
}

function decodeRows(audioBytes: number): MicroRow[] {
  const dimensions = { 'audio bytes': audioBytes }
  const pcm = pcmOf(audioBytes)
  const message = Buffer.from(sdkEncodeAudioEvent(pcm))
  return [
    {
      subject: OURS,
      dimensions,
      async prepare() {
        const { decodeMessage } = await load<typeof Decode>('eventstream/decode')
        return {
          run: () => decodeMessage(message),
          check() {
            const { headers, payload } = decodeMessage(message)
            ok(payload.equals(pcm), 'the audio')
            strictEqual(headers.get(':event-type')?.value, 'AudioEvent')
            strictEqual(headers.size, 3)
          },
        }
      },
    },
    {
      subject: SMITHY,
      dimensions,
      prepare: () => ({
        run: () => sdkCodec.decode(message),
        check: () => ok(Buffer.from(sdkCodec.decode(message).body).equals(pcm), 'the audio'),
      }),
    },
    {
      subject: CRC_FLOOR,
      dimensions,
      prepare: () => ({
        run: () => crc32(message),
        check: () => strictEqual(crc32(message.subarray(0, -4)), message.readUInt32BE(message.length - 4)),
      }),
    },
  ]
}

const encode: MicroGroup = {
  id: 'encode',
  title: 'Encoding an AudioEvent',
  text: [
    'Audio in, one whole message out. All encoders of the unsigned message give the same bytes. The SDK signs every frame and wraps it into ' +
      'a second message; a relay that sends unsigned frames over a WebSocket has none of that to do. The SDK’s streams are left out.',
    `There are two floors. “${FLOOR}” writes into memory that is there and warm, always the same: no frame that ` +
      `outlives the call can cost so little. “${FLOOR_WITH_MEMORY}” copies and computes the same into a Buffer of its own for each frame, as an encoder has to that gives frames away.`,
    `“${OURS}” is the public encoder, whose frames belong to the caller. “${OURS_RECYCLED}” is the relay’s way: it keeps the last ${KEPT_FRAMES} frames, as for a replay, and uses the memory of the oldest again.`,
  ],
  charts: [
    {
      id: 'framing-encode',
      title: 'Encoding an AudioEvent',
      kind: 'bar',
      figure: TIME,
      dimension: 'audio bytes',
      scale: 'log',
    },
  ],
  reference: OURS,
  rows: AUDIO_BYTES.flatMap(encodeRows),
}

const decode: MicroGroup = {
  id: 'decode-audio',
  title: 'Decoding an AudioEvent',
  text: ['One whole message in, headers and a view of the audio out, both checksums verified.'],
  charts: [
    {
      id: 'framing-decode',
      title: 'Decoding an AudioEvent',
      kind: 'bar',
      figure: TIME,
      dimension: 'audio bytes',
      scale: 'log',
    },
  ],
  reference: OURS,
  rows: AUDIO_BYTES.flatMap(decodeRows),
}

function bars(outcome: Outcome): Bar[] {
  const against = (
    other: string,
    bytes: number,
    relation: Bar['relation'],
    limit: number,
    subject = OURS,
  ): Bar => {
    const [own, compared] = [`encode/${subject}/${bytes}`, `encode/${other}/${bytes}`]
    const isFloor = relation === 'at most'
    return barOf({
      id: `encode-${bytes}-${other}`,
      title: `encode ${bytes} B${subject === OURS ? '' : ' into recycled memory'}, against “${other}”`,
      relation,
      limit,
      figure: isFloor ? outcome.ratio(own, compared) : outcome.ratio(compared, own),
      explanation: isFloor ? explainFloor(outcome, bytes, subject) : explainSpeedUp(outcome, bytes),
    })
  }
  return [
    against(SMITHY, 640, 'at least', 25),
    against(SMITHY, 3200, 'at least', 20),
    against(FLOOR, 3200, 'at most', 1.5, OURS_RECYCLED),
    against(FLOOR_WITH_MEMORY, 3200, 'at most', 1.5),
  ]
}

function explainSpeedUp(outcome: Outcome, bytes: number): string[] {
  const [own, floor, withMemory, smithy] = [OURS, FLOOR, FLOOR_WITH_MEMORY, SMITHY].map(subject =>
    outcome.medianNs(`encode/${subject}/${bytes}`),
  ) as [number, number, number, number]
  return [
    `${SMITHY} takes ${smithy.toFixed(0)} ns, ours ${own.toFixed(0)} ns. On a Node.js that has one, the codec of the AWS SDK uses the ` +
      `native CRC too, so both share most of what is left: copy and CRC take ${floor.toFixed(0)} ns, ${withMemory.toFixed(0)} ns with memory for the frame. ` +
      `An encoder that did nothing else would be at ${(smithy / withMemory).toFixed(1)}×.`,
  ]
}

function explainFloor(outcome: Outcome, bytes: number, subject: string): string[] {
  const own = outcome.medianNs(`encode/${subject}/${bytes}`)
  const floor = outcome.medianNs(`encode/${FLOOR}/${bytes}`)
  const withMemory = outcome.medianNs(`encode/${FLOOR_WITH_MEMORY}/${bytes}`)
  return [
    `Of ${own.toFixed(0)} ns, ${floor.toFixed(0)} ns are copy and CRC. A frame from Node’s pool costs ${(withMemory - floor).toFixed(0)} ns more than one that ` +
      'is there and warm, for its object, its memory, and writing to memory that is not in the cache. Recycled frames spare the first two; the last remains, because what is kept for a replay cannot be written to.',
  ]
}

await runMicroBench(
  {
    name: 'framing',
    title: 'Framing',
    method: [
      'Audio is pseudo-random 16-bit PCM. Encoded bytes are compared with those of the AWS codec, chunk signatures with an HMAC computed by hand.',
    ],
    misleads: [
      'A loop over one frame keeps its audio and its code in the cache. In a relay other sessions, the socket and TLS come in between, and every row is slower.',
      'Microseconds a frame are not what a relay costs. System calls, TLS and the WebSocket’s mask cost tens of times more, see the sections on load.',
      'The ratio to the SDK’s path compares a signed frame with an unsigned one. That is the point of sending unsigned frames, not of writing quicker code.',
    ],
    groups: [encode, decode, ...partGroups],
    bars,
  },
  import.meta.url,
)
