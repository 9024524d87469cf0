/**
 * `transcribe-relay serve` as a process of its own, as a supervisor runs it: its ports, its log lines, its clients.
 */
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import type { CliProcess, CliStart } from './cli.ts'
import { startCli } from './cli.ts'
import type { MetricValues } from './metric-values.ts'
import { scrapeMetrics } from './metric-values.ts'
import { RelayClient } from './relay-client.ts'
import type { Closing } from './world.ts'
import { ANY_SPEED } from './world.ts'

/** Those that the emulator knows. */
export const SERVE_KEYS = {
  AWS_ACCESS_KEY_ID: EXAMPLE_ACCOUNT.accessKeyId,
  AWS_SECRET_ACCESS_KEY: EXAMPLE_ACCOUNT.secretAccessKey,
  AWS_REGION: 'us-east-1',
} as const

export type LogLine = Readonly<Record<string, unknown>>

export interface ServeProcess extends CliProcess {
  readonly url: string
  readonly port: number
  readonly opsUrl: string
  /** So far, parsed. */
  lines(message?: string): readonly LogLine[]
  connect(query?: string): Promise<RelayClient>
  scrape(): Promise<MetricValues>
  /** HTTP status of a probe. */
  probe(path: '/livez' | '/readyz'): Promise<number>
}

export interface ServeOptions extends CliStart {
  /** By the names of the flags, without dashes. On top of loopback, free ports, any speed. */
  readonly flags?: Readonly<Record<string, string | number>>
  /** Instead of `SERVE_KEYS`. */
  readonly env?: Readonly<Record<string, string>>
}

const FLAGS: Readonly<Record<string, string | number>> = {
  host: '127.0.0.1',
  port: 0,
  'ops-host': '127.0.0.1',
  'ops-port': 0,
  // A machine that runs all tests at once is late now and then.
  'overload-lag-ms': 60_000,
  'max-sessions': 400,
  'pace-rate': ANY_SPEED.paceRate,
  'pace-burst-ms': ANY_SPEED.paceBurstMs,
  'messages-per-second': ANY_SPEED.messagesPerSecond,
}

export function serveArguments(flags: Readonly<Record<string, string | number>> = {}): readonly string[] {
  return ['serve', ...Object.entries({ ...FLAGS, ...flags }).map(([name, value]) => `--${name}=${value}`)]
}

/** Ready for clients; killed with the test. */
export async function startServe(t: Closing, options: ServeOptions = {}): Promise<ServeProcess> {
  const { env = SERVE_KEYS, flags } = options
  const running = startCli(serveArguments(flags), env, options)
  t.teardown(() => running.child.kill('SIGKILL'))
  let stdout = ''
  running.child.stdout.on('data', (text: string) => (stdout += text))
  const [line] = await running.waitFor(/^.*"message":"relay started"\}$/m)
  const started = JSON.parse(line) as LogLine
  const url = String(started['listening'])
  const opsUrl = String(started['operations'])
  return {
    ...running,
    url,
    port: Number(new URL(url).port),
    opsUrl,
    lines(message) {
      const lines = stdout.split('\n').filter(text => text.endsWith('}'))
      const parsed = lines.map(text => JSON.parse(text) as LogLine)
      return message === undefined ? parsed : parsed.filter(each => each['message'] === message)
    },
    connect: (query = '') => RelayClient.open(t, `${url}${query === '' ? '' : `?${query}`}`),
    scrape: () => scrapeMetrics(opsUrl),
    probe: async path => (await fetch(`${opsUrl}${path}`, { headers: { connection: 'close' } })).status,
  }
}
