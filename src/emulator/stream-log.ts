/**
 * The records of all streams, and the ways to wait for one. Bounded: live streams by the quotas, finished ones by
 * `keepStreams`.
 */
import type { StreamLedger, StreamRecord } from './stream-record.ts'

interface Waiter {
  readonly matches: (record: StreamRecord) => boolean
  readonly resolve: (record: StreamRecord) => void
  readonly reject: (error: Error) => void
}

export class StreamLog {
  readonly #keepStreams: number
  /** By number, oldest first. */
  readonly #records = new Map<number, StreamLedger>()
  readonly #waiters = new Set<Waiter>()
  #finishedCount = 0
  #startedCount = 0
  #lastHandedOut = 0

  constructor(keepStreams: number) {
    this.#keepStreams = keepStreams
  }

  /** The number for the next stream, from 1. */
  nextNumber(): number {
    return ++this.#startedCount
  }

  all(): readonly StreamRecord[] {
    return [...this.#records.values()]
  }

  add(record: StreamLedger): void {
    this.#records.set(record.number, record)
    this.#wake(record)
  }

  changed(record: StreamLedger): void {
    if (this.#waiters.size > 0) this.#wake(record)
  }

  finished(record: StreamLedger): void {
    this.#wake(record)
    this.#finishedCount++
    if (this.#finishedCount <= this.#keepStreams) return
    for (const old of this.#records.values()) {
      if (old.isLive) continue
      this.#records.delete(old.number)
      this.#finishedCount--
      return
    }
  }

  /** The oldest stream that was not handed out before, or the next one to come. */
  async next(): Promise<StreamRecord> {
    const record = await this.waitFor(({ number }) => number > this.#lastHandedOut)
    this.#lastHandedOut = Math.max(this.#lastHandedOut, record.number)
    return record
  }

  waitFor(matches: (record: StreamRecord) => boolean): Promise<StreamRecord> {
    for (const record of this.#records.values()) if (matches(record)) return Promise.resolve(record)
    return new Promise((resolve, reject) => this.#waiters.add({ matches, resolve, reject }))
  }

  /** Whoever still waits will wait in vain. */
  close(): void {
    for (const waiter of this.#waiters) waiter.reject(new Error('The emulator was closed.'))
    this.#waiters.clear()
  }

  #wake(record: StreamLedger): void {
    for (const waiter of this.#waiters) {
      if (!waiter.matches(record)) continue
      this.#waiters.delete(waiter)
      waiter.resolve(record)
    }
  }
}
