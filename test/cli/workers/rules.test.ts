/** The rules of a relay of several workers that need no process: how many, whose share, when again, and ready or not. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import t from 'tap'
import { mergeRegions } from '../../../src/cli/workers/regions.ts'
import { findClientPort } from '../../../src/cli/workers/client-port.ts'
import type { WorkerView } from '../../../src/cli/workers/readiness.ts'
import { judgeReadiness } from '../../../src/cli/workers/readiness.ts'
import { MAX_BACKOFF_MS, RestartPolicy } from '../../../src/cli/workers/restarts.ts'
import { countWorkers, divideOptions } from '../../../src/cli/workers/share.ts'
import type { RelayOptions } from '../../../src/config/options.ts'
import { resolveOptions } from '../../../src/config/resolve.ts'

const optionsOf = (overrides: Partial<RelayOptions>) => resolveOptions({ overrides }).options

t.test('auto is one a core, but not more than there are sessions, nor than the bound', async t => {
  t.equal(countWorkers(optionsOf({}), 8), 1)
  t.equal(countWorkers(optionsOf({ workers: 3 }), 8), 3)
  t.equal(countWorkers(optionsOf({ workers: 'auto' }), 8), 8)
  t.equal(countWorkers(optionsOf({ workers: 'auto', maxSessions: 5 }), 8), 5)
  t.equal(countWorkers(optionsOf({ workers: 'auto' }), 512), 256)
})

t.test(
  'maxSessions is divided without a rest, memory and the queue into equal parts, and nothing else is',
  async t => {
    for (const [maxSessions, workers] of [
      [1000, 3],
      [7, 7],
      [100_000, 256],
      [10, 4],
    ] as const) {
      const options = optionsOf({ maxSessions, workers })
      const parts = divideOptions(options, workers, 1_000_000)
      const shares = parts.map(part => part.maxSessions)
      t.equal(parts.length, workers)
      t.equal(
        shares.reduce((sum, share) => sum + share, 0),
        maxSessions,
      )
      t.ok(Math.max(...shares) - Math.min(...shares) <= 1)
      t.strictSame(
        shares,
        shares.toSorted((a, b) => b - a),
        'the first get the remainder',
      )
      for (const { memoryLimitBytes, startQueueLength, ...part } of parts) {
        t.equal(memoryLimitBytes, Math.floor(1_000_000 / workers))
        t.equal(startQueueLength, Math.ceil(options.startQueueLength / workers))
        t.same({ ...options, ...part, maxSessions, workers }, options)
      }
    }
  },
)

t.test('a worker can start with its part of any options that are valid', async t => {
  const regions = [
    { region: 'us-east-1', streams: 100 },
    { region: 'us-west-2', streams: 50 },
  ]
  for (const overrides of [
    { workers: 2, regions, quotaShares: 50 },
    { workers: 8, regionStreams: 25, quotaShares: 4 },
    { workers: 256, quotaShares: 100_000 },
  ]) {
    const options = optionsOf(overrides)
    const { workers } = overrides
    for (const part of divideOptions(options, workers, 2 ** 40)) t.same(optionsOf(part), part)
  }
})

t.test('the wait doubles with each death of the last minute, up to a bound', async t => {
  const policy = new RestartPolicy()
  const delays = Array.from({ length: 11 }, (_, index) => policy.delayAfterDeath(index * 10))
  t.strictSame(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, null])
  t.equal(delays[6], MAX_BACKOFF_MS)
  t.equal(policy.delayAfterDeath(60_200), 100, 'a quiet minute makes up for all')
})

t.test('ready is one that is, and none that is going away', async t => {
  const ready = { ready: true, reasons: [] }
  const table: readonly [
    states: readonly Partial<WorkerView>[],
    ready: boolean,
    reasons: readonly string[],
  ][] = [
    [[{ readiness: ready }, { readiness: ready }], true, []],
    [[{ readiness: ready }, { state: 'restarting' }], true, ['worker 2: restarting']],
    [[{ readiness: ready }, { readiness: null }], true, ['worker 2: no answer']],
    [[{ readiness: null }, { state: 'starting' }], false, ['worker 1: no answer', 'worker 2: starting']],
    [
      [{ readiness: { ready: false, reasons: ['a', 'b'] } }, { readiness: { ready: false, reasons: [] } }],
      false,
      ['worker 1: a', 'worker 1: b', 'worker 2: not ready'],
    ],
    [
      [{ readiness: ready }, { readiness: { ready: false, reasons: ['draining'] } }],
      false,
      ['worker 2: draining'],
    ],
    [[{ readiness: ready }, { state: 'draining' }], false, ['worker 2: draining']],
  ]
  for (const [views, isReady, reasons] of table) {
    const told = judgeReadiness(
      views.map((view, index) => ({ worker: index + 1, state: 'running', readiness: null, ...view })),
    )
    t.strictSame(told, { ready: isReady, reasons })
  }
})

t.test('the client port is free again once it was found free', async t => {
  const port = await findClientPort('127.0.0.1', 0)
  t.ok(port > 0)
  t.equal(await findClientPort('127.0.0.1', port), port)
})

t.test('a client port that cannot be had is told in one line', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  t.teardown(() => blocker.close())
  await once(blocker, 'listening')
  const { port } = blocker.address() as AddressInfo
  await t.rejects(findClientPort('127.0.0.1', port), {
    name: 'CommandError',
    message: `127.0.0.1 port ${port} (port) is in use by another process`,
  })
  await t.rejects(findClientPort('192.0.2.1', 0), {
    name: 'CommandError',
    message: /no address of this machine/,
  })
})

t.test('what workers say of a region is made one', async t => {
  const report = (
    breaker: 'open' | 'half_open' | 'closed',
    draining: boolean,
    streams: number,
    scope: 'pending' | 'shared' = 'shared',
  ) => ({
    readiness: { ready: true, reasons: [] },
    metrics: null,
    regions: [{ region: 'us-east-1', breaker, draining, streams, streamLimit: 5, scope }],
  })
  const reports = new Map([
    [1, report('closed', true, 3)],
    [2, report('half_open', false, 1, 'pending')],
    [3, null],
  ])
  const region = { region: 'us-east-1', breaker: 'half_open', draining: false, scope: 'pending' }
  t.same(mergeRegions(reports, false), [{ ...region, streams: 4, streamLimit: 10 }])
  t.same(mergeRegions(reports, true), [{ ...region, streams: 3, streamLimit: 5 }])
})
