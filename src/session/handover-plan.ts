/**
 * When an open stream is to be replaced before it ends by itself: its maximum duration, and the end of the credentials
 * that opened it.
 *
 * The next stream is opened in the last `handoverLeadMs`: just after a final result, because then there is least to be said
 * again; in the second half of that time whenever no segment of speech is open; at its end whoever speaks.
 */
import type { SessionLimits } from './limits.ts'
import type { PlannedReason } from './rollover-policy.ts'

/** New credentials may end as soon as the old ones: no stream is replaced for them before it is so old. */
const MIN_AGE_MS = 60_000
/** The pause that ends a segment, and some time for its result. */
const LITTLE_SECONDS = 3

export class HandoverPlan {
  #reason: PlannedReason
  #earliestMs: number
  #latestMs: number

  /** `credentialsLeftMs`: from the opening of the stream to the end of its credentials; `null`: they do not end. */
  constructor(
    { maxStreamMs, handoverLeadMs }: Pick<SessionLimits, 'maxStreamMs' | 'handoverLeadMs'>,
    openedMs: number,
    credentialsLeftMs: number | null,
  ) {
    // Once more the same time ahead: the service may count from another moment than we do.
    const credentialsMs = Math.max((credentialsLeftMs ?? Infinity) - handoverLeadMs, MIN_AGE_MS)
    this.#reason = credentialsMs < maxStreamMs ? 'credentials_expiring' : 'max_duration'
    this.#latestMs = openedMs + Math.min(credentialsMs, maxStreamMs)
    this.#earliestMs = Math.min(
      this.#latestMs,
      Math.max(
        this.#latestMs - handoverLeadMs,
        credentialsMs < maxStreamMs ? openedMs + MIN_AGE_MS : openedMs,
      ),
    )
  }

  /** Before this `isDue` answers no, whatever it is told: what has to be found out for it need not be. */
  isNear(nowMs: number): boolean {
    return nowMs >= this.#earliestMs
  }

  /** `uncoveredSeconds`: audio since the last word of a final result, which the next stream is given again. */
  isDue(nowMs: number, hasOpenSegment: boolean, uncoveredSeconds: number): boolean {
    if (nowMs >= this.#latestMs) return true
    if (nowMs < this.#earliestMs || hasOpenSegment) return false
    return uncoveredSeconds <= LITTLE_SECONDS || nowMs >= (this.#earliestMs + this.#latestMs) / 2
  }

  get reason(): PlannedReason {
    return this.#reason
  }

  /** Streams of the region are to go elsewhere: at the next good moment, and by `latestMs` whoever speaks. */
  leaveRegion(nowMs: number, latestMs: number): void {
    if (this.#reason === 'region_draining') return
    this.#reason = 'region_draining'
    this.#earliestMs = Math.min(this.#earliestMs, nowMs)
    this.#latestMs = Math.min(this.#latestMs, latestMs)
  }

  /** The next stream could not be opened; not before `untilMs` again. */
  postpone(untilMs: number): void {
    this.#latestMs = Math.max(this.#latestMs, untilMs)
    this.#earliestMs = untilMs
  }
}
