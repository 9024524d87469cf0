/** A relay that is started while its Redis reads its data: it starts as without one, and finds it when it is ready. */
import t from 'tap'
import { startLoadingRedis } from '../support/loading-redis.ts'
import { startWorld } from '../support/world.ts'

const LEASES = new Set(['EVALSHA', 'EVAL'])

for (const redisFailure of ['open', 'closed'] as const) {
  t.test(`a Redis that is loading does not keep a relay from starting: ${redisFailure}`, async t => {
    const redis = await startLoadingRedis(t)
    const world = await startWorld(t, {
      relay: { redisUrl: redis.url, redisTimeoutMs: 200, redisFailure, regionStreams: 10, startQueueMs: 300 },
    })
    t.match(world.log.of('redis failed'), [{ operation: 'connect', reason: 'loading' }])
    const figures = await world.scrape()
    t.equal(figures.get('redis_failures_total{operation="connect"}'), 1)
    t.equal(figures.get('redis_connected'), 0)
    const early = await world.connect()
    if (redisFailure === 'open') await early.waitFor('Begin')
    else t.match(await early.waitFor('Error'), { code: 'upstream_throttled' })
    t.ok(((await world.scrape()).get('redis_failures_total{operation="acquire"}') ?? 0) > 0)
    t.notOk(
      redis.commands.some(name => LEASES.has(name)),
      'nothing is asked before it is ready',
    )
    redis.load()
    await world.log.waitFor('redis answers again')
    t.equal((await world.scrape()).get('redis_connected'), 1)
    const late = await world.connect()
    await late.waitFor('Begin')
    t.ok(
      redis.commands.some(name => LEASES.has(name)),
      'and from now on it decides',
    )
  })
}
