/**
 * One region on the way out: its dialer, its quota, its breaker, and whether streams may be started there now.
 */
import type { Clock } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import type { BreakerState, RegionReport, SpillReason } from '../session/region-labels.ts'
import type { BreakerLimits, Passage } from './circuit-breaker.ts'
import { CircuitBreaker } from './circuit-breaker.ts'
import type { CredentialSource } from './credentials.ts'
import type { DialGate, RegionalDialer } from './dial.ts'
import type { RegionLog } from './regions.ts'
import type { StreamQuota } from './stream-quota.ts'

export interface RegionLineParts {
  readonly name: string
  readonly clock: Clock
  readonly dialer: RegionalDialer
  readonly quota: StreamQuota
  readonly credentials: Pick<CredentialSource, 'readiness'>
  readonly breaker: BreakerLimits
  readonly log: RegionLog
  /** Streams may be started here again, or sooner than was said. */
  readonly onRoom: () => void
}

/** After a refusal for the quota the region counts as full for so long: everybody else would be refused as well. */
const THROTTLED_MS = 1000
/** Then streams are started one after another, so far apart, until there was no refusal for a while. */
const CAUTIOUS_SPACING_MS = 250
const CAUTIOUS_MS = 10_000

/** Failures that say something about the region, and not about the request or this machine. */
const REGION_FAILURES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_error',
  'upstream_protocol',
  'upstream_closed',
  'upstream_auth',
])

export class RegionLine {
  readonly name: string
  readonly dialer: RegionalDialer
  readonly quota: StreamQuota
  readonly #clock: Clock
  readonly #credentials: RegionLineParts['credentials']
  readonly #breaker: CircuitBreaker
  readonly #log: RegionLog
  readonly #onRoom: () => void
  #isDraining = false
  #throttledUntilMs = -Infinity
  #cautiousUntilMs = -Infinity

  constructor({ breaker, clock, credentials, dialer, log, name, onRoom, quota }: RegionLineParts) {
    this.name = name
    this.dialer = dialer
    this.quota = quota
    this.#clock = clock
    this.#credentials = credentials
    this.#breaker = new CircuitBreaker(breaker)
    this.#log = log
    this.#onRoom = onRoom
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  get breakerState(): BreakerState {
    return this.#breaker.stateAt(this.#clock.monotonicMs())
  }

  /** Why no stream may be started here now, whatever the quota; `null`: one may. */
  get obstacle(): Exclude<SpillReason, 'quota' | 'failed'> | null {
    const nowMs = this.#clock.monotonicMs()
    if (this.#isDraining) return 'draining'
    if (nowMs < this.#throttledUntilMs) return 'throttled'
    return this.#breaker.isPassable(nowMs) ? null : 'breaker'
  }

  /**
   * There are none, and the last attempt to get some failed: a dial would wait for the next one, probably in vain. No obstacle,
   * as the dial knows better what to say of it. Not before the first attempt has an end: then it is mostly worth the wait.
   */
  get lacksCredentials(): boolean {
    const { ready, reason } = this.#credentials.readiness()
    return !ready && reason !== 'credentials_pending'
  }

  /** Whether a stream would start here now, whatever the quota, as far as that is known. */
  get isOpen(): boolean {
    return this.obstacle === null && !this.lacksCredentials
  }

  /** Whether the quota has a stream left, as far as that is known: it is asked when one is wanted. */
  get hasRoom(): boolean {
    const { used, limit } = this.quota.figures
    return limit === 0 || used < limit
  }

  /** Milliseconds until the obstacle may be gone. */
  get obstacleMs(): number {
    const nowMs = this.#clock.monotonicMs()
    return Math.max(0, this.#throttledUntilMs - nowMs, this.#breaker.waitMs(nowMs))
  }

  get report(): RegionReport {
    const { used, limit } = this.quota.figures
    return {
      region: this.name,
      breaker: this.breakerState,
      draining: this.#isDraining,
      streams: used,
      streamLimit: limit,
    }
  }

  setDraining(isDraining: boolean): void {
    if (this.#isDraining === isDraining) return
    this.#isDraining = isDraining
    this.#log.regionOnDrain({ region: this.name, isDraining })
    if (!isDraining) this.#onRoom()
  }

  /** Amazon says that the quota is used up. */
  throttle(): void {
    const nowMs = this.#clock.monotonicMs()
    this.#throttledUntilMs = nowMs + THROTTLED_MS
    this.#cautiousUntilMs = nowMs + CAUTIOUS_MS
  }

  /** A stream is being started. */
  started(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#cautiousUntilMs) this.#throttledUntilMs = nowMs + CAUTIOUS_SPACING_MS
  }

  /** A stream of this region is gone. */
  freed(): void {
    this.#onRoom()
  }

  /** For one dial. `mayRetry`: whether it should stay here after a passing trouble. */
  createGate(mayRetry: () => boolean): RegionGate {
    return new RegionGate(this.#breaker, this.#clock, mayRetry, hasOpened => this.#breakerOnChange(hasOpened))
  }

  #breakerOnChange(hasOpened: boolean): void {
    this.#log.regionOnBreaker({ region: this.name, state: hasOpened ? 'open' : 'closed' })
    if (!hasOpened) this.#onRoom()
  }
}

/** Tells the breaker what becomes of the connections of one dial. */
export class RegionGate implements DialGate {
  readonly #breaker: CircuitBreaker
  readonly #clock: Clock
  readonly #wantsRetry: () => boolean
  readonly #onChange: (hasOpened: boolean) => void
  #passage: Passage | null = null
  #wasRefused = false
  #connections = 0

  constructor(
    breaker: CircuitBreaker,
    clock: Clock,
    mayRetry: () => boolean,
    onChange: (hasOpened: boolean) => void,
  ) {
    this.#breaker = breaker
    this.#clock = clock
    this.#wantsRetry = mayRetry
    this.#onChange = onChange
  }

  /** The dial ended because the breaker let nobody through, not because of what it met. */
  get wasRefused(): boolean {
    return this.#wasRefused
  }

  /** Tried so far. */
  get connections(): number {
    return this.#connections
  }

  enter(): boolean {
    this.#passage = this.#breaker.enter(this.#clock.monotonicMs())
    this.#wasRefused = this.#passage === null
    if (!this.#wasRefused) this.#connections += 1
    return !this.#wasRefused
  }

  settle(failure: ErrorCode | null): void {
    const passage = this.#passage
    if (passage === null) return
    this.#passage = null
    const nowMs = this.#clock.monotonicMs()
    const wasClosed = this.#breaker.stateAt(nowMs) === 'closed'
    const openedBefore = this.#breaker.opened
    if (failure === null) this.#breaker.succeed(passage)
    else if (REGION_FAILURES.has(failure)) this.#breaker.fail(passage, nowMs)
    // It answered, if only to say no.
    else if (failure === 'upstream_throttled' || failure === 'upstream_bad_request')
      this.#breaker.succeed(passage)
    else this.#breaker.abandon(passage)
    // A probe that failed changes nothing for anybody.
    if (wasClosed && this.#breaker.opened > openedBefore) this.#onChange(true)
    else if (!wasClosed && this.#breaker.stateAt(nowMs) === 'closed') this.#onChange(false)
  }

  abandon(): void {
    if (this.#passage !== null) this.#breaker.abandon(this.#passage)
    this.#passage = null
  }

  mayRetry(): boolean {
    return this.#breaker.isPassable(this.#clock.monotonicMs()) && this.#wantsRetry()
  }
}
