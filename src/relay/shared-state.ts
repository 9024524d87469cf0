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

export interface SharedState {
  readonly leases: RedisLeaseStore
  readonly drains: RedisDrainStore
  readonly usedTokens: RedisUsedTokens
  readonly isConnected: boolean
  /** Called each time that Redis can be asked again. */
  onReady(listener: () => void): void
  /** Resolves when it is connected, or it is known that it is not there now. */
  start(): Promise<void>
  close(): void
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
    failures,
    onReady: () => {
      for (const listener of listeners) listener()
    },
  })
  return {
    leases: new RedisLeaseStore({ connection, failures, prefix: redisPrefix, leaseMs: redisLeaseMs }),
    drains: new RedisDrainStore({ connection, failures, prefix: redisPrefix }),
    usedTokens: new RedisUsedTokens(connection, failures, redisPrefix, clock),
    get isConnected() {
      return connection.isReady
    },
    onReady: listener => {
      listeners.push(listener)
    },
    start: async () => connection.start(),
    close: () => connection.close(),
  }
}
