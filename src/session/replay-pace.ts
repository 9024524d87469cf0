/**
 * How fast audio is sent again: faster than real time, so that a new stream catches up, and not all at once, because
 * the service works in about real time and holds what it is sent.
 */

/** May be sent at once. */
const BURST_SECONDS = 1

export class ReplayPace {
  readonly #bytesPerMs: number
  readonly #startedMs: number
  #allowedBytes: number

  /** `rate`: times real time. */
  constructor(bytesPerSecond: number, rate: number, nowMs: number) {
    this.#bytesPerMs = (bytesPerSecond * rate) / 1000
    this.#startedMs = nowMs
    this.#allowedBytes = bytesPerSecond * BURST_SECONDS
  }

  /** Whether the next piece may go now. */
  isDue(nowMs: number): boolean {
    return this.#allowedBytes + (nowMs - this.#startedMs) * this.#bytesPerMs > 0
  }

  take(audioBytes: number): void {
    this.#allowedBytes -= audioBytes
  }
}
