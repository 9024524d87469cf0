/**
 * At most so many lines a second, for lines that strangers can cause. What is left out is counted, and told with the next
 * line that is written.
 */
import type { Clock } from '../clock.ts'

export class LineQuota {
  readonly #linesPerSecond: number
  readonly #clock: Clock
  #secondStartedMs = -Infinity
  #lines = 0
  #skipped = 0

  constructor(linesPerSecond: number, clock: Clock) {
    this.#linesPerSecond = linesPerSecond
    this.#clock = clock
  }

  /** `null`: leave this line out. Else write it, with the number of those left out before it. */
  take(): number | null {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#secondStartedMs >= 1000) {
      this.#secondStartedMs = nowMs
      this.#lines = 0
    }
    if (this.#lines >= this.#linesPerSecond) {
      this.#skipped += 1
      return null
    }
    this.#lines += 1
    const skipped = this.#skipped
    this.#skipped = 0
    return skipped
  }
}
