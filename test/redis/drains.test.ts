/** What operators said of regions, in a real Redis. */
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { RedisConnection } from '../../src/redis/connection.ts'
import { RedisDrainStore } from '../../src/redis/drain-store.ts'
import { RedisFailures } from '../../src/redis/failures.ts'
import { RegionDrains } from '../../src/upstream/region-drains.ts'
import type { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { RegionWorld } from '../support/region-world.ts'
import type { Closing } from '../support/world.ts'

const A = 'us-east-1'
const B = 'us-west-2'
const KEY = 'test:drains'

interface Relay {
  readonly clock: ManualClock
  readonly drains: RegionDrains
  readonly store: RedisDrainStore
  readonly counted: string[]
  /** The next time that it can be asked again. */
  ready(): Promise<void>
  drained(): string[]
}

async function openRelay(t: Closing, url: string): Promise<Relay> {
  const counted: string[] = []
  const waiting: (() => void)[] = []
  const log = { redisOnFailure: () => {}, redisOnReady: () => {} }
  const failures = new RedisFailures(systemClock, log, { countRedisFailure: what => counted.push(what) })
  const onReady = (): void => waiting.splice(0).forEach(tell => tell())
  const connection = new RedisConnection({ url, timeoutMs: 300, clock: systemClock, failures, onReady })
  t.teardown(() => connection.close())
  await connection.start()
  const store = new RedisDrainStore({ connection, failures, prefix: 'test:' })
  // The clock of the world stands still: exchanges are the test's to begin.
  const { clock, dialer } = new RegionWorld([{ name: A }, { name: B }])
  const drains = new RegionDrains({ regions: dialer, store, clock })
  t.teardown(() => drains.close())
  await drains.start()
  return {
    clock,
    drains,
    store,
    counted,
    ready: async () => new Promise<void>(resolve => waiting.push(resolve)),
    drained: () => drains.report().flatMap(({ draining, region }) => (draining ? [region] : [])),
  }
}

if (hasRedis(t)) {
  t.test('an order to one is known to all, to those that come later, and after everybody left', async t => {
    const redis = await startRedis(t)
    const [first, second] = [await openRelay(t, redis.url), await openRelay(t, redis.url)]
    t.equal(await first.drains.order(A, true), 'shared')
    t.strictSame(first.drained(), [A])
    await second.drains.refresh()
    t.strictSame(second.drained(), [A])
    first.drains.close()
    second.drains.close()
    const third = await openRelay(t, redis.url)
    t.strictSame(third.drained(), [A], 'known when it starts')
    t.equal(await third.drains.order(A, false), 'shared')
    t.strictSame((await openRelay(t, redis.url)).drained(), [])
    t.equal(await redis.client().pttl(KEY), -1, 'kept until somebody says otherwise')
  })

  t.test('whatever is ordered of whom in whatever order, the last word is that of all', async t => {
    const seed = 23
    t.comment(`seed ${seed}`)
    const random = createRandom(seed)
    const redis = await startRedis(t)
    const relays = await Promise.all([1, 2, 3].map(async () => openRelay(t, redis.url)))
    const client = redis.client()
    const expected = new Map([
      [A, false],
      [B, false],
    ])
    for (let round = 0; round < 200; round += 1) {
      const relay = relays[Math.floor(random() * relays.length)]
      const region = random() < 0.5 ? A : B
      const isDraining = random() < 0.5
      expected.set(region, isDraining)
      if (random() < 0.1) await client.flushall()
      t.equal(await relay?.drains.order(region, isDraining), 'shared')
      // Some hear of it now, some only of a later one.
      if (random() < 0.5) await relays[Math.floor(random() * relays.length)]?.drains.refresh()
    }
    // The first round tells what a store that was emptied has forgotten.
    for (const _round of [1, 2]) for (const { drains } of relays) await drains.refresh()
    const drained = [...expected].flatMap(([region, isDraining]) => (isDraining ? [region] : []))
    for (const relay of relays) t.strictSame(relay.drained(), drained)
  })

  t.test('without Redis what is known stands; an order counts at once and is told with its age', async t => {
    const redis = await startRedis(t)
    const [first, second] = [await openRelay(t, redis.url), await openRelay(t, redis.url)]
    await first.drains.order(B, true)
    await second.drains.refresh()
    await redis.stop()
    t.equal(await first.drains.order(A, true), 'pending')
    t.strictSame(first.drained(), [A, B])
    await second.drains.refresh()
    t.strictSame(second.drained(), [B])
    const back = Promise.all([first.ready(), second.ready()])
    await redis.start()
    await back
    // It lost its memory: the second tells what the first had ordered, and only that.
    await second.drains.refresh()
    t.match(await redis.client().hgetall(KEY), { [B]: /^1 \d{13}$/ })
    t.equal(await second.drains.order(A, false), 'shared')
    first.clock.advance(1000)
    await first.drains.refresh()
    t.strictSame(first.drained(), [B], 'what was said while it could not be told is older')
    t.equal(first.drains.report()[0]?.scope, 'shared')
  })

  t.test('a Redis that does not answer is counted; what others wrote there is nobody’s word', async t => {
    const redis = await startRedis(t)
    const relay = await openRelay(t, redis.url)
    redis.freeze()
    t.equal(await relay.drains.order(A, true), 'pending')
    t.strictSame([relay.drained(), relay.counted], [[A], ['drains']])
    redis.thaw()
    await relay.drains.refresh()
    t.equal(relay.drains.report()[0]?.scope, 'shared')
    await redis.client().hset(KEY, { [B]: 'yes', 'eu-west-1': '1 5', 'eu-west-2': '2 5' })
    t.match(await relay.store.exchange([]), [
      { region: A, isDraining: true },
      { region: 'eu-west-1', isDraining: true, atMs: 5 },
    ])
    await relay.drains.refresh()
    t.strictSame(relay.drained(), [A])
    await redis.client().set('test:other', 'x')
    await redis.client().del(KEY)
    await redis.client().set(KEY, 'not a hash')
    t.equal(await relay.drains.order(B, true), 'pending', 'whatever Redis says, the order counts here')
    t.strictSame(relay.drained(), [A, B])
  })

  t.test('what is ordered now counts also where the clock of Redis went back', async t => {
    const redis = await startRedis(t)
    const relay = await openRelay(t, redis.url)
    const ahead = Date.now() + 3_600_000
    await redis.client().hset(KEY, A, `1 ${ahead}`)
    await relay.drains.refresh()
    t.strictSame(relay.drained(), [A])
    t.equal(await relay.drains.order(A, false), 'shared')
    t.strictSame(relay.drained(), [])
    t.equal(await redis.client().hget(KEY, A), `0 ${ahead + 1}`)
  })
}
