/**
 * Time, injected. Everything that waits or measures takes a `Clock`, so that a test can own the time.
 */

/** A pending timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall clock, milliseconds since 1970. For signatures and log records; it may jump. */
  now(): number
  /** Monotonic clock, milliseconds with a fraction, from an arbitrary start. For every duration. */
  monotonicMs(): number
  /** Calls `action` once after `delayMs`. A pending timer keeps the process alive. */
  setTimer(delayMs: number, action: () => void): Timer
  /** Calls `action` every `intervalMs` until cancelled. Does not keep the process alive. */
  setTicker(intervalMs: number, action: () => void): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, action) {
    const handle = setTimeout(action, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
  setTicker(intervalMs, action) {
    const handle = setInterval(action, intervalMs)
    handle.unref()
    return { cancel: () => clearInterval(handle) }
  },
}
