/**
 * Leases of streams in Redis: for each region a sorted set of leases by the time they end, and one of the last starts. Each
 * step is one script, so that relays never count past each other; the time is that of Redis.
 *
 *     <prefix>{us-east-1}:leases   lease → end, ms since 1970
 *     <prefix>{us-east-1}:starts   lease → start, ms since 1970
 */
import { RedisScript } from './connection.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisOperation } from '../session/region-labels.ts'
import type { RedisFailures } from './failures.ts'

interface StartWindowSize {
  readonly starts: number
  readonly windowMs: number
}

const NOW = `local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** lease, lifetime, room (0: any), starts (0: any), window → granted, used, wait */
const ACQUIRE = new RedisScript(
  `${NOW}redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local used = redis.call('ZCARD', KEYS[1])
local room = tonumber(ARGV[3])
if room > 0 and used >= room then return {0, used, 0} end
local starts = tonumber(ARGV[4])
if starts > 0 then
  local window = tonumber(ARGV[5])
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - window)
  if redis.call('ZCARD', KEYS[2]) >= starts then
    local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
    return {0, used, math.max(1, oldest[2] + window + 1 - now)}
  end
  redis.call('ZADD', KEYS[2], now, ARGV[1])
  redis.call('PEXPIRE', KEYS[2], window + 1000)
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2] + 1000)
return {1, used + 1, 0}`,
  2,
)

/** lifetime, lease … */
const RENEW = new RedisScript(
  `${NOW}for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1] + 1000)
return 1`,
  1,
)

/** lease */
const RELEASE = new RedisScript(`return redis.call('ZREM', KEYS[1], ARGV[1])`, 1)

export interface LeaseStoreOptions {
  readonly connection: RedisConnection
  readonly failures: RedisFailures
  readonly prefix: string
  readonly leaseMs: number
}

export class RedisLeaseStore {
  readonly #options: LeaseStoreOptions

  constructor(options: LeaseStoreOptions) {
    this.#options = options
  }

  async acquire(request: {
    readonly region: string
    readonly leaseId: string
    readonly room: number
    readonly window: StartWindowSize | null
  }): Promise<{ readonly isGranted: boolean; readonly used: number; readonly retryInMs: number }> {
    const { leaseId, region, room, window } = request
    const { starts = 0, windowMs = 0 } = window ?? {}
    const reply = await this.#run('acquire', ACQUIRE, [
      this.#key(region, 'leases'),
      this.#key(region, 'starts'),
      leaseId,
      this.#options.leaseMs,
      room,
      starts,
      Math.ceil(windowMs),
    ])
    const [granted = 0, used = 0, retryInMs = 0] = Array.isArray(reply) ? reply.map(Number) : []
    return { isGranted: granted === 1, used, retryInMs }
  }

  async renew(region: string, leaseIds: readonly string[]): Promise<void> {
    if (leaseIds.length === 0) return
    await this.#run('renew', RENEW, [this.#key(region, 'leases'), this.#options.leaseMs, ...leaseIds])
  }

  async release(region: string, leaseId: string): Promise<void> {
    await this.#run('release', RELEASE, [this.#key(region, 'leases'), leaseId])
  }

  /** In braces is what a cluster places keys by: both of a region are in one place. */
  #key(region: string, what: 'leases' | 'starts'): string {
    return `${this.#options.prefix}{${region}}:${what}`
  }

  async #run(
    operation: RedisOperation,
    script: RedisScript,
    args: readonly (string | number)[],
  ): Promise<unknown> {
    try {
      return await this.#options.connection.run(script, args)
    } catch (error) {
      this.#options.failures.note(operation, error)
      throw error
    }
  }
}
