/**
 * How often something may happen: a bucket that refuses without a debt, so that who keeps asking is served again in time.
 */

/** Unused rate that is saved up, in seconds of it. */
const BURST_SECONDS = 2
/** Sums of fractions are off by less; without it a wait of 1 ms would be told as 2. */
const ROUNDING_MS = 1e-6

export class RateLimit {
  readonly #perMs: number
  readonly #capacity: number
  #tokens: number
  #filledAtMs: number

  /** `burst`: how many may come at once; `left`: how many of them are left at the start. */
  constructor(perSecond: number, nowMs: number, burst = perSecond * BURST_SECONDS, left = Infinity) {
    this.#perMs = perSecond / 1000
    this.#capacity = Math.max(1, burst)
    this.#tokens = Math.min(left, this.#capacity)
    this.#filledAtMs = nowMs
  }

  /** 0 when it may happen now, and then it has; else how long until it may, milliseconds. */
  take(nowMs: number): number {
    this.#fill(nowMs)
    if (this.#tokens >= 1) {
      this.#tokens -= 1
      return 0
    }
    return Math.ceil((1 - this.#tokens) / this.#perMs - ROUNDING_MS)
  }

  /** How many may happen now. */
  left(nowMs: number): number {
    this.#fill(nowMs)
    return this.#tokens
  }

  /** Nothing to remember: a new one would say the same. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs)
    return this.#tokens >= this.#capacity
  }

  #fill(nowMs: number): void {
    this.#tokens = Math.min(this.#capacity, this.#tokens + (nowMs - this.#filledAtMs) * this.#perMs)
    this.#filledAtMs = nowMs
  }
}
