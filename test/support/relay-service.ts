/** `transcribe-relay serve` as a process of its own, against an emulator, and what it says about itself. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { inherited, NO_AWS } from './cli.ts'
import { scrapeMetrics, type MetricValues } from './metric-values.ts'
import type { Closing } from './world.ts'

export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string }

export interface RelayService {
  readonly child: ChildProcess
  readonly pid: number
  /** `ws://host:port/v1/stream` */
  readonly url: string
  readonly port: number
  readonly opsUrl: string
  /** The latest log lines. */
  readonly lines: readonly LogLine[]
  readonly exited: Promise<number | null>
  scrape(): Promise<MetricValues>
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
}

export interface RelayServiceOptions {
  /** Flags of `serve` without the dashes. Ports are free ones if not given. */
  readonly flags: Readonly<Record<string, string | number>>
  readonly env?: Readonly<Record<string, string>>
}

const ENTRY = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const MAX_LINES = 5000

export async function startRelayService(t: Closing, options: RelayServiceOptions): Promise<RelayService> {
  const flags = {
    host: '127.0.0.1',
    port: 0,
    'ops-host': '127.0.0.1',
    'ops-port': 0,
    // A machine that runs all tests at once is late now and then.
    'overload-lag-ms': 60_000,
    region: 'us-east-1',
    ...options.flags,
  }
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`)
  const child = spawn(process.execPath, ['--import', 'tsx', ENTRY, 'serve', ...args], {
    env: {
      ...inherited(),
      ...NO_AWS,
      AWS_ACCESS_KEY_ID: EXAMPLE_ACCOUNT.accessKeyId,
      AWS_SECRET_ACCESS_KEY: EXAMPLE_ACCOUNT.secretAccessKey,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines: LogLine[] = []
  const started = await new Promise<LogLine>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', text => {
      const line = JSON.parse(text) as LogLine
      lines.push(line)
      if (lines.length > MAX_LINES) lines.shift()
      if (line.message === 'relay started') resolve(line)
    })
    void exited.then(code => reject(new Error(`the relay ended with ${code} before it had started`)))
  })
  const url = String(started['listening'])
  const opsUrl = String(started['operations'])
  return {
    child,
    pid: child.pid ?? 0,
    url,
    port: Number(new URL(url).port),
    opsUrl,
    lines,
    exited,
    scrape: () => scrapeMetrics(opsUrl),
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}
