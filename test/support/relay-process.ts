/**
 * `transcribe-relay serve` as a process of its own, as a supervisor runs it: its ports, its log, its clients, its end.
 * Ready for clients when it is given, and killed with the test.
 */
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { startCli, type CliProcess, type CliStart } from './cli.ts'
import { scrapeMetrics, type MetricValues } from './metric-values.ts'
import { RelayClient } from './relay-client.ts'
import { ANY_SPEED, type Closing } from './world.ts'

/** Those that the emulator knows. */
export const RELAY_KEYS = {
  AWS_ACCESS_KEY_ID: EXAMPLE_ACCOUNT.accessKeyId,
  AWS_SECRET_ACCESS_KEY: EXAMPLE_ACCOUNT.secretAccessKey,
  AWS_REGION: 'us-east-1',
} as const

export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string }

/** By their names without dashes. */
export type ServeFlags = Readonly<Record<string, string | number | boolean>>

export interface RelayProcessOptions extends CliStart {
  /** On top of loopback, free ports and any speed. */
  readonly flags?: ServeFlags
  /** On top of `RELAY_KEYS`. An empty value is as good as none. */
  readonly env?: Readonly<Record<string, string>>
  /** Limit of open files. */
  readonly openFiles?: number
}

export interface RelayProcess extends CliProcess {
  readonly pid: number
  /** `ws://host:port/v1/stream` */
  readonly url: string
  readonly port: number
  readonly opsUrl: string
  /** Log lines so far, of its workers too; those with this message. */
  lines(message?: string): readonly LogLine[]
  /** `query` goes behind `/v1/stream`. */
  connect(query?: string, headers?: Readonly<Record<string, string>>): Promise<RelayClient>
  scrape(): Promise<MetricValues>
  /** HTTP status of a probe. */
  probe(path: '/livez' | '/readyz'): Promise<number>
  /** Sends a signal; resolves with the exit code once it is gone, `null` if it was killed. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

const FLAGS: ServeFlags = {
  host: '127.0.0.1',
  port: 0,
  'ops-host': '127.0.0.1',
  'ops-port': 0,
  'max-sessions': 400,
  'pace-rate': ANY_SPEED.paceRate,
  'pace-burst-ms': ANY_SPEED.paceBurstMs,
  'messages-per-second': ANY_SPEED.messagesPerSecond,
}

export function serveArguments(flags: ServeFlags = {}): readonly string[] {
  return ['serve', ...Object.entries({ ...FLAGS, ...flags }).map(([name, value]) => `--${name}=${value}`)]
}

export async function startRelayProcess(
  t: Closing,
  options: RelayProcessOptions = {},
): Promise<RelayProcess> {
  const { env, flags = {}, openFiles, preload, wrapper = [] } = options
  const limit = openFiles === undefined ? [] : ['prlimit', `--nofile=${openFiles}`]
  const running = startCli(
    serveArguments(flags),
    { ...RELAY_KEYS, ...env },
    { wrapper: [...wrapper, ...limit], ...(preload === undefined ? {} : { preload }) },
  )
  const { child, output, result } = running
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> => {
    child.kill(signal)
    return (await result).code
  }
  t.teardown(() => stop('SIGKILL'))
  // Workers say that they have started too, each for itself.
  const said = 'workers' in flags ? 'workers started' : 'relay started'
  const [line] = await running.waitFor(new RegExp(`^.*"message":"${said}"\\}$`, 'm'))
  const { listening, operations } = JSON.parse(line) as { listening: string; operations: string }
  return {
    ...running,
    pid: child.pid ?? 0,
    url: listening,
    port: Number(new URL(listening).port),
    opsUrl: operations,
    lines(message) {
      const lines = output.stdout.split('\n').filter(text => text.startsWith('{') && text.endsWith('}'))
      const parsed = lines.map(text => JSON.parse(text) as LogLine)
      return message === undefined ? parsed : parsed.filter(each => each.message === message)
    },
    connect: (query = '', headers = {}) =>
      RelayClient.open(t, `${listening}${query === '' ? '' : `?${query}`}`, { headers }),
    scrape: () => scrapeMetrics(operations),
    probe: async path => (await fetch(`${operations}${path}`, { headers: { connection: 'close' } })).status,
    stop,
  }
}
