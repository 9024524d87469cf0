/**
 * How many connections may be tried again, of all sessions of the process: on average one a stream asked for, so that an
 * outage at most doubles the connections instead of multiplying them by the attempts of each.
 */

/** Retries in hand when little is going on, and most that are saved up. */
const RESERVE = 10
const MOST = 100

export class RetryBudget {
  #tokens = RESERVE

  /** A stream is asked for. */
  deposit(): void {
    this.#tokens = Math.min(MOST, this.#tokens + 1)
  }

  /** Whether one connection more may be tried. */
  withdraw(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
