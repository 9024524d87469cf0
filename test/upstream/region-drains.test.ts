/** Orders about regions, with a store that the test plays. The real one is tested in `test/redis/drains.test.ts`. */
import t from 'tap'
import type { DrainStore, DrainWord } from '../../src/upstream/region-drains.ts'
import { DRAIN_EXCHANGE_MS, RegionDrains } from '../../src/upstream/region-drains.ts'
import { defer, type Deferred } from '../support/deferred.ts'
import { RegionWorld, settle } from '../support/region-world.ts'

const A = 'us-east-1'
const B = 'us-west-2'

interface Exchange extends Deferred<readonly DrainWord[]> {
  readonly told: readonly DrainWord[]
}

function setUp(withStore = true) {
  const exchanges: Exchange[] = []
  const store: DrainStore = {
    exchange(told) {
      const exchange = { ...defer<readonly DrainWord[]>(), told }
      exchanges.push(exchange)
      return exchange.promise
    },
  }
  const { clock, dialer } = new RegionWorld([{ name: A }, { name: B }])
  const drains = new RegionDrains({ regions: dialer, store: withStore ? store : null, clock })
  const last = (): Exchange => {
    const exchange = exchanges.at(-1)
    if (exchange === undefined) throw new Error('nothing was exchanged')
    return exchange
  }
  const drained = (): string[] => drains.report().flatMap(each => (each.draining ? [each.region] : []))
  const scopes = (): string[] => drains.report().map(({ scope }) => scope)
  return { clock, drains, exchanges, last, drained, scopes }
}

async function setUpStarted(words: readonly DrainWord[] = []) {
  const run = setUp()
  const started = run.drains.start()
  run.last().resolve(words)
  await started
  return run
}

t.test('without a store an order is for this relay, and nothing waits', async t => {
  const { clock, drained, drains, exchanges, scopes } = setUp(false)
  await drains.start()
  t.equal(await drains.order(A, true), 'relay')
  t.strictSame(drained(), [A])
  t.strictSame(scopes(), ['relay', 'relay'])
  t.equal(await drains.order(A, false), 'relay')
  t.strictSame(drained(), [])
  t.equal(await drains.order('eu-west-1', true), null)
  await drains.refresh()
  t.strictSame([exchanges.length, clock.pendingTimers], [0, 0])
})

t.test('what the store says counts from the start on; regions of others are nothing to it', async t => {
  const words = [
    { region: B, isDraining: true, atMs: 5 },
    { region: 'eu-west-1', isDraining: true, atMs: 5 },
  ]
  const { clock, drained, drains, last, exchanges } = await setUpStarted(words)
  t.strictSame(drained(), [B])
  t.equal(await drains.order('eu-west-1', true), null)
  clock.advance(DRAIN_EXCHANGE_MS)
  t.strictSame(last().told, [words[0]], 'so that a store that lost its memory is told')
  clock.advance(DRAIN_EXCHANGE_MS)
  t.equal(exchanges.length, 2, 'one at a time')
  last().resolve([{ region: B, isDraining: false, atMs: 6 }])
  await settle()
  t.strictSame(drained(), [])
  drains.close()
  await drains.refresh()
  t.strictSame([exchanges.length, clock.pendingTimers], [2, 0])
})

t.test('an order counts once the store has it, and is said as long ago as it was', async t => {
  const { drained, drains, last, scopes } = await setUpStarted()
  const ordered = drains.order(A, true)
  t.strictSame(last().told, [{ region: A, isDraining: true, atMs: 0 }], 'now')
  t.strictSame(scopes(), ['pending', 'shared'])
  last().resolve([{ region: A, isDraining: true, atMs: 7 }])
  t.equal(await ordered, 'shared')
  t.strictSame(drained(), [A])

  const repeated = drains.order(A, true, 3000)
  t.strictSame(last().told, [{ region: A, isDraining: true, atMs: -3000 }])
  last().resolve([{ region: A, isDraining: false, atMs: 8 }])
  t.equal(await repeated, 'shared')
  t.strictSame(drained(), [], 'somebody said the contrary since')
})

t.test('without an answer what is known stands, an order counts here and is told again', async t => {
  const { clock, drained, drains, last, scopes } = await setUpStarted([
    { region: B, isDraining: true, atMs: 5 },
  ])
  clock.advance(DRAIN_EXCHANGE_MS)
  last().reject(new Error('gone'))
  await settle()
  t.strictSame(drained(), [B])
  const ordered = drains.order(A, true)
  last().reject(new Error('gone'))
  t.equal(await ordered, 'pending')
  t.strictSame(drained(), [A, B])
  t.strictSame(scopes(), ['pending', 'shared'])
  clock.advance(DRAIN_EXCHANGE_MS)
  t.match(last().told, [
    { region: B, atMs: 5 },
    { region: A, atMs: -DRAIN_EXCHANGE_MS },
  ])
  last().resolve([])
  await settle()
  t.strictSame(scopes(), ['shared', 'shared'])
  t.strictSame(drained(), [A, B], 'an empty answer is nobody’s word')
})

t.test('an order that comes during an exchange is later than its answer', async t => {
  const { clock, drained, drains, exchanges, last } = await setUpStarted()
  clock.advance(DRAIN_EXCHANGE_MS)
  const [, before] = exchanges
  const ordered = drains.order(A, true)
  before?.resolve([{ region: A, isDraining: false, atMs: 9 }])
  await settle()
  t.strictSame(drained(), [])
  last().reject(new Error('gone'))
  t.equal(await ordered, 'pending')
  t.strictSame(drained(), [A])

  const first = drains.order(B, true)
  const failing = last()
  const second = drains.order(B, false)
  last().resolve([
    { region: A, isDraining: true, atMs: 10 },
    { region: B, isDraining: false, atMs: 10 },
  ])
  failing.reject(new Error('lost'))
  t.strictSame([await first, await second], ['shared', 'shared'])
  t.strictSame(drained(), [A], 'of two orders the second counts')
})
