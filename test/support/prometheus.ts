/**
 * A real Prometheus (Debian package `prometheus`) that scrapes once a second, for tests and for pictures. Ended with
 * the test that opened it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface ScrapeTarget {
  readonly job: string
  /** `http://host:port` */
  readonly url: string
  readonly labels: Readonly<Record<string, string>>
}

export interface QuerySeries {
  readonly metric: Readonly<Record<string, string>>
  /** Seconds since 1970, and the number as text: one, or a range of them. */
  readonly value?: readonly [number, string]
  readonly values?: readonly (readonly [number, string])[]
}

export interface RuleState {
  readonly name: string
  readonly health: string
  readonly lastError?: string
}

export interface Prometheus {
  readonly url: string
  /** Series of an instant vector; rejects with Prometheus' own words. */
  query(expr: string): Promise<readonly QuerySeries[]>
  queryRange(expr: string, fromMs: number, toMs: number, stepSeconds: number): Promise<readonly QuerySeries[]>
  rules(): Promise<readonly RuleState[]>
  /** Resolves once every target was scraped again; rejects when that does not happen. */
  nextScrape(): Promise<void>
}

const READY_LINE = /Server is ready to receive web requests/
/** A scrape is due each second. */
const POLL_MS = 100
const MAX_POLLS = 200

export async function startPrometheus(
  t: { teardown(action: () => unknown): void },
  targets: readonly ScrapeTarget[],
  ruleFiles: readonly string[] = [],
): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'transcribe-relay-prometheus-'))
  const configFile = join(folder, 'prometheus.yaml')
  writeFileSync(configFile, renderConfig(targets, ruleFiles))
  const address = `127.0.0.1:${await freePort()}`
  const child = spawn(
    'prometheus',
    [
      `--config.file=${configFile}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
    rmSync(folder, { recursive: true, force: true })
  })
  await waitForLine(child.stderr, READY_LINE)
  return new RunningPrometheus(`http://${address}`, targets.length)
}

class RunningPrometheus implements Prometheus {
  readonly url: string
  readonly #targetCount: number

  constructor(url: string, targetCount: number) {
    this.url = url
    this.#targetCount = targetCount
  }

  async query(expr: string): Promise<readonly QuerySeries[]> {
    return (await this.#get<{ result: QuerySeries[] }>('query', { query: expr })).result
  }

  async queryRange(
    expr: string,
    fromMs: number,
    toMs: number,
    stepSeconds: number,
  ): Promise<readonly QuerySeries[]> {
    const parameters = { query: expr, start: fromMs / 1000, end: toMs / 1000, step: stepSeconds }
    return (await this.#get<{ result: QuerySeries[] }>('query_range', parameters)).result
  }

  async rules(): Promise<readonly RuleState[]> {
    const { groups } = await this.#get<{ groups: { rules: RuleState[] }[] }>('rules', {})
    return groups.flatMap(({ rules }) => rules)
  }

  async nextScrape(): Promise<void> {
    const sinceSeconds = Date.now() / 1000
    for (let poll = 0; poll < MAX_POLLS; poll++) {
      const fresh = await this.query(`timestamp(up == 1) > ${sinceSeconds}`)
      if (fresh.length >= this.#targetCount) return
      await new Promise(resolve => setTimeout(resolve, POLL_MS))
    }
    throw new Error(`not every target was scraped: ${JSON.stringify(await this.query('up'))}`)
  }

  async #get<T>(what: string, parameters: Readonly<Record<string, string | number>>): Promise<T> {
    const query = new URLSearchParams(
      Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]),
    )
    const response = await fetch(`${this.url}/api/v1/${what}?${query.toString()}`, {
      headers: { connection: 'close' },
    })
    const answer = (await response.json()) as { status: string; data: T; error?: string }
    if (answer.status !== 'success') throw new Error(`${String(parameters['query'])}: ${answer.error ?? '?'}`)
    return answer.data
  }
}

/** YAML takes JSON. */
function renderConfig(targets: readonly ScrapeTarget[], ruleFiles: readonly string[]): string {
  return JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: ruleFiles,
    scrape_configs: targets.map(({ job, url, labels }) => ({
      job_name: job,
      static_configs: [{ targets: [new URL(url).host], labels }],
    })),
  })
}

async function waitForLine(stream: NodeJS.ReadableStream, pattern: RegExp): Promise<void> {
  const seen: string[] = []
  const lines = createInterface({ input: stream })
  await new Promise<void>((resolve, reject) => {
    lines.on('line', line => {
      seen.push(line)
      if (pattern.test(line)) resolve()
    })
    lines.once('close', () => reject(new Error(`prometheus ended: ${seen.slice(-5).join('\n')}`)))
  })
}

/** Free a moment ago: Prometheus cannot be asked for any. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
