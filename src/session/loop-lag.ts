/**
 * How late the event loop is, from how late a regular call comes: smoothed, so that one long pause of the garbage
 * collector is no overload, and a loop that is late again and again is.
 */

/** Weight of the newest sample: a lag that lasts shows by half after three of them. */
const NEWEST_WEIGHT = 0.2

export class LoopLag {
  readonly #intervalMs: number
  #lastMs: number | null = null
  #smoothedMs = 0

  /** `intervalMs`: between two calls of `measure`, when nothing is late. */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs
  }

  /** To be called regularly. Returns the lag, milliseconds. */
  measure(nowMs: number): number {
    const lateMs = this.#lastMs === null ? 0 : Math.max(0, nowMs - this.#lastMs - this.#intervalMs)
    this.#lastMs = nowMs
    this.#smoothedMs += (lateMs - this.#smoothedMs) * NEWEST_WEIGHT
    return this.#smoothedMs
  }
}
