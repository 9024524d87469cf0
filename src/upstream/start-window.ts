/**
 * Starts of streams per second, counted exactly: in no stretch of time of the window's length are there more than it
 * may hold, however they fall. A rate below one a second makes the window longer.
 */

export interface WindowSize {
  readonly starts: number
  readonly windowMs: number
}

const SECOND_MS = 1000

/** `startsPerSecond` 0: any number. A fraction of a start is none: 2.5 a second are 2 in 800 ms. */
export function windowOf(startsPerSecond: number): WindowSize | null {
  if (startsPerSecond === 0) return null
  const starts = Math.max(1, Math.floor(startsPerSecond))
  return { starts, windowMs: (starts / startsPerSecond) * SECOND_MS }
}

export class StartWindow {
  readonly #size: WindowSize | null
  /** Times of the last starts, oldest first; at most as many as the window may hold. */
  readonly #starts: number[] = []

  constructor(startsPerSecond: number) {
    this.#size = windowOf(startsPerSecond)
  }

  /** Milliseconds until the next start may be; 0: now. */
  waitMs(nowMs: number): number {
    const size = this.#size
    if (size === null || this.#starts.length < size.starts) return 0
    const [oldestMs = nowMs] = this.#starts
    return Math.max(0, oldestMs + size.windowMs - nowMs)
  }

  count(nowMs: number): void {
    const size = this.#size
    if (size === null) return
    this.#starts.push(nowMs)
    if (this.#starts.length > size.starts) this.#starts.shift()
  }
}
