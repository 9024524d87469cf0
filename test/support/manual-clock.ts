/**
 * A clock that stands still until a test moves it. Timers fire inside `advance`, in the order of their due times
 * (first set first fired when equal), each seeing the time at which it was due.
 */
import type { Clock, Timer } from '../../src/clock.ts'

interface Pending {
  dueMs: number
  readonly intervalMs: number | null
  readonly order: number
  readonly action: () => void
}

export class ManualClock implements Clock {
  readonly #startMs: number
  readonly #pending = new Set<Pending>()
  #elapsedMs = 0
  #order = 0

  /** `startMs`: the wall clock at the start, milliseconds since 1970. */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs
  }

  now(): number {
    return this.#startMs + this.#elapsedMs
  }

  monotonicMs(): number {
    return this.#elapsedMs
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.#add(delayMs, null, action)
  }

  setTicker(intervalMs: number, action: () => void): Timer {
    return this.#add(intervalMs, intervalMs, action)
  }

  /** How many timers and tickers wait. Zero at the end of a test means that nothing was left behind. */
  get pendingTimers(): number {
    return this.#pending.size
  }

  advance(ms: number): void {
    const untilMs = this.#elapsedMs + ms
    for (let next = this.#nextDue(untilMs); next !== null; next = this.#nextDue(untilMs)) {
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs)
      if (next.intervalMs === null) this.#pending.delete(next)
      else next.dueMs += next.intervalMs
      next.action()
    }
    this.#elapsedMs = untilMs
  }

  #add(delayMs: number, intervalMs: number | null, action: () => void): Timer {
    if (intervalMs !== null && !(intervalMs > 0))
      throw new RangeError(`intervalMs must be above 0, got ${intervalMs}`)
    const pending: Pending = {
      dueMs: this.#elapsedMs + Math.max(0, delayMs),
      intervalMs,
      order: this.#order++,
      action,
    }
    this.#pending.add(pending)
    return { cancel: () => void this.#pending.delete(pending) }
  }

  #nextDue(untilMs: number): Pending | null {
    let next: Pending | null = null
    for (const pending of this.#pending) {
      if (pending.dueMs > untilMs) continue
      if (
        next === null ||
        pending.dueMs < next.dueMs ||
        (pending.dueMs === next.dueMs && pending.order < next.order)
      ) {
        next = pending
      }
    }
    return next
  }
}
