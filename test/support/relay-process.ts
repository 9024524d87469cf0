/** The relay as the command starts it, with the emulator in a process of its own, for what must be seen from outside. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { NO_AWS } from './cli.ts'
import { scrapeMetrics, type MetricValues } from './metric-values.ts'
import { RelayClient } from './relay-client.ts'
import type { Closing } from './world.ts'

const ENTRY = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

export interface RelayProcessOptions {
  readonly endpoint: string
  /** Beside host, ports and pace. */
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Limit of open files. */
  readonly openFiles?: number
}

export interface RelayProcess {
  readonly pid: number
  readonly port: number
  readonly url: string
  readonly opsUrl: string
  /** Standard output and error so far. */
  readonly output: { stdout: string; stderr: string }
  connect(query?: string, headers?: Readonly<Record<string, string>>): Promise<RelayClient>
  scrape(): Promise<MetricValues>
  /** Resolves when the standard output matches. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>
  /** Sends SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>
}

const ARGS =
  '--host 127.0.0.1 --port 0 --ops-host 127.0.0.1 --ops-port 0 --pace-rate 1000 --pace-burst-ms 600000 --drain-timeout-ms 1000 --overload-lag-ms 60000'.split(
    ' ',
  )

export async function startRelayProcess(t: Closing, options: RelayProcessOptions): Promise<RelayProcess> {
  const { args = [], endpoint, env = {}, openFiles } = options
  const command = [
    process.execPath,
    '--import',
    'tsx',
    ENTRY,
    'serve',
    ...ARGS,
    '--endpoint',
    endpoint,
    ...args,
  ]
  const [program = '', ...rest] =
    openFiles === undefined ? command : ['prlimit', `--nofile=${openFiles}`, ...command]
  const { accessKeyId, secretAccessKey } = EXAMPLE_ACCOUNT
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...inherited(),
      ...NO_AWS,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...env,
    },
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const waitFor = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (;;) {
      const found = pattern.exec(output.stdout)
      if (found !== null) return found
      const news = await Promise.race([
        once(child.stdout, 'data').then(() => null),
        ended.then(code => ({ code })),
      ])
      if (news !== null)
        throw new Error(`ended with ${news.code} before ${pattern}\n${output.stdout}\n${output.stderr}`)
    }
  }
  const [, url = ''] = await waitFor(/"listening":"([^"]+)"/)
  const [, opsUrl = ''] = await waitFor(/"operations":"([^"]+)"/)
  return {
    pid: child.pid ?? 0,
    port: Number(new URL(url).port),
    url,
    opsUrl,
    output,
    connect: (query = '', headers = {}) =>
      RelayClient.open(t, `${url}${query === '' ? '' : `?${query}`}`, { headers }),
    scrape: () => scrapeMetrics(opsUrl),
    waitFor,
    stop: async () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name]) => name === 'PATH' || /^(NODE_|TAP|_TAPJS)/.test(name),
  )
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']))
}
