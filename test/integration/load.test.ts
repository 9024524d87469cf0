/**
 * Two hundred people speak at once, in real time, through one relay in a process of its own: every byte arrives, every
 * word comes back, nobody is dropped. How much it took is printed, not judged. `LOAD_SECONDS` and `LOAD_SESSIONS` change
 * the size.
 */
import t from 'tap'
import { startCli, TEST_KEYS } from '../support/cli.ts'
import { startEmulatorProcess } from '../support/emulator-process.ts'
import { growth, scrapeMetrics } from '../support/metric-values.ts'
import { usageOf } from '../support/process-usage.ts'
import { RelayClient } from '../support/relay-client.ts'
import { readSpeech, sha256 } from '../support/speech.ts'

const seconds = Number(process.env['LOAD_SECONDS'] ?? 10)
const sessions = Number(process.env['LOAD_SESSIONS'] ?? 200)
const CHUNK_MS = 100
const CHUNK_BYTES = 3200
/** The clients do not send in step: each has one of these phases. */
const PHASES = 10
const PHASE_MS = CHUNK_MS / PHASES

const speeches = readSpeech()

/** The recordings with pauses between them, from the n-th on, again and again. */
function monologue(first: number): { pcm: Buffer; words: readonly string[] } {
  const pause = Buffer.alloc(32_000)
  const parts: Buffer[] = []
  const words: string[] = []
  const wantedBytes = Math.floor((seconds * 1000) / CHUNK_MS) * CHUNK_BYTES
  for (let bytes = 0, index = first; bytes < wantedBytes; index++) {
    const speech = speeches[index % speeches.length]
    if (speech === undefined) throw new Error('the recordings are missing')
    parts.push(speech.pcm, pause)
    bytes += speech.pcm.length + pause.length
    // The last one may be cut off in the middle.
    if (bytes <= wantedBytes) words.push(...speech.words)
  }
  return { pcm: Buffer.concat(parts).subarray(0, wantedBytes), words }
}

/** One person: the audio begins with a mark of its own, so that no two are the same. */
class Speaker {
  readonly client: RelayClient
  readonly words: readonly string[]
  readonly pcm: Buffer
  readonly sentAtMs: number[] = []

  constructor(
    client: RelayClient,
    number: number,
    { pcm, words }: { pcm: Buffer; words: readonly string[] },
  ) {
    this.client = client
    this.words = words
    this.pcm = Buffer.from(pcm)
    this.pcm.writeUInt16LE(number, 0)
  }

  get isDone(): boolean {
    return this.sentAtMs.length * CHUNK_BYTES >= this.pcm.length
  }

  speak(): void {
    const start = this.sentAtMs.length * CHUNK_BYTES
    this.client.send(this.pcm.subarray(start, start + CHUNK_BYTES))
    this.sentAtMs.push(performance.now())
    if (this.isDone) this.client.say({ type: 'CloseStream' })
  }

  /** From the sending of audio to the partial result that ends with it, ms. */
  lagsMs(): readonly number[] {
    return this.client.messages.flatMap((message, index) => {
      if (message.type !== 'Transcript' || message['is_final'] === true) return []
      const chunk = Math.max(0, Math.ceil((Number(message['end']) * 1000) / CHUNK_MS) - 1)
      const sentAtMs = this.sentAtMs[chunk]
      const receivedAtMs = this.client.receivedAtMs[index]
      return sentAtMs === undefined || receivedAtMs === undefined ? [] : [receivedAtMs - sentAtMs]
    })
  }
}

/** One pacer for all: at each beat the speakers of one phase are due, late beats are caught up. */
async function speakAll(speakers: readonly Speaker[]): Promise<void> {
  const startMs = performance.now()
  let beats = 0
  const pacer = setInterval(() => {
    const dueBeats = Math.floor((performance.now() - startMs) / PHASE_MS)
    for (; beats < dueBeats; beats++) {
      for (let index = beats % PHASES; index < speakers.length; index += PHASES) {
        const speaker = speakers[index]
        if (speaker !== undefined && !speaker.isDone) speaker.speak()
      }
    }
  }, PHASE_MS)
  await Promise.all(speakers.map(({ client }) => client.closed))
  clearInterval(pacer)
}

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN).toFixed(1)
}

t.test(`${sessions} sessions in real time for ${seconds} s`, { timeout: (seconds + 90) * 1000 }, async t => {
  const emulator = await startEmulatorProcess(t)
  const local = ['--host', '127.0.0.1', '--port', '0', '--ops-host', '127.0.0.1', '--ops-port', '0']
  const relay = startCli(['serve', '--region', 'us-east-1', '--endpoint', emulator.url, ...local], TEST_KEYS)
  t.teardown(() => relay.child.kill('SIGKILL'))
  const [, url = '', opsUrl = ''] = await relay.waitFor(/"listening":"([^"]+)","operations":"([^"]+)"/)
  const pid = relay.child.pid ?? 0
  const monologues = speeches.map((_, first) => monologue(first))

  const before = usageOf(pid)
  const speakers = await Promise.all(
    Array.from({ length: sessions }, async (_, number) => {
      const client = await RelayClient.open(t, url)
      return new Speaker(client, number, monologues[number % monologues.length] ?? monologue(0))
    }),
  )
  await Promise.all(speakers.map(({ client }) => client.waitFor('Begin')))
  const opened = usageOf(pid)
  const startedMs = performance.now()
  await speakAll(speakers)
  const elapsedSeconds = (performance.now() - startedMs) / 1000
  const after = usageOf(pid)

  const heard = new Map((await emulator.streams()).map(stream => [stream.sessionId, stream]))
  const wrong = speakers.filter(({ client, pcm, words }) => {
    const stream = heard.get(String(client.of('Begin')[0]?.['session_id']))
    const text = client.words().slice(0, words.length).join(' ')
    return !(
      client.messages.at(-1)?.type === 'End' &&
      stream?.closeCause === 'completed' &&
      stream.audioBytes === pcm.length &&
      stream.sha256 === sha256(pcm) &&
      text === words.join(' ')
    )
  })
  t.equal(wrong.length, 0, 'everybody was heard whole and understood')
  const codes = await Promise.all(speakers.map(async ({ client }) => (await client.closed).code))
  t.strictSame(new Set(codes), new Set([1000]))
  const bytes = speakers.reduce((sum, { pcm }) => sum + pcm.length, 0)
  t.strictSame(
    growth(new Map(), await scrapeMetrics(opsUrl), [
      'sessions_closed_total',
      'client_audio_bytes_total',
      'upstream_audio_bytes_total',
      'upstream_connects_total',
      'audio_dropped_bytes_total',
      'partials_dropped_total',
      'warnings_total',
      'log_lines_lost_total',
    ]),
    {
      'sessions_closed_total{class="ok",reason="normal"}': sessions,
      client_audio_bytes_total: bytes,
      upstream_audio_bytes_total: bytes,
      'upstream_connects_total{outcome="ok",reason="none"}': sessions,
    },
  )
  const lagsMs = speakers.flatMap(speaker => speaker.lagsMs()).toSorted((a, b) => a - b)
  const cpuPercent = ((after.cpuSeconds - opened.cpuSeconds) / elapsedSeconds) * 100
  t.comment(
    `relay: ${cpuPercent.toFixed(0)} % of a processor, RSS ${before.residentMiB} MiB idle, ${after.residentMiB} MiB loaded, ${after.peakResidentMiB} MiB at most`,
  )
  t.comment(
    `lag of ${lagsMs.length} partial results: p50 ${quantile(lagsMs, 0.5)} ms, p99 ${quantile(lagsMs, 0.99)} ms, max ${quantile(lagsMs, 1)} ms`,
  )
  relay.child.kill('SIGTERM')
  t.equal((await relay.result).code, 0, 'the relay stops in order')
})
