/** Two relays, one account, one Redis: the streams of both together. */
import type { Redis } from 'ioredis'
import t from 'tap'
import type { RelayOptions } from '../../src/config/options.ts'
import { createEmulator } from '../../src/emulator/index.ts'
import type { Emulator, StreamRecord } from '../../src/emulator/index.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess, type RelayProcess } from '../support/relay-process.ts'
import { ANY_SPEED, NO_QUOTAS, startRelay } from '../support/world.ts'
import type { Closing } from '../support/world.ts'

const REGION = 'us-east-1'
const QUOTA = 10
const LEASE_MS = 1500
const LEASES = `transcribe-relay:{${REGION}}:leases`
const STARTS = 1000
const CLIENTS = 30
const AUDIO = Buffer.alloc(3200)

/** Streams open at the emulator, and the most there were at any time. */
class StreamGauge {
  readonly #live = new Set<StreamRecord>()
  most = 0
  /** Called each time that all streams of the quota are open. */
  onFull = (): void => {}

  constructor(emulator: Emulator) {
    emulator.events.on('stream', record => {
      this.#live.add(record)
      this.most = Math.max(this.most, this.#live.size)
      if (this.#live.size >= QUOTA) this.onFull()
    })
    emulator.events.on('end', record => this.#live.delete(record))
  }

  get now(): number {
    return this.#live.size
  }
}

async function startEmulator(t: Closing): Promise<{ url: string; gauge: StreamGauge }> {
  const emulator = createEmulator({ ...NO_QUOTAS, keepStreams: 10 })
  t.teardown(() => emulator.close())
  const gauge = new StreamGauge(emulator)
  const { url } = await emulator.start()
  return { url, gauge }
}

function shared(url: string, redisUrl: string, more: Partial<RelayOptions> = {}): Partial<RelayOptions> {
  return {
    ...ANY_SPEED,
    region: REGION,
    endpoint: url,
    regionStreams: QUOTA,
    handoverStreams: 0,
    startQueueMs: 30_000,
    dialDeadlineMs: 60_000,
    redisUrl,
    redisLeaseMs: LEASE_MS,
    redisTimeoutMs: 300,
    ...more,
  }
}

/** The same options in a process that can be killed. */
async function startSharing(t: Closing, url: string, redisUrl: string): Promise<RelayProcess> {
  const flags = Object.entries(shared(url, redisUrl)).map(([key, value]) => [
    key.replaceAll(/[A-Z]/g, letter => `-${letter.toLowerCase()}`),
    typeof value === 'string' ? value : JSON.stringify(value),
  ])
  return startRelayProcess(t, { flags: Object.fromEntries(flags) as Record<string, string> })
}

/** How long the last lease lasts from now on, ms, by the clock of Redis: their scores are when they end. */
async function longestLease(redis: Redis): Promise<number> {
  const [, endMs = '0'] = await redis.zrange(
    LEASES,
    '+inf',
    '-inf',
    'BYSCORE',
    'REV',
    'LIMIT',
    0,
    1,
    'WITHSCORES',
  )
  const [seconds = 0, micros = 0] = (await redis.time()).map(Number)
  return Number(endMs) - (seconds * 1000 + Math.floor(micros / 1000))
}

/** One short session. Says whether it came to a good end. */
async function stream(url: string): Promise<boolean> {
  const client = new RelayClient(url)
  await client.until(() => client.of('Begin').length > 0)
  client.send(AUDIO)
  const { code } = await client.finish().catch(() => ({ code: 1006 }))
  return code === 1000
}

if (hasRedis(t)) {
  t.test(`${STARTS} sessions of two relays, one killed: never more than ${QUOTA} streams`, async t => {
    const redis = await startRedis(t)
    const { gauge, url } = await startEmulator(t)
    const relays = await Promise.all([startSharing(t, url, redis.url), startSharing(t, url, redis.url)])
    const [survivor, victim] = relays
    let isKilled = false
    let started = 0
    let good = 0
    let bad = 0
    let longestLeaseMs = 0
    let isFullAgain = false
    const work = async (index: number): Promise<void> => {
      while (started < STARTS) {
        started += 1
        const target = index % 2 === 0 || isKilled ? survivor : victim
        if (await stream(target.url)) good += 1
        else bad += 1
        if (started > STARTS / 2 && !isKilled) {
          isKilled = true
          await victim.stop('SIGKILL')
          longestLeaseMs = await longestLease(redis.client())
          gauge.onFull = () => (isFullAgain = true)
        }
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, async (_, index) => work(index)))
    t.equal(gauge.most, QUOTA, `at most ${gauge.most} streams at once`)
    t.ok(bad <= CLIENTS, `${bad} sessions were lost with the relay that was killed`)
    t.equal(good + bad, started)
    const holders = Array.from({ length: QUOTA }, async () => RelayClient.open(t, survivor.url))
    await Promise.all(holders.map(async holder => (await holder).waitFor('Begin')))
    t.equal(gauge.now, QUOTA)
    // What is left of the work may be done sooner; then it is the holders that fill it.
    t.ok(isFullAgain, 'the survivor has all streams')
    t.ok(
      longestLeaseMs > 0 && longestLeaseMs <= LEASE_MS,
      `the last lease ends ${longestLeaseMs} ms after the kill`,
    )
    const held = await redis.client().zcard(LEASES)
    t.equal(held, QUOTA, 'and no lease of the other is left')
  })

  t.test('leases of long sessions are renewed, also when Redis lost everything', async t => {
    const redis = await startRedis(t)
    const { gauge, url } = await startEmulator(t)
    const relay = await startRelay(t, shared(url, redis.url, { startQueueMs: 200 }))
    const clients = await Promise.all(Array.from({ length: QUOTA }, async () => relay.connect()))
    await Promise.all(clients.map(async client => client.waitFor('Begin')))
    const reader = redis.client()
    const key = `transcribe-relay:{${REGION}}:leases`
    const firstEnd = Number((await reader.zrange(key, '0', '0', 'WITHSCORES'))[1])
    while (Number((await reader.zrange(key, '0', '0', 'WITHSCORES'))[1]) <= firstEnd) await reader.ping()
    t.equal(await reader.zcard(key), QUOTA)
    reader.disconnect()
    await redis.stop()
    await redis.start()
    const again = redis.client()
    while ((await again.zcard(key)) < QUOTA) await again.ping()
    const late = await relay.connect()
    t.match(await late.waitFor('Error'), { code: 'upstream_throttled', retry_after_ms: 2000 })
    t.equal(gauge.most, QUOTA)
    const figures = await relay.scrape()
    t.equal(figures.get(`region_streams{region="${REGION}"}`), QUOTA)
    t.equal(figures.get(`region_streams_limit{region="${REGION}"}`), QUOTA)
    t.equal(figures.get('redis_connected'), 1)
    t.notMatch(relay.log.texts.join(''), redis.password)
  })

  t.test(
    'without Redis: open counts alone by its share, closed starts nothing; both are counted and told',
    async t => {
      const redis = await startRedis(t)
      const { gauge, url } = await startEmulator(t)
      const options = (redisFailure: 'open' | 'closed') =>
        shared(url, redis.url, { redisFailure, quotaShares: 5, startQueueMs: 300 })
      const open = await startRelay(t, options('open'))
      const closed = await startRelay(t, options('closed'))
      await redis.stop()
      const refused = await closed.connect()
      t.match(await refused.waitFor('Error'), { code: 'upstream_throttled' })
      t.equal(gauge.most, 0)
      const clients = [await open.connect(), await open.connect(), await open.connect()]
      await Promise.all(clients.slice(0, 2).map(async client => client.waitFor('Begin')))
      t.match(await clients[2]?.waitFor('Error'), { code: 'upstream_throttled' }, 'its share are two')
      for (const running of [open, closed]) {
        const { log } = running
        const figures = await running.scrape()
        t.ok((figures.get('redis_failures_total{operation="acquire"}') ?? 0) > 0)
        t.equal(figures.get('redis_connected'), 0)
        t.ok(log.of('redis failed').length > 0)
        t.ok(log.of('redis failed').length <= 2, 'sampled')
      }
      await redis.start()
      const reader = redis.client()
      const key = `transcribe-relay:{${REGION}}:leases`
      while ((await reader.zcard(key)) < 2) await reader.ping()
      t.pass('what was let in meanwhile is told to Redis')
      const back = await closed.connect()
      await back.waitFor('Begin')
    },
  )
}
