/**
 * `transcribe-relay canary`: a client that knows what it should hear. It streams a sample to a relay again and again, and
 * says on `/metrics` whether the words came back, and how late.
 */
import type { Clock } from '../clock.ts'
import type { CanaryMetrics } from '../metrics/canary.ts'
import { createCanaryMetrics } from '../metrics/canary.ts'
import type { OpsServer } from '../server/ops.ts'
import { createOpsServer } from '../server/ops.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { describeBounds, expectWords, HELP_ROW, parseArguments, readNumber } from './arguments.ts'
import { runCanary } from './canary-run.ts'
import type { CanaryPlan, JudgedRun } from './canary-run.ts'
import { findSample } from './canary-sample.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError, UsageError } from './command.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import { describeListenFailure } from './service-loop.ts'
import { readRelayTarget, TIMEOUT_ROWS, TOKEN_ROW, urlRow } from './stream-flags.ts'
import { runInterruptible } from './stream-session.ts'
import type { Terminal } from './terminal.ts'
import { printable } from './terminal.ts'

const DEFAULT_EVERY = '60s'
const MIN_EVERY_MS = 1000
const MAX_EVERY_MS = 86_400_000
const OPS_HOST = '0.0.0.0'
const OPS_PORT = { flag: 'ops-port', default: 9091, min: 0, max: 65_535 } as const
const MIN_RECALL = { flag: 'min-recall', default: 0.8, min: 0, max: 1 } as const
const MAX_FINAL_LAG_MS = { flag: 'max-final-lag-ms', default: 5000, min: 100, max: 120_000 } as const

const CANARY_ROWS: readonly OptionRow[] = [
  urlRow('The relay, as clients reach it. A query may hold parameters.'),
  TOKEN_ROW,
  {
    flag: 'every',
    value: 'TIME',
    doc: 'From the start of one run to the start of the next. Amazon bills each run as at least 15 s of audio.',
    default: DEFAULT_EVERY,
    bounds: '1s to 24h, written 90s, 5m or 1h',
  },
  { flag: 'once', doc: 'One run, no port: for a check after a deployment.' },
  {
    flag: 'ops-host',
    value: 'HOST',
    doc: 'Address to listen on for /livez, /readyz and /metrics.',
    default: OPS_HOST,
  },
  {
    flag: 'ops-port',
    value: 'PORT',
    doc: 'Port of the same; 0 takes a free one.',
    ...describeBounds(OPS_PORT),
  },
  {
    flag: 'sample',
    value: 'FILE',
    doc: 'Recording to stream: WAV, or raw 16-bit PCM of 16000 Hz.',
    default: '3 s of the sample speech',
  },
  {
    flag: 'words',
    value: 'TEXT',
    doc: 'What is said in the recording. Not needed where a transcripts.tsv (file, seconds, words) beside it says so.',
  },
  {
    flag: 'min-recall',
    value: 'SHARE',
    doc: 'Least share of the words that must come back in order.',
    ...describeBounds(MIN_RECALL),
  },
  {
    flag: 'max-final-lag-ms',
    value: 'MS',
    doc: 'Longest time from the end of speech to its final result, milliseconds.',
    ...describeBounds(MAX_FINAL_LAG_MS),
  },
  ...TIMEOUT_ROWS,
  HELP_ROW,
]

const help: HelpPage = {
  command: 'canary',
  summary: 'stream a known sample again and again, check words and latency',
  usage: ['canary --url URL [options]', 'canary --url URL --once [options]'],
  purpose: [
    'Opens a stream as any client would, through every proxy and load balancer on the way, sends a recording at the pace of speech and compares what comes back with what is said in it. It finds what no figure of the relay shows: a certificate that expired, a load balancer that cuts, a model that went wrong.',
    'Prints one JSON line a run, without the transcript. Unless --once is given it serves /metrics (transcribe_relay_canary_*) and goes on until it is stopped; a run that fails does not end it.',
  ],
  sections: [{ title: 'OPTIONS', rows: CANARY_ROWS }],
  examples: [
    {
      doc: 'Beside a relay, once a minute:',
      line: 'transcribe-relay canary --url wss://relay.example/v1/stream',
    },
    {
      doc: 'After a deployment, with a recording of your own:',
      line: 'transcribe-relay canary --once --url wss://relay.example/v1/stream --sample hello.wav --words "hello world"',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'it was stopped; with --once: the words came back in time' },
    { code: EXIT_FAILURE, doc: 'with --once: they did not. Also: unreadable sample, port in use' },
    USAGE_ROW,
    { code: EXIT_FORCED.SIGTERM, doc: 'it was interrupted twice, or with --once' },
  ],
  seeAlso: ['transcribe-relay stream', 'docs/operations.md', 'docs/metrics.md'],
}

export const canaryCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const parsed = parseArguments(args, CANARY_ROWS)
  expectWords(parsed, 0, 0, 'canary')
  const everyMs = readDuration(parsed.get('every') ?? DEFAULT_EVERY)
  const port = readNumber(parsed.get('ops-port'), OPS_PORT)
  const plan = await readPlan(parsed, context)
  const { terminal, events, clock } = context
  if (parsed.has('once')) {
    const judged = await runInterruptible(events, stop => runOnce(plan, clock, stop, terminal))
    if (judged === null) return EXIT_FORCED.SIGTERM
    return judged.outcome === 'ok' ? EXIT_OK : EXIT_FAILURE
  }
  context.outliveOutput()
  const metrics = createCanaryMetrics()
  const server = await serveMetrics(metrics, parsed.get('ops-host') ?? OPS_HOST, port, terminal)
  try {
    const ended = await runInterruptible(events, async stop => {
      await runForever(plan, { everyMs, clock, stop, terminal, metrics })
      return EXIT_OK
    })
    return ended ?? EXIT_FORCED.SIGTERM
  } finally {
    await server.close()
  }
}

interface Loop {
  readonly everyMs: number
  readonly clock: Clock
  readonly stop: AbortSignal
  readonly terminal: Terminal
  readonly metrics: CanaryMetrics
}

/** Start to start; a run that takes longer is followed by the next at once, so that there are never two. */
async function runForever(
  plan: CanaryPlan,
  { everyMs, clock, stop, terminal, metrics }: Loop,
): Promise<void> {
  while (!stop.aborted) {
    const startedAtMs = clock.monotonicMs()
    const judged = await runOnce(plan, clock, stop, terminal)
    if (judged !== null) metrics.canaryOnRun(judged)
    await wait(startedAtMs + everyMs - clock.monotonicMs(), clock, stop)
  }
}

/** `null`: it was interrupted, so it says nothing about the relay. */
async function runOnce(
  plan: CanaryPlan,
  clock: Clock,
  stop: AbortSignal,
  terminal: Terminal,
): Promise<JudgedRun | null> {
  const judged = await runCanary(plan, clock, stop)
  if (stop.aborted) return null
  terminal.print(renderRun(judged))
  return judged
}

function renderRun(judged: JudgedRun): string {
  return JSON.stringify({
    time: new Date(judged.endedAtMs).toISOString(),
    outcome: judged.outcome,
    code: judged.failureCode,
    word_recall: Math.round(judged.wordRecall * 1000) / 1000,
    begin_ms: wholeMs(judged.beginMs),
    first_result_ms: wholeMs(judged.firstResultMs),
    final_lag_ms: wholeMs(judged.finalLagMs),
    request_id: judged.requestId,
  })
}

function wholeMs(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms)
}

function wait(delayMs: number, clock: Clock, stop: AbortSignal): Promise<void> {
  if (stop.aborted || delayMs <= 0) return Promise.resolve()
  return new Promise(resolve => {
    const end = (): void => {
      timer.cancel()
      stop.removeEventListener('abort', end)
      resolve()
    }
    const timer = clock.setTimer(delayMs, end)
    stop.addEventListener('abort', end, { once: true })
  })
}

async function serveMetrics(
  metrics: CanaryMetrics,
  host: string,
  port: number,
  terminal: Terminal,
): Promise<OpsServer> {
  const server = createOpsServer({
    host,
    port,
    readiness: () => ({ ready: true, reasons: [] }),
    scrape: () => metrics.scrape(),
    onFailure: error => terminal.warn(`operations port: ${String(error)}`),
  })
  try {
    const address = await server.listen()
    terminal.warn(`metrics  http://${address.host}:${address.port}/metrics`)
    return server
  } catch (error) {
    const reason = describeListenFailure(error, `${host} port ${port} (--ops-port)`)
    throw reason === null ? error : new CommandError(reason, { cause: error })
  }
}

async function readPlan(parsed: ParsedArguments, { environment }: CommandContext): Promise<CanaryPlan> {
  const sample = await findSample(parsed.get('sample'), parsed.get('words'))
  return {
    ...readRelayTarget(parsed, environment),
    sample: sample.path,
    words: sample.words,
    minRecall: readNumber(parsed.get('min-recall'), MIN_RECALL),
    maxFinalLagMs: readNumber(parsed.get('max-final-lag-ms'), MAX_FINAL_LAG_MS),
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 }

function readDuration(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smh])$/.exec(text) ?? []
  const ms = Number(amount) * (UNIT_MS[unit] ?? Number.NaN)
  if (ms >= MIN_EVERY_MS && ms <= MAX_EVERY_MS) return ms
  throw new UsageError(`--every must be 1s to 24h, written 90s, 5m or 1h, got "${printable(text)}"`)
}
