/**
 * A bound on connections that are being opened at the same time.
 *
 * A handshake is a hundred times the work of an audio frame. When a thousand clients come at once (a restart, a lost
 * network), a thousand handshakes at once all take longer than their time-out, and all of them are done again. In turn,
 * each is quick. First come, first served; the wait counts against the deadline of the dial, not of its connections.
 */

/** A turn: waited for, then held. */
export interface DialSlot {
  /** Leaves the queue, or lets the next one in. May be called again. */
  release(): void
}

/** Figures of all dials of a process, written here and read at scrape. */
export interface DialSlotMetrics {
  upstreamDialsWaiting: number
}

export class DialSlots {
  readonly #limit: number
  readonly #metrics: DialSlotMetrics
  /** In the order in which they came. */
  readonly #waiting = new Map<DialSlot, () => void>()
  readonly #held = new Set<DialSlot>()

  constructor(limit: number, metrics: DialSlotMetrics) {
    this.#limit = limit
    this.#metrics = metrics
  }

  /** Calls `onTurn` once, when there is room, unless the slot was released before; never before this returns. */
  take(onTurn: () => void): DialSlot {
    const slot: DialSlot = { release: () => this.#release(slot) }
    this.#waiting.set(slot, onTurn)
    this.#metrics.upstreamDialsWaiting += 1
    queueMicrotask(() => this.#admit())
    return slot
  }

  #release(slot: DialSlot): void {
    if (this.#waiting.delete(slot)) this.#metrics.upstreamDialsWaiting -= 1
    else if (this.#held.delete(slot)) this.#admit()
  }

  #admit(): void {
    for (const [slot, onTurn] of this.#waiting) {
      if (this.#held.size >= this.#limit) return
      this.#waiting.delete(slot)
      this.#metrics.upstreamDialsWaiting -= 1
      this.#held.add(slot)
      onTurn()
    }
  }
}
