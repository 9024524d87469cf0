/**
 * The way of results to the client: held back by the latency, in order, and last of all the close. Faults that delay
 * finals or cut the stream after some results act here.
 */
import type { Clock, Timer } from '../clock.ts'
import type { DeliveryFault } from './fault-script.ts'
import type { WireResult } from './wire-results.ts'

export interface OutboxListener {
  outboxOnResults(results: readonly WireResult[]): void
  /** The fault `dropAfterResults` is due. */
  outboxOnDrop(): void
  /** Everything that was put in before `finish` is out. */
  outboxOnFinish(): void
}

type Entry = { readonly results: readonly WireResult[] } | 'finish'

export class ResultOutbox {
  readonly #clock: Clock
  readonly #latencyMs: number
  readonly #finalDelayMs: number
  readonly #listener: OutboxListener
  #resultsUntilDrop: number
  readonly #waiting: { readonly dueMs: number; readonly entry: Entry }[] = []
  #timer: Timer | null = null
  #isClosed = false

  constructor(clock: Clock, latencyMs: number, faults: readonly DeliveryFault[], listener: OutboxListener) {
    this.#clock = clock
    this.#latencyMs = latencyMs
    this.#listener = listener
    let finalDelayMs = 0
    let resultsUntilDrop = Infinity
    for (const fault of faults) {
      if (fault.do === 'delayFinals') finalDelayMs += fault.delayMs
      else resultsUntilDrop = Math.min(resultsUntilDrop, fault.results)
    }
    this.#finalDelayMs = finalDelayMs
    this.#resultsUntilDrop = resultsUntilDrop
  }

  put(results: readonly WireResult[]): void {
    const isFinal = results.some(result => !result.IsPartial)
    this.#add(this.#latencyMs + (isFinal ? this.#finalDelayMs : 0), { results })
  }

  finish(): void {
    this.#add(this.#latencyMs, 'finish')
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#waiting.length = 0
  }

  #add(delayMs: number, entry: Entry): void {
    if (this.#isClosed) return
    if (delayMs === 0 && this.#waiting.length === 0) {
      this.#deliver(entry)
      return
    }
    // Never before what came earlier: one delayed final holds back everything behind it.
    const lastDueMs = this.#waiting.at(-1)?.dueMs ?? 0
    this.#waiting.push({ dueMs: Math.max(this.#clock.monotonicMs() + delayMs, lastDueMs), entry })
    if (this.#waiting.length === 1) this.#arm()
  }

  #arm(): void {
    const next = this.#waiting[0]
    if (next === undefined || this.#isClosed) return
    this.#timer = this.#clock.setTimer(next.dueMs - this.#clock.monotonicMs(), () => this.#flushDue())
  }

  #flushDue(): void {
    const nowMs = this.#clock.monotonicMs()
    // A timer may fire a fraction of a millisecond early.
    for (
      let next = this.#waiting[0];
      next !== undefined && next.dueMs <= nowMs + 1;
      next = this.#waiting[0]
    ) {
      this.#waiting.shift()
      this.#deliver(next.entry)
    }
    this.#arm()
  }

  #deliver(entry: Entry): void {
    if (entry === 'finish') {
      this.#listener.outboxOnFinish()
      return
    }
    this.#listener.outboxOnResults(entry.results)
    this.#resultsUntilDrop -= entry.results.length
    if (this.#resultsUntilDrop <= 0 && !this.#isClosed) {
      this.close()
      this.#listener.outboxOnDrop()
    }
  }
}
