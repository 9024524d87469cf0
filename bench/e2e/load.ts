/**
 * `npm run bench:load`: paced real speech against any relay, from processes of its own. Ramp, steady, stop.
 *
 * Without `--url` it starts our relay and the bench's upstream here. With `--pid` the relay's CPU and memory are read from
 * the kernel, when it runs on this machine.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { FlagError, runCommand, type BenchPage, type FlagTable, type FlagValues } from '../command-line.ts'
import { figureOf, writeResults, type Figure, type ResultsPayload } from '../results-format.ts'
import { makeCertificate } from './certificates.ts'
import { takeCode } from './code.ts'
import { Fleet, type FleetReport } from './fleet.ts'
import { MAX_LOAD_SHARE, measure, type Measurement } from './measure.ts'
import { ProgressLine, table } from './progress.ts'
import { SCENARIOS, smokeOf, type Scenario } from './scenarios.ts'
import { readProcess } from './usage.ts'

/** Audio that is sent there is billed by the second. */
const AMAZON_HOST = /(^|\.)(amazonaws\.com(\.cn)?|amazonaws\.eu|api\.aws)$/
const PROGRESS_MS = 1000
const RAMP_GRACE_MS = 15_000
const MIB = 1024 * 1024

/** Arguments can be read by every user of the machine. */
const TOKEN_ENV = 'TRANSCRIBE_TOKEN'
const FROM_DOC = 'Code of our relay: dist, or src through tsx (not for figures)'
const PAGE = {
  command: 'npm run bench:load',
  about:
    'Paced real speech against a relay: ramp, steady, stop. Without --url it starts our relay here, with an upstream of the bench.',
  flags: {
    url: {
      kind: 'text',
      value: 'URL',
      doc: 'A relay that runs already, like wss://relay.example.com/v1/stream',
    },
    token: {
      kind: 'text',
      value: 'TOKEN',
      doc: `Shown to it as Authorization: Bearer; better in ${TOKEN_ENV}`,
    },
    pid: {
      kind: 'text',
      value: 'PID',
      doc: 'Its process on this machine: CPU and memory are read from the kernel',
    },
    ca: { kind: 'text', value: 'FILE', doc: 'Certificates (PEM) that its own is checked by' },
    sessions: { kind: 'number', value: 'N', default: 100, min: 1, max: 20_000, doc: 'Sessions at a time' },
    seconds: { kind: 'number', value: 'N', default: 30, min: 1, max: 86_400, doc: 'How long is measured' },
    'warm-up': { kind: 'number', value: 'SECONDS', default: 5, min: 0, max: 3600, doc: 'Before that' },
    ramp: { kind: 'number', value: 'N', default: 50, min: 1, max: 1_000_000, doc: 'New sessions a second' },
    'chunk-ms': { kind: 'number', value: 'MS', default: 100, min: 10, max: 1000, doc: 'Audio in a message' },
    'sample-rate': {
      kind: 'number',
      value: 'HZ',
      default: 16_000,
      min: 8000,
      max: 48_000,
      doc: 'Of the audio',
    },
    processes: { kind: 'number', value: 'N', default: 1, min: 1, max: 64, doc: 'Load generators' },
    directory: { kind: 'text', value: 'DIR', doc: 'Where the JSON goes instead of bench/results' },
    from: { kind: 'text', value: 'dist|src', default: 'dist', doc: FROM_DOC },
    smoke: { kind: 'switch', doc: 'Ten sessions for a second: shows that it works' },
    'i-pay-for-amazon': { kind: 'switch', doc: 'Allows --url to be Amazon itself, which bills the audio' },
  },
} as const satisfies BenchPage<FlagTable>
type Flags = FlagValues<typeof PAGE.flags>

const progress = new ProgressLine()

await runCommand(PAGE, flags => (flags.url === undefined ? loadHere(flags) : loadThere(flags, flags.url)))

/** Our relay on this machine, with the lean upstream. */
async function loadHere(flags: Flags): Promise<void> {
  const [speech] = SCENARIOS
  if (speech === undefined) throw new RangeError('there is no scenario')
  const wanted: Scenario = {
    ...speech,
    id: 'load',
    title: 'load on our relay',
    sessions: flags.sessions,
    chunkMs: flags['chunk-ms'],
    sampleRateHz: flags['sample-rate'],
    rampPerSecond: flags.ramp,
    warmupMs: Math.max(1, flags['warm-up'] * 1000),
    steadyMs: flags.seconds * 1000,
  }
  const scenario = flags.smoke ? smokeOf(wanted) : wanted
  const code = takeCode(flags.from)
  const certificate = makeCertificate()
  try {
    const measurement = await measure('ours', scenario, {
      certificate,
      entryFile: code.entryFile,
      generators: flags.processes,
      profileFolder: null,
      onProgress: text => progress.show(text),
    })
    await report(
      flags,
      figuresOfMeasurement(measurement),
      measurement.errors,
      measurement.doubts,
      scenario.sessions,
    )
  } finally {
    certificate.remove()
    code.remove()
  }
}

/** A relay that somebody else runs. */
async function loadThere(flags: Flags, text: string): Promise<void> {
  if (!URL.canParse(text)) throw new FlagError(`--url must be a URL, got ${text}`)
  const url = new URL(text)
  if (url.protocol !== 'ws:' && url.protocol !== 'wss:') {
    throw new FlagError(`--url must begin with ws:// or wss://, got ${url.protocol}//`)
  }
  if (AMAZON_HOST.test(url.hostname) && !flags['i-pay-for-amazon']) {
    throw new FlagError(
      `--url is Amazon's own service (${url.hostname}), where every second of audio is billed; give --i-pay-for-amazon if that is meant`,
    )
  }
  const sessions = flags.sessions
  const pid = flags.pid === undefined ? null : Number(flags.pid)
  const idle = pid === null ? null : readProcess(pid)
  if (pid !== null && idle === null) throw new FlagError(`--pid ${flags.pid} is no process of this machine`)
  const fleet = new Fleet({
    url: text,
    token: flags.token ?? process.env[TOKEN_ENV] ?? null,
    sessions,
    rampPerSecond: flags.ramp,
    chunkMs: flags['chunk-ms'],
    sampleRateHz: flags['sample-rate'],
    isIdle: false,
    isSlow: false,
    processes: flags.processes,
    core: null,
    caFile: flags.ca ?? null,
  })
  try {
    await fleet.start()
    const rampEndsMs = performance.now() + (sessions / flags.ramp) * 1000 + RAMP_GRACE_MS
    await watch(fleet, 'ramp', open => open >= sessions || performance.now() > rampEndsMs)
    await wait(flags['warm-up'] * 1000)
    await fleet.mark()
    const before = pid === null ? null : readProcess(pid)
    const steadyEndsMs = performance.now() + flags.seconds * 1000
    await watch(fleet, 'steady', () => performance.now() >= steadyEndsMs)
    const after = pid === null ? null : readProcess(pid)
    const result = await fleet.report()
    progress.show('stop: waiting for the last results')
    const leftOpen = await fleet.finish()
    const relay: Record<string, Figure> = {}
    if (before !== null && after !== null && idle !== null) {
      const micros = after.cpuMicros - before.cpuMicros
      relay['relay CPU per frame'] = figureOf('µs', [micros / Math.max(1, result.sentFrames)])
      relay['relay CPU of one core'] = figureOf('%', [micros / 10 / result.elapsedMs])
      relay['relay memory'] = figureOf('MiB', [after.rssBytes / MIB])
      relay['relay memory per session'] = figureOf('KiB', [
        (after.rssBytes - idle.rssBytes) / 1024 / sessions,
      ])
    }
    await report(
      flags,
      { ...figuresOfFleet(result), ...relay, 'left open': figureOf('count', [leftOpen]) },
      result.errors,
      doubtsOf(result, sessions),
      sessions,
    )
  } finally {
    await fleet.kill()
  }
}

async function watch(fleet: Fleet, phase: string, isOver: (open: number) => boolean): Promise<void> {
  for (;;) {
    // One second after the other is the point.
    // oxlint-disable-next-line no-await-in-loop
    const { errorCount, openSessions, results, sentFrames } = await fleet.progress()
    progress.show(
      `${phase}: ${openSessions} open, ${sentFrames} frames, ${results} results, ${errorCount} errors`,
    )
    if (isOver(openSessions)) return
    // oxlint-disable-next-line no-await-in-loop
    await wait(PROGRESS_MS)
  }
}

function doubtsOf({ busiestShare, openSessions }: FleetReport, sessions: number): readonly string[] {
  const doubts: string[] = []
  if (busiestShare > MAX_LOAD_SHARE) {
    doubts.push(
      `a generator was the bottleneck (${Math.round(busiestShare * 100)} % of a core); give more --processes`,
    )
  }
  if (openSessions < sessions) doubts.push(`${openSessions} of ${sessions} sessions were open`)
  return doubts
}

function figuresOfFleet(result: FleetReport): Record<string, Figure> {
  const seconds = result.elapsedMs / 1000
  return {
    sessions: figureOf('count', [result.openSessions]),
    'frames sent': figureOf('per second', [result.sentFrames / seconds]),
    results: figureOf('per second', [result.results / seconds]),
    'latency p50': figureOf('ms', [result.latency.p50Ms]),
    'latency p90': figureOf('ms', [result.latency.p90Ms]),
    'latency p99': figureOf('ms', [result.latency.p99Ms]),
    'latency p99.9': figureOf('ms', [result.latency.p999Ms]),
    'connect p99': figureOf('ms', [result.connect.p99Ms]),
    'generator CPU': figureOf('%', [result.busiestShare * 100]),
    'generator late p99': figureOf('ms', [result.lateness.p99Ms]),
  }
}

function figuresOfMeasurement(entry: Measurement): Record<string, Figure> {
  return {
    sessions: figureOf('count', [entry.openSessions]),
    'frames sent': figureOf('per second', [entry.framesPerSecond]),
    results: figureOf('per second', [entry.resultsPerSecond]),
    'added p50': figureOf('ms', [entry.added.p50Ms]),
    'added p90': figureOf('ms', [entry.added.p90Ms]),
    'added p99': figureOf('ms', [entry.added.p99Ms]),
    'added p99.9': figureOf('ms', [entry.added.p999Ms]),
    'connect p99': figureOf('ms', [entry.connect.p99Ms]),
    'relay CPU per frame': figureOf('µs', [entry.cpuPerFrameMicros]),
    'relay CPU per audio second': figureOf('µs', [entry.cpuPerAudioSecondMicros]),
    'relay CPU of one core': figureOf('%', [entry.relayShare * 100]),
    'relay memory': figureOf('MiB', [entry.rssBytes / MIB]),
    'relay memory per session': figureOf('KiB', [entry.bytesPerSession / 1024]),
    'relay loop delay p99': figureOf('ms', [entry.loopDelayP99Ms]),
    'generator CPU': figureOf('%', [entry.generatorShare * 100]),
    'upstream CPU': figureOf('%', [entry.upstreamShare * 100]),
    'generator late p99': figureOf('ms', [entry.generatorLateP99Ms]),
    'left open': figureOf('count', [entry.leftOpen]),
  }
}

async function report(
  flags: Flags,
  figures: Readonly<Record<string, Figure>>,
  errors: Readonly<Record<string, number>>,
  doubts: readonly string[],
  sessions: number,
): Promise<void> {
  const lines = Object.entries(figures).map(([name, { median, unit }]) => [name, String(median), unit])
  progress.say(table(lines))
  for (const [code, count] of Object.entries(errors)) progress.say(`error ${code}: ${count}`)
  for (const doubt of doubts) progress.say(`NOT VALID: ${doubt}`)
  const payload: ResultsPayload = {
    title: 'Load on one relay',
    repeats: 1,
    isSmoke: flags.smoke,
    method: [`${sessions} sessions of real speech, paced by the audio's clock, from processes of their own.`],
    misleads: doubts.map(doubt => `Not valid: ${doubt}.`),
    groups: [
      {
        id: 'load',
        title: 'Load',
        text: Object.entries(errors).map(([code, count]) => `${count} sessions ended with ${code}.`),
        charts: [],
        rows: [
          {
            id: 'load',
            subject: 'relay',
            dimensions: { sessions, 'frame ms': flags['chunk-ms'] },
            figures,
          },
        ],
      },
    ],
    bars: [],
  }
  progress.say(
    `written: ${await writeResults(flags.smoke ? 'load-smoke' : 'load', payload, flags.directory)}`,
  )
  if (doubts.length > 0 && !flags.smoke) process.exitCode = 1
}
