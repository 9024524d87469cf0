/**
 * Client tokens for one use whose session never starts, because something else happened while Redis was asked: they can
 * be used again, once.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RelayOptions } from '../../src/config/options.ts'
import { bearer, knock } from '../support/knock.ts'
import type { Knock } from '../support/knock.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { RedisGate } from '../support/redis-gate.ts'
import { hasRedis, startRedis, type RedisServer } from '../support/redis.ts'
import { startWorld, type World } from '../support/world.ts'

const KEY = 'canary-key-of-the-shop'
const SECRET = 'canary-secret-of-all-relays-32-bytes-long'

interface TwoRelays {
  /** What it hears of Redis can be held. */
  readonly one: World
  readonly other: World
  readonly gate: RedisGate
  readonly redis: RedisServer
  readonly token: string
  /** Asks `one` with the token; resolves when the token is claimed and `one` has not heard of it. */
  readonly begin: () => Promise<{ readonly raw: RawSocket; readonly knocked: Promise<Knock> }>
  /** `null`: it came in. */
  readonly codeAt: (world: World, token?: string) => Promise<string | null>
  /** Resolves when Redis knows of no used token. */
  readonly whenForgotten: () => Promise<void>
}

async function startTwo(t: Test, options: Partial<RelayOptions> = {}): Promise<TwoRelays> {
  const redis = await startRedis(t)
  const gate = await RedisGate.start(t, redis)
  const sha256 = createHash('sha256').update(KEY).digest('hex')
  const folder = t.testdir({
    'keys.json': JSON.stringify({ keys: [{ name: 'shop', sha256, grants: {} }] }),
    secret: SECRET,
  })
  const shared = {
    auth: ['keys', 'tokens'],
    apiKeysFile: join(folder, 'keys.json'),
    tokenSecretFile: join(folder, 'secret'),
    redisTimeoutMs: 10_000,
    redisLeaseMs: 60_000,
  } satisfies Partial<RelayOptions>
  const one = await startWorld(t, { relay: { ...shared, redisUrl: gate.url, ...options } })
  const other = await startWorld(t, { relay: { ...shared, redisUrl: redis.url } })
  const response = await fetch(`http://127.0.0.1:${one.port}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, connection: 'close' },
  })
  const { token } = (await response.json()) as { token: string }
  const client = redis.client()
  return {
    one,
    other,
    gate,
    redis,
    token,
    begin: async () => {
      const claimed = gate.holdClaim()
      const raw = await RawSocket.connect(one.port)
      t.teardown(() => raw.destroy())
      const knocked = raw.handshake(bearer(token)).then(answer => ({
        answer,
        raw,
        code: answer.status === 101 ? null : (JSON.parse(answer.body) as { code: string }).code,
      }))
      await claimed
      return { raw, knocked }
    },
    codeAt: async ({ port }, shown = token) => (await knock(t, port, bearer(shown))).code,
    whenForgotten: async () => {
      let keys = 1
      while (keys > 0) keys = (await client.keys('*token:*')).length
    },
  }
}

/** From now on it is like any other used token. */
async function checkUsedOnce(t: Test, { codeAt, one, other }: TwoRelays, worlds: World[]): Promise<void> {
  t.equal(await codeAt(other), null, 'its one use')
  for (const world of worlds) t.equal(await codeAt(world), 'token_invalid')
  t.notMatch([...one.log.texts, ...other.log.texts].join(''), /canary/)
}

if (hasRedis(t)) {
  t.test('the last place went to somebody else', async t => {
    const two = await startTwo(t, { maxSessions: 1 })
    const { codeAt, gate, one, other } = two
    const { knocked } = await two.begin()
    t.equal(await codeAt(one, KEY), null)
    t.equal(await codeAt(other), 'token_invalid', 'never two with one token')
    gate.release()
    t.equal((await knocked).code, 'overloaded')
    await checkUsedOnce(t, two, [other])
    t.equal((await one.scrape()).get('redis_failures_total{operation="token"}'), 0)
  })
  t.test('the relay began to drain', async t => {
    const two = await startTwo(t, { drainTimeoutMs: 0 })
    const { gate, one, other } = two
    const session = await knock(t, one.port, bearer(KEY))
    const { knocked } = await two.begin()
    const drained = one.relay.drain()
    gate.release()
    t.equal((await knocked).code, 'draining')
    await checkUsedOnce(t, two, [other])
    session.raw.destroy()
    await drained
  })

  t.test('the relay was closed', async t => {
    const two = await startTwo(t)
    const { gate, one, other } = two
    const { knocked, raw } = await two.begin()
    const gone = t.rejects(knocked)
    const drained = one.relay.drain()
    await raw.readEnd()
    gate.release()
    await gone
    await drained
    await checkUsedOnce(t, two, [other])
  })

  t.test('the client was told that it took too long', async t => {
    const two = await startTwo(t, { handshakeTimeoutMs: 100 })
    const { gate, one, other } = two
    const { knocked } = await two.begin()
    t.equal((await knocked).code, 'handshake_timeout')
    gate.release()
    await two.whenForgotten()
    await checkUsedOnce(t, two, [one, other])
  })

  t.test('the client went away', async t => {
    const two = await startTwo(t)
    const { gate, one, other } = two
    const { knocked, raw } = await two.begin()
    const gone = t.rejects(knocked)
    raw.destroy()
    await gone
    const left = 'handshakes_total{outcome="rejected",reason="client_closed"}'
    for (let count = 0; count === 0;) count = (await one.scrape()).get(left) ?? 0
    gate.release()
    await two.whenForgotten()
    await checkUsedOnce(t, two, [one, other])
  })

  t.test('Redis was too slow', async t => {
    const two = await startTwo(t, { redisTimeoutMs: 500 })
    const { gate, one, other } = two
    const { knocked } = await two.begin()
    t.equal((await knocked).code, 'auth_unavailable')
    gate.release()
    await two.whenForgotten()
    await checkUsedOnce(t, two, [one, other])
  })

  t.test('what cannot be given back stays used, and is counted', async t => {
    const two = await startTwo(t, { maxSessions: 1, redisTimeoutMs: 500 })
    const { codeAt, gate, one, other } = two
    const { knocked } = await two.begin()
    t.equal(await codeAt(one, KEY), null)
    gate.deafen()
    gate.release()
    t.equal((await knocked).code, 'overloaded')
    t.equal((await one.scrape()).get('redis_failures_total{operation="token"}'), 1)
    t.equal(await codeAt(other), 'token_invalid')
  })
}
