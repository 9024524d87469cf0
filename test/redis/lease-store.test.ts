/** Leases in a real Redis. */
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { RedisConnection } from '../../src/redis/connection.ts'
import type { RedisLog } from '../../src/redis/failures.ts'
import { RedisFailures, reasonOf } from '../../src/redis/failures.ts'
import { RedisLeaseStore } from '../../src/redis/lease-store.ts'
import { RedisUsedTokens } from '../../src/redis/used-tokens.ts'
import type { LeaseStore } from '../../src/upstream/shared-quota.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'
import { hasRedis, startRedis, type RedisServer } from '../support/redis.ts'
import type { Closing } from '../support/world.ts'

interface Relay {
  readonly store: RedisLeaseStore & LeaseStore
  readonly tokens: RedisUsedTokens
  readonly connection: RedisConnection
  readonly counted: string[]
  readonly lines: object[]
  /** How often it could be asked again. */
  readonly ready: () => number
}

async function openRelay(t: Closing, url: string, leaseMs = 1000): Promise<Relay> {
  const counted: string[] = []
  const lines: object[] = []
  let ready = 0
  const log: RedisLog = {
    redisOnFailure: record => lines.push(record),
    redisOnReady: () => lines.push({ ready: true }),
  }
  const failures = new RedisFailures(systemClock, log, {
    countRedisFailure: operation => counted.push(operation),
  })
  const connection = new RedisConnection({
    url,
    timeoutMs: 300,
    clock: systemClock,
    failures,
    onReady: () => (ready += 1),
  })
  t.teardown(() => connection.close())
  await connection.start()
  const options = { connection, failures, prefix: 'test:', leaseMs }
  return {
    store: new RedisLeaseStore(options),
    tokens: new RedisUsedTokens(connection, failures, 'test:', systemClock),
    connection,
    counted,
    lines,
    ready: () => ready,
  }
}

const REGION = 'us-east-1'

async function ends(redis: RedisServer): Promise<number> {
  return redis.client().zcard(`test:{${REGION}}:leases`)
}

if (hasRedis(t)) {
  t.test('leases of two relays together never pass the room, whatever they do at once', async t => {
    const seed = 11
    t.comment(`seed ${seed}`)
    const random = createRandom(seed)
    const redis = await startRedis(t)
    const relays = [await openRelay(t, redis.url, 60_000), await openRelay(t, redis.url, 60_000)]
    const held: { relay: Relay; leaseId: string }[] = []
    let most = 0
    let granted = 0
    for (let round = 0; round < 100; round += 1) {
      const asked = Array.from({ length: 12 }, async (_, index) => {
        const relay = relays[index % 2]
        if (relay === undefined) throw new Error('two relays')
        const leaseId = `${round}-${index}`
        const { isGranted, used } = await relay.store.acquire({
          region: REGION,
          leaseId,
          room: 10,
          window: null,
        })
        if (isGranted) held.push({ relay, leaseId })
        return isGranted ? used : 0
      })
      granted += (await Promise.all(asked)).filter(used => used > 0).length
      most = Math.max(most, held.length)
      const leaving = held.splice(0, Math.ceil(random() * held.length))
      await Promise.all(leaving.map(({ leaseId, relay }) => relay.store.release(REGION, leaseId)))
    }
    t.ok(granted > 300, `${granted} granted`)
    t.equal(most, 10)
    t.equal(await ends(redis), held.length)
  })

  t.test('a lease that nobody renews ends, one that is renewed stays, one that ended comes back', async t => {
    const redis = await startRedis(t)
    const { store } = await openRelay(t, redis.url, 1000)
    const take = async (leaseId: string) => store.acquire({ region: REGION, leaseId, room: 1, window: null })
    t.match(await take('a'), { isGranted: true, used: 1 })
    const startedMs = performance.now()
    let tries = 0
    while (!(await take('b')).isGranted) tries += 1
    const tookMs = performance.now() - startedMs
    t.ok(tries > 0 && tookMs > 800 && tookMs < 2000, `free after ${Math.round(tookMs)} ms`)
    await store.renew(REGION, ['a', 'b', 'c'])
    t.equal((await take('d')).used, 3, 'what is open counts, whether there was room or not')
    await store.renew(REGION, [])
    t.match(await take('a'), { isGranted: false, used: 3 })
    for (const leaseId of ['a', 'b', 'c']) await store.release(REGION, leaseId)
    t.match(await take('d'), { isGranted: true, used: 1 })
    t.ok((await redis.client().pttl(`test:{${REGION}}:leases`)) > 0, 'nothing is left behind for ever')
  })

  t.test('starts of all relays together keep the rate, and the answer says when to come again', async t => {
    const redis = await startRedis(t)
    const relays = [await openRelay(t, redis.url), await openRelay(t, redis.url)]
    const window = { starts: 3, windowMs: 1000 }
    const answers = []
    for (let count = 0; count < 6; count += 1) {
      const request = { region: REGION, leaseId: String(count), room: 0, window }
      answers.push(await relays[count % 2]?.store.acquire(request))
    }
    t.equal(answers.filter(answer => answer?.isGranted === true).length, 3)
    const { retryInMs = 0, used } = answers[5] ?? {}
    t.ok(retryInMs > 0 && retryInMs <= 1001, `${retryInMs} ms`)
    t.equal(used, 3)
    const other = { region: 'eu-west-1', leaseId: 'x', room: 1, window }
    t.equal((await relays[0]?.store.acquire(other))?.isGranted, true, 'regions have each their own')
  })

  t.test('a token is used once, by whichever relay sees it first', async t => {
    const redis = await startRedis(t)
    const relays = [await openRelay(t, redis.url), await openRelay(t, redis.url)]
    const uses = await Promise.all(
      Array.from({ length: 10 }, async (_, index) =>
        relays[index % 2]?.tokens.claim('jti', Date.now() + 5000),
      ),
    )
    t.equal(uses.filter(Boolean).length, 1)
    const ttl = await redis.client().pttl('test:token:jti')
    t.ok(ttl > 5000 && ttl <= 66_000, `remembered for ${ttl} ms`)
    await redis.stop()
    await t.rejects(async () => relays[0]?.tokens.claim('other', Date.now()), { code: 'auth_unavailable' })
  })

  t.test('a token that is given back can be used again, and still by one at a time', async t => {
    const seed = 23
    t.comment(`seed ${seed}`)
    const random = createRandom(seed)
    const redis = await startRedis(t)
    const relays = [await openRelay(t, redis.url), await openRelay(t, redis.url)]
    const claim = async (token: string, index: number) =>
      relays[index % 2]?.tokens.claim(token, Date.now() + 60_000)
    let opened = 0
    let givenBack = 0
    for (let round = 0; round < 100; round += 1) {
      let holders = 0
      let sessions = 0
      const come = async (_: unknown, index: number): Promise<void> => {
        for (let tries = 0; tries < 3; tries += 1) {
          const mine = await claim(String(round), index)
          if (mine === null || mine === undefined) continue
          holders += 1
          t.equal(holders, 1)
          if (random() < 0.3) {
            sessions += 1
            return
          }
          holders -= 1
          givenBack += 1
          await Promise.all([mine.giveBack(), mine.giveBack()])
          // Once: by now it may be somebody else's.
          await mine.giveBack()
        }
      }
      await Promise.all(Array.from({ length: 6 }, come))
      t.equal((await claim(String(round), 0)) === null, sessions === 1)
      opened += sessions
    }
    t.ok(opened > 20 && givenBack > 100, `${opened} opened, ${givenBack} given back`)
    const [{ counted }] = relays as [Relay]
    t.strictSame(counted, [])
    const old = await claim('taken', 0)
    await redis.client().set('test:token:taken', 'by somebody else')
    await old?.giveBack()
    t.equal(await claim('taken', 0), null, 'nobody gives back what is not theirs')
  })

  t.test('a Redis that is away or does not answer fails in time, and is found again', async t => {
    const redis = await startRedis(t)
    const { connection, counted, lines, ready, store } = await openRelay(t, redis.url)
    const take = async () => store.acquire({ region: REGION, leaseId: 'a', room: 1, window: null })
    t.equal(connection.isReady, true)
    await take()
    redis.freeze()
    const startedMs = performance.now()
    await t.rejects(take())
    t.ok(performance.now() - startedMs < 1000)
    redis.thaw()
    await redis.stop()
    await t.rejects(take())
    t.equal(connection.isReady, false)
    t.ok(counted.includes('acquire'))
    const readyBefore = ready()
    await redis.start()
    while (ready() === readyBefore) await new Promise<void>(resolve => setImmediate(resolve))
    t.equal((await take()).isGranted, true, 'scripts are there again')
    t.match(lines.at(-1), { ready: true })
    t.ok(lines.length <= 4, `${lines.length} lines for ${counted.length} failures`)
    t.notMatch(JSON.stringify(lines), redis.password)
    connection.close()
    await t.rejects(take())
  })

  t.test(
    'a Redis that is not there, or wants another password, does not keep a relay from starting',
    async t => {
      const redis = await startRedis(t)
      const wrong = await openRelay(t, redis.url.replace(redis.password, 'canary-wrong'))
      t.match(JSON.stringify(wrong.lines), /WRONGPASS|NOAUTH/)
      t.notMatch(JSON.stringify(wrong.lines), /canary/)
      await redis.stop()
      const away = await openRelay(t, redis.url)
      t.match(away.lines, [{ operation: 'connect', reason: 'ECONNREFUSED' }])
      t.equal(away.connection.isReady, false)
    },
  )
}

t.test('failures are counted each time, and told now and then', async t => {
  const clock = new ManualClock()
  const lines: object[] = []
  let counted = 0
  const failures = new RedisFailures(
    clock,
    { redisOnFailure: record => lines.push(record), redisOnReady: () => lines.push({}) },
    { countRedisFailure: () => (counted += 1) },
  )
  for (let second = 0; second < 60; second += 1) {
    failures.note('acquire', new Error('Command timed out'))
    clock.advance(1000)
  }
  t.equal(counted, 60)
  t.same(lines, [
    { operation: 'acquire', reason: 'timeout', failures: 1 },
    { operation: 'acquire', reason: 'timeout', failures: 30 },
  ])
  failures.settle()
  failures.note('renew', Object.assign(new Error('connect to canary'), { code: 'ECONNREFUSED' }))
  t.same(lines.at(-1), { operation: 'renew', reason: 'ECONNREFUSED', failures: 30 })
  t.equal(reasonOf(new Error('WRONGPASS invalid canary')), 'WRONGPASS')
  t.equal(reasonOf(new TypeError('canary')), 'TypeError')
  t.equal(reasonOf('canary'), 'unknown')
})
