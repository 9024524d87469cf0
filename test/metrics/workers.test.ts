/** The metrics of several workers as one: by real registries, merged and printed. */
import t from 'tap'
import type { MetricSources, RelayMetrics } from '../../src/metrics/registry.ts'
import { createMetrics } from '../../src/metrics/registry.ts'
import type { MetricsSnapshot } from '../../src/metrics/snapshot.ts'
import { mergeSnapshots, renderSnapshot } from '../../src/metrics/snapshot.ts'
import { PrimaryMetrics } from '../../src/metrics/workers.ts'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import { CONNECT_REASONS } from '../../src/upstream/connect-failure.ts'
import { parseMetrics } from '../support/metric-values.ts'

interface Figures {
  readonly sessions: number
  readonly bufferedSum: number
  readonly bufferedMax: number
  readonly expiresAtMs: number | null
  readonly isReady: boolean
}

function openWorker({ sessions, bufferedSum, bufferedMax, expiresAtMs, isReady }: Figures): RelayMetrics {
  const sources: MetricSources = {
    activeSessions: () => sessions,
    maxSessions: () => 500,
    sessionsAway: () => 0,
    admission: { refusals: () => 0, isClosed: () => false, load: () => 0 },
    isReady: () => isReady,
    isDraining: () => false,
    clientBufferedBytes: () => ({ sum: bufferedSum, max: bufferedMax }),
    upstreamBufferedBytes: () => ({ sum: 0, max: 0 }),
    credentials: () => ({ refreshesOk: expiresAtMs === null ? 0 : 1, refreshesFailed: 0, expiresAtMs }),
    logLines: () => ({ info: sessions }),
  }
  return createMetrics({
    version: '1.2.3',
    connectReasons: CONNECT_REASONS,
    violationReasons: VIOLATION_CODES,
    sources,
  })
}

const ONE: Figures = { sessions: 3, bufferedSum: 10, bufferedMax: 9, expiresAtMs: null, isReady: true }
const TWO: Figures = { sessions: 4, bufferedSum: 20, bufferedMax: 5, expiresAtMs: 7000, isReady: false }

function openPrimary(): PrimaryMetrics {
  return new PrimaryMetrics({
    workers: () => ({ starting: 0, running: 2, restarting: 1, draining: 0 }),
    logLines: () => ({ info: 1 }),
  })
}

async function valuesOf(
  primary: PrimaryMetrics,
  snapshots: readonly (readonly [number, MetricsSnapshot | null])[],
  isReady = true,
) {
  for (const [worker, snapshot] of snapshots) if (snapshot !== null) primary.hear(worker, snapshot)
  const answered = new Map(snapshots.map(([worker, snapshot]) => [worker, snapshot !== null]))
  return parseMetrics((await primary.scrape({ isReady, answered })).body)
}

t.test('each metric becomes one in its own way', async t => {
  const [one, two] = [openWorker(ONE), openWorker(TWO)]
  one.setBuild('native@1')
  two.setBuild('native@1')
  one.countSessionStarted()
  two.countSessionStarted()
  one.countSessionEnded('normal', 5)
  two.countSessionEnded('normal', 50)
  const values = await valuesOf(openPrimary(), [
    [1, await one.takeSnapshot()],
    [2, await two.takeSnapshot()],
  ])
  const expected: Readonly<Record<string, number>> = {
    sessions_active: 7,
    sessions_limit: 1000,
    sessions_started_total: 2,
    'sessions_closed_total{class="ok",reason="normal"}': 2,
    'session_duration_seconds_bucket{le="10"}': 1,
    'session_duration_seconds_bucket{le="60"}': 2,
    'session_duration_seconds_bucket{le="+Inf"}': 2,
    session_duration_seconds_sum: 55,
    session_duration_seconds_count: 2,
    'client_buffered_bytes{agg="sum"}': 30,
    'client_buffered_bytes{agg="max"}': 9,
    credentials_expiry_timestamp_seconds: 7,
    ready: 1,
    draining: 0,
    'log_lines_total{level="info"}': 8,
    [`build_info{native="native@1",node="${process.versions.node}",version="1.2.3"}`]: 1,
    'workers{state="running"}': 2,
    'workers{state="restarting"}': 1,
    worker_restarts_total: 0,
    worker_answers_missed_total: 0,
  }
  for (const [series, value] of Object.entries(expected)) t.equal(values.get(series), value, series)
})

t.test('several workers tell the same series as one, and a few more', async t => {
  const one = openWorker(ONE)
  const { body } = await one.scrape()
  const alone = parseMetrics(body)
  const together = await valuesOf(openPrimary(), [[1, await one.takeSnapshot()]])
  const added = [...together.keys()].filter(series => !alone.has(series))
  t.strictSame(
    [...alone.keys()].filter(series => !together.has(series)),
    [],
  )
  t.ok(
    added.every(series => /^workers?[_{]/.test(series)),
    added.join(' '),
  )
})

t.test('ready is what the primary says, whatever the workers think', async t => {
  const one = await openWorker(ONE).takeSnapshot()
  t.equal((await valuesOf(openPrimary(), [[1, one]], false)).get('ready'), 0)
})

t.test('a worker that is late or gone keeps its counts in the sums, not its gauges', async t => {
  const [one, two] = [openWorker(ONE), openWorker(TWO)]
  for (const worker of [one, two]) {
    worker.countSessionStarted()
    worker.countSessionEnded('normal', 5)
  }
  const primary = openPrimary()
  const both = [
    [1, await one.takeSnapshot()],
    [2, await two.takeSnapshot()],
  ] as const
  await valuesOf(primary, both)
  const late = await valuesOf(primary, [both[0], [2, null]])
  t.equal(late.get('sessions_active'), 3)
  t.equal(late.get('sessions_started_total'), 2)
  t.equal(late.get('session_duration_seconds_count'), 2)
  t.equal(late.get('worker_answers_missed_total'), 1)
  primary.retire(2)
  primary.retire(2)
  primary.countRestart()
  const fresh = openWorker(TWO)
  fresh.countSessionStarted()
  const again = await valuesOf(primary, [both[0], [2, await fresh.takeSnapshot()]])
  t.equal(again.get('sessions_active'), 7)
  t.equal(again.get('sessions_started_total'), 3)
  t.equal(again.get('session_duration_seconds_count'), 2)
  t.equal(again.get('worker_restarts_total'), 1)
})

t.test('a worker that ends while a scrape is answered is counted once', async t => {
  const one = openWorker(ONE)
  one.countSessionStarted()
  const primary = openPrimary()
  primary.hear(1, await one.takeSnapshot())
  const scrape = primary.scrape({ isReady: true, answered: new Map([[1, true]]) })
  primary.retire(1)
  const values = parseMetrics((await scrape).body)
  t.equal(values.get('sessions_started_total'), 1)
  t.equal(values.get('sessions_active') ?? 0, 0)
})

t.test('of the processes: sums, the worst event loop, the fullest table of files', async t => {
  const of = (name: string, aggregate: 'sum' | 'max' | 'min', value: number) =>
    ({ name, help: 'x', type: 'gauge', aggregate, samples: [{ labels: {}, value }] }) as const
  const merged = mergeSnapshots([
    [of('a', 'max', 1), of('b', 'min', Number.NaN), of('c', 'min', 5)],
    [of('a', 'max', 2), of('b', 'min', Number.NaN), of('c', 'min', 4), of('d', 'sum', 1)],
  ])
  t.same(
    merged.map(({ name, samples }) => [name, samples[0]?.value]),
    [
      ['a', 2],
      ['b', Number.NaN],
      ['c', 4],
      ['d', 1],
    ],
  )
  t.match((await renderSnapshot(merged)).body, /# TYPE a gauge\na 2\n[\s\S]*\nb Nan\n/)
  const snapshot = await openWorker(ONE).takeSnapshot()
  const rules = new Map(snapshot.map(({ name, aggregate }) => [name, aggregate]))
  for (const [name, rule] of [
    ['process_cpu_seconds_total', 'sum'],
    ['process_resident_memory_bytes', 'sum'],
    ['process_open_fds', 'max'],
    ['process_max_fds', 'max'],
    ['process_start_time_seconds', 'first'],
    ['nodejs_eventloop_lag_p99_seconds', 'max'],
    ['nodejs_version_info', 'first'],
  ] as const)
    t.equal(rules.get(name), rule, name)
})
