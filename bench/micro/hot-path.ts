/**
 * Everything else that a session does often, and the two things it does once: presigning, and being scraped. Part of
 * `npm run bench:micro`.
 */
import { match, ok, strictEqual } from 'node:assert/strict'
import type * as Decode from '../../src/eventstream/decode.ts'
import type * as MetricsRegistry from '../../src/metrics/registry.ts'
import type * as ResultFormats from '../../src/protocol/result-formats.ts'
import type * as ResultsOutline from '../../src/transcribe/results-outline.ts'
import type * as Results from '../../src/transcribe/results.ts'
import type * as Presign from '../../src/upstream/presign.ts'
import { load } from './built.ts'
import { runMicroBench, type MicroGroup, type MicroRow } from './micro-bench.ts'
import { pcmOf } from './pcm.ts'
import { openSessionHop } from './session-hop.ts'
import { EVENT_KINDS, transcriptJson, transcriptMessage, type EventKind } from './transcripts.ts'

const FRAME_MS = 100
const BYTES_PER_MS = 32

async function createMetrics(): Promise<MetricsRegistry.RelayMetrics> {
  const registry = await load<typeof MetricsRegistry>('metrics/registry')
  return registry.createMetrics({
    version: '0.0.0',
    connectReasons: ['refused'],
    violationReasons: ['invalid_frame'],
    sources: {
      activeSessions: () => 1,
      maxSessions: () => 1000,
      sessionsAway: () => 0,
      admission: { refusals: () => 0, isClosed: () => false, load: () => 0 },
      isReady: () => true,
      isDraining: () => false,
      clientBufferedBytes: () => ({ sum: 0, max: 0 }),
      upstreamBufferedBytes: () => ({ sum: 0, max: 0 }),
      credentials: () => ({ refreshesOk: 1, refreshesFailed: 0, expiresAtMs: null }),
      logLines: () => ({ info: 1 }),
    },
  })
}

/** `pieceMs` of audio a client message. */
function audioRow(pieceMs: number): MicroRow {
  return {
    subject: 'audio, client to upstream',
    dimensions: { message: `${pieceMs} ms, ${pieceMs * BYTES_PER_MS} B` },
    async prepare() {
      const hop = await openSessionHop('', await createMetrics())
      const pcm = pcmOf(pieceMs * BYTES_PER_MS)
      const { decodeMessage } = await load<typeof Decode>('eventstream/decode')
      let sentBytes = 0
      return {
        run() {
          sentBytes += pcm.length
          hop.audio(pcm, pieceMs)
          return hop.lastFrame
        },
        check() {
          const messages = FRAME_MS / pieceMs
          for (let message = 0; message < messages; message += 1) hop.audio(pcm, pieceMs)
          strictEqual(hop.isClosed, false)
          strictEqual(hop.sentFrames, 1)
          const { payload } = decodeMessage(hop.lastFrame ?? Buffer.alloc(0))
          ok(payload.equals(Buffer.concat(Array.from({ length: messages }, () => pcm))), 'the audio')
          sentBytes += messages * pcm.length
        },
        checkAfter() {
          strictEqual(hop.isClosed, false, 'the session lives')
          strictEqual(hop.sentFrames, Math.floor(sentBytes / (FRAME_MS * BYTES_PER_MS)), 'nothing was lost')
        },
      }
    },
  }
}

function resultRow(eventKind: EventKind, query: string): MicroRow {
  return {
    subject: `result, upstream to client, ${query}`,
    dimensions: { message: eventKind.kind },
    async prepare() {
      const hop = await openSessionHop(query, await createMetrics())
      const message = await transcriptMessage(eventKind)
      // Begin was sent.
      let expectedTexts = hop.sentTexts
      return {
        run() {
          expectedTexts += 1
          hop.result(message)
          return hop.lastText
        },
        check() {
          expectedTexts += 1
          hop.result(message)
          match(hop.lastText, /^\{"type":"Transcript".*the quick/)
        },
        checkAfter() {
          strictEqual(hop.isClosed, false, 'the session lives')
          strictEqual(hop.sentTexts, expectedTexts, 'every result was delivered')
        },
      }
    },
  }
}

const hop: MicroGroup = {
  id: 'session-hop',
  title: 'One session, without sockets',
  text: [
    'A real session with its metrics between ports that only count: everything the relay does for one message beside reading and writing sockets. Audio is 16 kHz mono; ' +
      'a message of 100 ms passes as it is, five of 20 ms are joined to one frame. A result is decoded, parsed, checked, and written in the client’s format.',
  ],
  charts: [],
  reference: '',
  rows: [
    audioRow(100),
    audioRow(20),
    ...['format=simple', 'format=simple&words=true', 'format=aws'].flatMap(query =>
      EVENT_KINDS.map(eventKind => resultRow(eventKind, query)),
    ),
  ],
}

const sameTime: ResultFormats.ClientTime = seconds => seconds

function flattenRow(eventKind: EventKind, words: boolean): MicroRow {
  return {
    subject: words ? 'flatten, with words' : 'flatten',
    dimensions: { event: eventKind.kind },
    async prepare() {
      const { parseTranscriptEvent } = await load<typeof Results>('transcribe/results')
      const { simpleTranscript } = await load<typeof ResultFormats>('protocol/result-formats')
      const [result] = parseTranscriptEvent(transcriptJson(eventKind)).Transcript.Results
      if (result === undefined) throw new Error('an event without a result')
      const run = () => simpleTranscript(result, 1, words, sameTime)
      return {
        run,
        check() {
          const items = result.Alternatives?.[0]?.Items ?? []
          strictEqual(run().text, items.map(({ Content }) => Content).join(' '))
          strictEqual(run().words?.length, words ? items.length : undefined)
          strictEqual(run().end, items.at(-1)?.EndTime)
        },
      }
    },
  }
}

function parseRow(eventKind: EventKind): MicroRow {
  return {
    subject: 'parse and check the JSON',
    dimensions: { event: eventKind.kind },
    async prepare() {
      const { parseTranscriptEvent } = await load<typeof Results>('transcribe/results')
      const json = transcriptJson(eventKind)
      return {
        run: () => parseTranscriptEvent(json),
        check: () => strictEqual(JSON.stringify(parseTranscriptEvent(json)), json),
      }
    },
  }
}

/** What a partial result is read as when nobody looks at its words. */
function outlineRow(eventKind: EventKind): MicroRow {
  return {
    subject: 'parse, outline',
    dimensions: { event: eventKind.kind },
    async prepare() {
      const { parseOutline } = await load<typeof ResultsOutline>('transcribe/results-outline')
      const json = transcriptJson(eventKind)
      return {
        run: () => parseOutline(json),
        check() {
          const text = parseOutline(json)?.Transcript.Results[0]?.Alternatives?.[0]?.Transcript
          match(text ?? '', /^the quick/)
        },
      }
    },
  }
}

const flatten: MicroGroup = {
  id: 'flatten',
  title: 'From a result to the simple format',
  text: [
    'The two parts of a result’s way that grow with the number of words. An outline leaves the words out: of a partial result, when the client gets its text or its bytes as they came.',
  ],
  charts: [],
  reference: '',
  rows: EVENT_KINDS.flatMap(eventKind => [
    parseRow(eventKind),
    ...(eventKind.isFinal ? [] : [outlineRow(eventKind)]),
    flattenRow(eventKind, false),
    flattenRow(eventKind, true),
  ]),
}

const presign: MicroGroup = {
  id: 'presign',
  title: 'Presigning',
  text: ['Once a session. The signing key of a day is kept by the signer; everything else is computed.'],
  charts: [],
  reference: '',
  rows: [
    {
      subject: 'presign a URL',
      dimensions: { parameters: 3 },
      async prepare() {
        const { presignUrl } = await load<typeof Presign>('upstream/presign')
        const run = () =>
          presignUrl({
            host: 'transcribestreaming.us-east-1.amazonaws.com:8443',
            path: '/stream-transcription-websocket',
            secure: true,
            region: 'us-east-1',
            parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
            credentials: {
              accessKeyId: 'AKIDEXAMPLE',
              secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
            },
            signingDateMs: Date.UTC(2025, 0, 2, 3, 4, 5, 678),
            expiresSeconds: 300,
          })
        return {
          run,
          check: async () =>
            match(
              (await run()).reveal(),
              /X-Amz-Signature=33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a/,
            ),
        }
      },
    },
  ],
}

const metrics: MicroGroup = {
  id: 'metrics',
  title: 'Metrics',
  text: [
    'What the hot path pays: fields of an object for each frame, one histogram observation for each result. A scrape renders every series.',
  ],
  charts: [],
  reference: '',
  rows: [
    {
      subject: 'count a frame',
      dimensions: { what: 'five fields' },
      async prepare() {
        const counted = await createMetrics()
        return {
          run() {
            counted.clientAudioMessages += 1
            counted.clientAudioBytes += 3200
            counted.clientAudioSeconds += 0.1
            counted.upstreamFrames += 1
            counted.upstreamAudioBytes += 3200
            return counted.upstreamFrames
          },
          check: async () => match((await counted.scrape()).body, /client_audio_bytes_total 0\n/),
        }
      },
    },
    {
      subject: 'observe a lag',
      dimensions: { what: 'histogram' },
      async prepare() {
        const observed = await createMetrics()
        return {
          run: () => observed.observePartialLagSeconds(0.31),
          async check() {
            observed.observePartialLagSeconds(0.31)
            match((await observed.scrape()).body, /partial_lag_seconds_count 1\n/)
          },
        }
      },
    },
    {
      subject: 'scrape',
      dimensions: { what: 'all series' },
      async prepare() {
        const scraped = await createMetrics()
        return {
          run: () => scraped.scrape(),
          check: async () => match((await scraped.scrape()).body, /^# HELP /),
        }
      },
    },
  ],
}

await runMicroBench(
  {
    name: 'hot-path',
    title: 'The rest of the hot path',
    method: [
      'Every row is checked like the others: the audio that arrives, the text of a result, a known signature.',
    ],
    misleads: [
      'A session hop has no socket: a relay’s cost a frame is this plus two system calls, TLS and the framing of two WebSockets.',
      'One session alone keeps everything it touches in the cache; a thousand do not.',
    ],
    groups: [hop, flatten, presign, metrics],
    bars: () => [],
  },
  import.meta.url,
)
