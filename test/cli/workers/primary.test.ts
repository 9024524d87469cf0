/** The primary process as operators see it, by its port; the workers and the time are the test's. */
import t from 'tap'
import type { Test } from 'tap'
import type { Order, SpawnWorker } from '../../../src/cli/workers/ports.ts'
import { runPrimary } from '../../../src/cli/workers/primary.ts'
import { resolveOptions } from '../../../src/config/resolve.ts'
import type { MetricsSnapshot } from '../../../src/metrics/snapshot.ts'
import { memoryContext } from '../../support/cli.ts'
import { defer } from '../../support/deferred.ts'
import { FakeWorker, READY_REPORT } from '../../support/fake-worker.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { scrapeMetrics } from '../../support/metric-values.ts'

/** How long the primary waits for the answers to a scrape at most. */
const METRICS_WAIT_MS = 2000
const RESTART_MS = 100
/** As long or longer than it waits for those to an order. */
const ORDER_WAIT_MS = 2000

async function startPrimary(t: Test, workers = 2) {
  const clock = new ManualClock()
  const context = memoryContext({ clock })
  const children: FakeWorker[] = []
  const { options } = resolveOptions({
    overrides: { workers, host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, logLevel: 'fatal' },
  })
  let opsUrl = ''
  const allAreThere = defer<void>()
  const spawnWorker: SpawnWorker = events => {
    const spawned = new FakeWorker(1000 + children.length, events)
    spawned.onOrder = order => {
      if (order.type !== 'start') return
      const { host, port } = order.start.operations
      opsUrl = `http://${host}:${port}`
      if (children.length === workers) allAreThere.resolve()
    }
    children.push(spawned)
    return spawned
  }
  const exitCode = runPrimary(options, workers, { ...context, spawnWorker })
  await allAreThere.promise
  for (const child of children) child.start()
  const child = (index: number): FakeWorker => {
    const found = children[index]
    if (found === undefined) throw new Error(`process ${index} was not started`)
    return found
  }
  t.teardown(async () => {
    context.signal('SIGTERM')
    for (const each of children) if (!each.isGone) each.exit(0)
    await exitCode
  })
  return { clock, child, opsUrl }
}

/** Resolves when a worker was told to do something of this type, and has answered if it does. */
async function orderTo(child: FakeWorker, type: Order['type']): Promise<void> {
  return new Promise(resolve => {
    child.onOrder = order => {
      if (order.type === type) resolve()
    }
  })
}

function counted(value: number): MetricsSnapshot {
  const name = 'transcribe_relay_sessions_started_total'
  return [{ name, help: 'x', type: 'counter', aggregate: 'sum', samples: [{ labels: {}, value }] }]
}

t.test(
  'a worker that answers a scrape, dies and runs again while another is late, is counted once',
  async t => {
    const { clock, child, opsUrl } = await startPrimary(t)
    const scrape = async (): Promise<number | undefined> =>
      (await scrapeMetrics(opsUrl)).get('sessions_started_total')
    child(0).report = { ...READY_REPORT, metrics: counted(5) }
    child(1).report = { ...READY_REPORT, metrics: counted(1) }
    t.equal(await scrape(), 6)
    child(0).report = { ...READY_REPORT, metrics: counted(7) }
    child(1).answers = false
    const asked = orderTo(child(1), 'ask')
    const late = scrape()
    await asked
    child(0).exit(null, 'SIGKILL')
    clock.advance(RESTART_MS)
    child(2).start()
    clock.advance(METRICS_WAIT_MS)
    t.equal(await late, 8, 'also what it had said last')
    child(1).answers = true
    child(2).report = { ...READY_REPORT, metrics: counted(1) }
    t.equal(await scrape(), 9)
  },
)

t.test('an order about a region is sent and remembered when no worker answers in time', async t => {
  const { clock, child, opsUrl } = await startPrimary(t)
  const order = async (path: string): Promise<readonly [status: number, body: unknown]> => {
    const response = await fetch(`${opsUrl}/regions/${path}`, {
      method: 'POST',
      headers: { connection: 'close' },
    })
    return [response.status, await response.json()]
  }
  child(0).answers = false
  child(1).answers = false
  t.strictSame(await order('eu-west-1/drain'), [404, { error: 'not_found' }], 'without a question')
  const told = [orderTo(child(0), 'region'), orderTo(child(1), 'region')]
  const late = order('us-east-1/drain')
  await Promise.race([Promise.all(told), late])
  clock.advance(ORDER_WAIT_MS)
  t.strictSame(await late, [202, { region: 'us-east-1', draining: true, scope: 'pending' }])
  child(0).exit(null, 'SIGKILL')
  clock.advance(RESTART_MS)
  child(2).start()
  t.match(child(2).orders.at(-1), { type: 'region', order: { region: 'us-east-1', isDraining: true } })
})
