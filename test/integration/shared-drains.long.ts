/** Several relays and one Redis: what an operator says of a region to one of them is for all. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RelayOptions } from '../../src/config/options.ts'
import { createEmulator } from '../../src/emulator/index.ts'
import { DRAIN_EXCHANGE_MS } from '../../src/upstream/region-drains.ts'
import { fetchText } from '../support/metric-values.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess, type RelayProcess } from '../support/relay-process.ts'
import { ANY_SPEED, NO_QUOTAS, startRelay } from '../support/world.ts'
import type { Closing } from '../support/world.ts'

const EAST = 'us-east-1'
const WEST = 'us-west-2'
const AUDIO = Buffer.alloc(3200)
const REDIS_TIMEOUT_MS = 2500
/** How much longer it may take than it does, on a machine that is shared. */
const PATIENCE = 2

interface Told {
  readonly region: string
  readonly draining: boolean
  readonly scope: string
}

async function startRegion(t: Closing, region: string): Promise<{ region: string; endpoint: string }> {
  const emulator = createEmulator({ ...NO_QUOTAS, region })
  t.teardown(() => emulator.close())
  return { region, endpoint: (await emulator.start()).url }
}

async function startRegions(t: Closing, redisUrl: string): Promise<Partial<RelayOptions>> {
  return {
    ...ANY_SPEED,
    tickMs: 10,
    handoverLeadMs: 1000,
    regions: [await startRegion(t, EAST), await startRegion(t, WEST)],
    redisUrl,
    redisTimeoutMs: REDIS_TIMEOUT_MS,
  }
}

/** A process of its own; so many options are given in a file. */
async function startDraining(t: Test, options: Partial<RelayOptions>): Promise<RelayProcess> {
  const file = join(t.testdir(), 'relay.json')
  writeFileSync(file, JSON.stringify(options))
  return startRelayProcess(t, { flags: { config: file }, env: { AWS_REGION: '' } })
}

async function order(opsUrl: string, what: 'drain' | 'resume'): Promise<unknown> {
  const answer = await fetch(`${opsUrl}/regions/${EAST}/${what}`, { method: 'POST' })
  return { status: answer.status, ...((await answer.json()) as object) }
}

async function tell(opsUrl: string): Promise<Told | undefined> {
  const { regions } = JSON.parse(await fetchText(`${opsUrl}/regions`)) as { regions: readonly Told[] }
  return regions.find(({ region }) => region === EAST)
}

/** Milliseconds until it is so there. */
async function until(opsUrl: string, is: (told: Told | undefined) => boolean): Promise<number> {
  const startedMs = performance.now()
  while (!is(await tell(opsUrl))) {
    await new Promise<void>(resolve => setTimeout(resolve, 20))
  }
  return performance.now() - startedMs
}

async function begin(t: Closing, url: string): Promise<RelayClient> {
  const client = await RelayClient.open(t, url)
  await client.waitFor('Begin')
  return client
}

const isDrained = (told: Told | undefined): boolean => told?.draining === true
const isServing = (told: Told | undefined): boolean => told?.draining === false
const LIMIT_MS = (DRAIN_EXCHANGE_MS + REDIS_TIMEOUT_MS) * PATIENCE

if (hasRedis(t)) {
  t.test('a drain asked of one moves the sessions of the other, and is known to those that come', async t => {
    const redis = await startRedis(t)
    const options = await startRegions(t, redis.url)
    const asked = await startDraining(t, options)
    const other = await startDraining(t, options)
    const client = await begin(t, other.url)
    t.equal(client.of('Begin')[0]?.['region'], EAST)
    client.send(AUDIO)
    t.match(await tell(asked.opsUrl), { draining: false, scope: 'shared' })
    t.strictSame(await order(asked.opsUrl, 'drain'), {
      status: 202,
      region: EAST,
      draining: true,
      scope: 'shared',
    })
    t.match(await tell(asked.opsUrl), { draining: true }, 'with the answer')
    const tookMs = await until(other.opsUrl, isDrained)
    t.ok(tookMs < LIMIT_MS, `the other knows after ${Math.round(tookMs)} ms`)
    t.match(await client.waitFor('Rollover'), { reason: 'region_draining', region: WEST, lost_seconds: 0 })
    client.send(AUDIO)
    t.equal((await client.finish()).code, 1000)

    await asked.stop('SIGKILL')
    await other.stop('SIGKILL')
    const later = await startRelay(t, { ...options, region: null })
    t.equal((await begin(t, later.url)).of('Begin')[0]?.['region'], WEST, 'from its first session on')
    t.match(await order(later.opsUrl, 'resume'), { draining: false, scope: 'shared' })
    t.equal((await begin(t, later.url)).of('Begin')[0]?.['region'], EAST)
    t.notMatch(later.log.texts.join(''), redis.password)
  })

  t.test('without Redis an order is told as pending, and reaches the others once it is back', async t => {
    const redis = await startRedis(t)
    const options = await startRegions(t, redis.url)
    const asked = await startRelay(t, { ...options, region: null })
    const other = await startRelay(t, { ...options, region: null })
    await redis.stop()
    t.match(await order(asked.opsUrl, 'drain'), { status: 202, draining: true, scope: 'pending' })
    t.match(await tell(asked.opsUrl), { draining: true, scope: 'pending' })
    t.match(await tell(other.opsUrl), { draining: false, scope: 'shared' })
    const unaware = await startRelay(t, { ...options, region: null })
    t.match(await tell(unaware.opsUrl), { draining: false }, 'it starts all the same')
    await redis.start()
    await Promise.all([until(other.opsUrl, isDrained), until(unaware.opsUrl, isDrained)])
    t.match(await tell(asked.opsUrl), { draining: true, scope: 'shared' })
  })

  t.test('all workers do what was said to another relay, and the other way round', async t => {
    const redis = await startRedis(t)
    const { endpoint } = await startRegion(t, EAST)
    const env = { RELAY_REDIS_URL: redis.url }
    const workers = await startRelayProcess(t, {
      env,
      flags: { endpoint, workers: 2, 'redis-timeout-ms': REDIS_TIMEOUT_MS },
    })
    const single = await startRelay(t, {
      ...ANY_SPEED,
      endpoint,
      redisUrl: redis.url,
      redisTimeoutMs: REDIS_TIMEOUT_MS,
    })
    t.match(await order(workers.opsUrl, 'drain'), { status: 202, draining: true, scope: 'shared' })
    t.match(await tell(workers.opsUrl), { draining: true }, 'every worker')
    await until(single.opsUrl, isDrained)
    t.match(await order(single.opsUrl, 'resume'), { draining: false, scope: 'shared' })
    await until(workers.opsUrl, isServing)
    // The primary remembers the drain, and tells it to the worker that takes the place of this one.
    const [, pids = ''] = await workers.waitFor(/"pids":\[([\d,]+)\]/)
    process.kill(Number(pids.split(',')[0]), 'SIGKILL')
    await workers.waitFor(/"message":"worker restarted"/)
    await until(workers.opsUrl, told => told?.scope === 'shared')
    t.match(await tell(workers.opsUrl), { draining: false }, 'which knows from Redis')
    t.match(await redis.client().hget('transcribe-relay:drains', EAST), /^0 /, 'that it is over')
  })
}
