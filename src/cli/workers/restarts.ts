/**
 * When a worker that died is started again: soon after the first death, later after each further one within a minute,
 * whichever worker it was; and not at all once there are too many, because then something is wrong that no restart mends.
 */

export const MAX_DEATHS_PER_MINUTE = 10
const FIRST_BACKOFF_MS = 100
export const MAX_BACKOFF_MS = 5000
const MINUTE_MS = 60_000

export class RestartPolicy {
  #deathsAtMs: readonly number[] = []

  /** After a death: how long to wait, ms; `null`: give up. */
  delayAfterDeath(nowMs: number): number | null {
    this.#deathsAtMs = [...this.#deathsAtMs.filter(atMs => nowMs - atMs < MINUTE_MS), nowMs]
    const deaths = this.#deathsAtMs.length
    if (deaths > MAX_DEATHS_PER_MINUTE) return null
    return Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (deaths - 1))
  }
}
