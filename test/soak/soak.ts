/**
 * Sessions come and go for as long as one likes; the relay must hold nothing of those that are gone.
 *
 * Between two samples clients are replaced all the time: each sends speech in real time for some seconds, then ends well, or
 * vanishes with a Close frame, a FIN or a reset. Some of their streams are killed on the way. Then all of them are ended,
 * and what the relay holds is looked at when nothing is going on any more.
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Child } from '../../bench/e2e/child.ts'
import type { RelayAddresses } from '../../src/relay.ts'
import { createTape } from '../chaos/tape.ts'
import type { UpstreamConfig } from '../chaos/upstream.ts'
import { createRandom } from '../support/random.ts'
import { scrapeMetrics } from '../support/metric-values.ts'
import type { Closing } from '../support/world.ts'
import { Crowd } from './crowd.ts'
import { judgeSoak, type SoakSample, type SoakVerdict } from './judge.ts'
import type { Holdings } from './relay-child.ts'

export interface SoakOptions {
  readonly sessions: number
  readonly seconds: number
  /** Between two samples. */
  readonly sampleEverySeconds: number
  readonly seed: number
  readonly log: (line: string) => void
}

export interface SoakReport extends SoakVerdict {
  readonly started: number
  /** By close code and reason. */
  readonly ends: Readonly<Record<string, number>>
  readonly rollovers: number
}

/** A session of the soak is shorter. */
const TAPE_SECONDS = 40
/** Mean life of a stream: most sessions never see the end of one. */
const KILL_EVERY_SECONDS = 40
const SETTLE_LIMIT_MS = 30_000
const SETTLE_INTERVAL_MS = 50

export async function runSoak(t: Closing, options: SoakOptions): Promise<SoakReport> {
  const { log, sampleEverySeconds, seconds, seed, sessions } = options
  const upstreamConfig: UpstreamConfig = {
    seed,
    tapeSeconds: TAPE_SECONDS,
    killEverySeconds: KILL_EVERY_SECONDS,
    speed: 1,
  }
  const upstream = startChild(t, '../chaos/upstream.ts', upstreamConfig)
  const { url: endpoint } = await upstream.ask<{ url: string }>('start')
  await upstream.ask('arm')
  const relay = startChild(t, 'relay-child.ts', {
    endpoint,
    maxSessions: sessions * 2,
    rolloverAttempts: 100,
    rolloverBackoffMs: 50,
    dialAttempts: 10,
    dialBackoffMs: 20,
    connectTimeoutMs: 1000,
    upstreamPingIntervalMs: 1000,
    upstreamCloseTimeoutMs: 1000,
    flushTimeoutMs: 5000,
  })
  const { opsUrl, url } = await relay.ask<RelayAddresses>('start')
  const { pcm } = createTape(TAPE_SECONDS, seed)
  const crowd = new Crowd({ url, pcm, size: sessions, random: createRandom(seed) })
  t.teardown(() => crowd.close())

  const samples: SoakSample[] = []
  const startedMs = performance.now()
  const elapsedSeconds = (): number => (performance.now() - startedMs) / 1000
  while (elapsedSeconds() < seconds) {
    await crowd.churn(sampleEverySeconds)
    await settle(opsUrl)
    const holdings = await relay.ask<Holdings>('sample')
    const sample = { ...holdings, seconds: elapsedSeconds(), sessions: crowd.started }
    samples.push(sample)
    log(
      `${sample.seconds.toFixed(0)} s: ${sample.sessions} sessions, live ${megabytes(sample.liveBytes)}, ` +
        `RSS ${megabytes(sample.rssBytes)}, ${sample.descriptors} descriptors, ${JSON.stringify(sample.resources)}, ` +
        `bad: ${badEnds(crowd).join(', ') || 'none'}`,
    )
  }
  const metrics = await scrapeMetrics(opsUrl)
  let rollovers = 0
  for (const [series, value] of metrics) if (series.startsWith('rollovers_total')) rollovers += value
  await relay.ask('stop')
  const verdict = judgeSoak(samples)
  return {
    ...verdict,
    problems: [...verdict.problems, ...badEnds(crowd)],
    started: crowd.started,
    ends: crowd.ends,
    rollovers,
  }
}

/** What the relay says, and what clients see of their own ends. */
const GOOD_ENDS: ReadonlySet<string> = new Set(['1000 normal', '1000', '1005', '1006'])

function badEnds({ ends }: Crowd): readonly string[] {
  return Object.entries(ends).flatMap(([end, count]) =>
    GOOD_ENDS.has(end) ? [] : [`${count} sessions ended with ${end}`],
  )
}

/** Until the relay has no session and no stream any more. */
async function settle(opsUrl: string): Promise<void> {
  const startedMs = performance.now()
  for (;;) {
    const metrics = await scrapeMetrics(opsUrl)
    const active = (metrics.get('sessions_active') ?? 0) + (metrics.get('upstream_streams_active') ?? 0)
    if (active === 0) return
    if (performance.now() - startedMs > SETTLE_LIMIT_MS)
      throw new Error(`${active} sessions and streams do not end`)
    await new Promise(resolve => setTimeout(resolve, SETTLE_INTERVAL_MS))
  }
}

function startChild(t: Closing, name: string, config: unknown): Child {
  const child = new Child(
    fork(fileURLToPath(new URL(name, import.meta.url)), [JSON.stringify(config)], {
      execArgv: ['--expose-gc', '--import', 'tsx'],
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  )
  t.teardown(() => child.kill())
  return child
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(2)} MB`
}
