/**
 * What several relays keep together in Redis: leases of streams, which regions are drained, client tokens that were used.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { createRegionLog } from '../log.ts'
import type { RelayMetrics } from '../metrics/registry.ts'
import { RedisConnection } from '../redis/connection.ts'
import { RedisDrainStore } from '../redis/drain-store.ts'
import { RedisFailures } from '../redis/failures.ts'
import { RedisLeaseStore } from '../redis/lease-store.ts'
import { RedisUsedTokens } from '../redis/used-tokens.ts'
import { within } from './drain.ts'

/** A moment at the end of the process, which whoever ends it has to grant. */
const GIVE_BACK_MS = 1000

export interface SharedState {
  readonly leases: RedisLeaseStore
  readonly drains: RedisDrainStore
  readonly usedTokens: RedisUsedTokens
  readonly isConnected: boolean
  /** Called each time that Redis can be asked again. */
  onReady(listener: () => void): void
  /** Resolves when it is connected, or it is known that it is not there now. */
  start(): Promise<void>
  /** Lets tokens of clients that were just refused be given back first, for `GIVE_BACK_MS` at most. */
  close(): Promise<void>
}

/** `null`: no Redis is configured. */
export function createSharedState(
  { redisLeaseMs, redisPrefix, redisTimeoutMs, redisUrl }: RelayOptions,
  {
    clock,
    logger,
    metrics,
  }: { readonly clock: Clock; readonly logger: Logger; readonly metrics: RelayMetrics },
): SharedState | null {
  if (redisUrl === null) return null
  const listeners: (() => void)[] = []
  const failures = new RedisFailures(clock, createRegionLog(logger), metrics)
  const connection = new RedisConnection({
    url: redisUrl,
    timeoutMs: redisTimeoutMs,
    clock,
    failures,
    onReady: () => {
      for (const listener of listeners) listener()
    },
  })
  const usedTokens = new RedisUsedTokens(connection, failures, redisPrefix, clock)
  return {
    leases: new RedisLeaseStore({ connection, failures, prefix: redisPrefix, leaseMs: redisLeaseMs }),
    drains: new RedisDrainStore({ connection, failures, prefix: redisPrefix }),
    usedTokens,
    get isConnected() {
      return connection.isReady
    },
    onReady: listener => {
      listeners.push(listener)
    },
    start: async () => connection.start(),
    close: async () => {
      await within(clock, usedTokens.whenIdle(), GIVE_BACK_MS)
      connection.close()
    },
  }
}
