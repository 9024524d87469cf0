/**
 * Leaves a region alone that does not let anybody connect, and finds out with one connection whether it does again.
 *
 *     closed ── failures in a row ──▶ open ── time ──▶ half-open ── the probe opens ──▶ closed
 *                                      ▲                  └──────── the probe fails ─────┐
 *                                      └────────────────────────────────────────────────┘
 *
 * Pure: the time is handed in. Who was let through says what became of it, once: `succeed`, `fail`, or `abandon` when it
 * was given up before that was known. Those let through before it opened may answer late; that changes nothing.
 */
import type { BreakerState } from '../session/region-labels.ts'

export interface BreakerLimits {
  /** Failures in a row that open it. */
  readonly failures: number
  /** How long nobody is let through. */
  readonly openMs: number
}

/** What came of asking: `probe` is the one that a half-open breaker lets through. */
export type Passage = 'free' | 'probe'

export class CircuitBreaker {
  readonly #limits: BreakerLimits
  #failuresInRow = 0
  /** Monotonic; `null`: closed. */
  #openedAtMs: number | null = null
  #isProbing = false
  #opened = 0

  constructor(limits: BreakerLimits) {
    this.#limits = limits
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened
  }

  stateAt(nowMs: number): BreakerState {
    if (this.#openedAtMs === null) return 'closed'
    return nowMs - this.#openedAtMs < this.#limits.openMs ? 'open' : 'half_open'
  }

  /** Whether `enter` would let somebody through. */
  isPassable(nowMs: number): boolean {
    const state = this.stateAt(nowMs)
    return state === 'closed' || (state === 'half_open' && !this.#isProbing)
  }

  /** `null`: nobody may connect now. */
  enter(nowMs: number): Passage | null {
    if (!this.isPassable(nowMs)) return null
    if (this.#openedAtMs === null) return 'free'
    this.#isProbing = true
    return 'probe'
  }

  succeed(passage: Passage): void {
    if (passage === 'probe') this.#isProbing = false
    else if (this.#openedAtMs !== null) return
    this.#openedAtMs = null
    this.#failuresInRow = 0
  }

  fail(passage: Passage, nowMs: number): void {
    if (passage === 'probe') {
      this.#isProbing = false
      return this.#open(nowMs)
    }
    if (this.#openedAtMs !== null) return
    this.#failuresInRow += 1
    if (this.#failuresInRow >= this.#limits.failures) this.#open(nowMs)
  }

  /** Nothing was learned; another one may probe. */
  abandon(passage: Passage): void {
    if (passage === 'probe') this.#isProbing = false
  }

  /** Milliseconds until it may let one through; 0: now, or as soon as the probe is done. */
  waitMs(nowMs: number): number {
    if (this.#openedAtMs === null) return 0
    return Math.max(0, this.#openedAtMs + this.#limits.openMs - nowMs)
  }

  #open(nowMs: number): void {
    this.#openedAtMs = nowMs
    this.#failuresInRow = 0
    this.#opened += 1
  }
}
