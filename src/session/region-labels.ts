/**
 * Closed lists of what happens between the sessions and the regions: values of labels and of log fields, shared by the
 * adapters that do not import each other.
 */

export const BREAKER_STATES = ['closed', 'open', 'half_open'] as const
export type BreakerState = (typeof BREAKER_STATES)[number]

/** `quota`: full by our own count. `throttled`: Amazon says so. `failed`: a connection, or the credentials for it. */
export const SPILL_REASONS = ['quota', 'throttled', 'breaker', 'draining', 'failed'] as const
export type SpillReason = (typeof SPILL_REASONS)[number]

/** Why somebody waits no more without a stream. `displaced`: by somebody who has fewer waiting. */
export const QUEUE_REFUSALS = ['full', 'timeout', 'displaced'] as const
export type QueueRefusal = (typeof QUEUE_REFUSALS)[number]

export const REDIS_OPERATIONS = ['acquire', 'renew', 'release', 'token', 'drains', 'connect'] as const
export type RedisOperation = (typeof REDIS_OPERATIONS)[number]

/** One region now, for operators and for the metrics. */
export interface RegionReport {
  readonly region: string
  readonly breaker: BreakerState
  readonly draining: boolean
  /** Counted against the quota: of all relays that count together, else of this process. */
  readonly streams: number
  /** 0: not counted. */
  readonly streamLimit: number
}

/**
 * Who does what an operator ordered. `relay`: the one that was asked. `shared`: all that share its store. `pending`: the one
 * that was asked, until the store answers, and then all.
 */
export const DRAIN_SCOPES = ['relay', 'shared', 'pending'] as const
export type DrainScope = (typeof DRAIN_SCOPES)[number]

export interface OrderedRegion extends RegionReport {
  /** Of the last order. */
  readonly scope: DrainScope
}

/** What an operator does with regions. */
export interface RegionControl {
  report(): readonly OrderedRegion[]
  /** Lets streams go elsewhere, or come again. `ageMs`: ordered so long ago; 0: now. `null`: there is no such region. */
  order(region: string, isDraining: boolean, ageMs?: number): Promise<DrainScope | null>
}
