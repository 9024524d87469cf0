/**
 * What an AWS account allows in a region: streams at once and starts a second. A stream is asked for before it is dialled
 * and given back when it is gone.
 *
 * `LocalQuota` counts in this process: the whole quota, or a part of it where several relays share one. Counting together
 * is `shared-quota.ts`.
 */
import type { Clock } from '../clock.ts'
import { StartWindow } from './start-window.ts'

export interface QuotaSize {
  /** 0: not counted. */
  readonly streams: number
  /** 0: not counted. */
  readonly startsPerSecond: number
  /** Streams that only sessions under way may take. */
  readonly reservedStreams: number
}

/** One stream. `release` is called once, when it is gone. */
export interface Lease {
  release(): void
}

export type LeaseAnswer =
  | { readonly isGranted: true; readonly lease: Lease }
  /** `retryInMs`: when asking again makes sense; streams may be given back sooner. */
  | { readonly isGranted: false; readonly retryInMs: number }

export interface StreamQuota {
  /** `isContinuation`: for a session under way. Never rejects. */
  take(isContinuation: boolean): Promise<LeaseAnswer>
  /** Streams counted, and how many there may be; 0: any number. */
  readonly figures: { readonly used: number; readonly limit: number }
}

/** Streams end at any time, and who waits is told so; this is for what nobody tells. */
export const FULL_RETRY_MS = 250

/**
 * The part of a quota that one of `shares` processes takes. The parts together are never more than the whole, unless there
 * are more processes than streams: none may be left with nothing.
 */
export function shareOf({ startsPerSecond, streams, reservedStreams }: QuotaSize, shares: number): QuotaSize {
  return {
    streams: streams === 0 ? 0 : Math.max(1, Math.floor(streams / shares)),
    startsPerSecond: startsPerSecond / shares,
    reservedStreams,
  }
}

/** Streams that a session may find taken. A quota of one has no room for a reserve. */
export function roomFor({ reservedStreams, streams }: QuotaSize, isContinuation: boolean): number {
  return isContinuation ? streams : streams - Math.min(reservedStreams, streams - 1)
}

export class LocalQuota implements StreamQuota {
  readonly #size: QuotaSize
  readonly #clock: Clock
  readonly #window: StartWindow
  #used = 0

  constructor(size: QuotaSize, clock: Clock) {
    this.#size = size
    this.#clock = clock
    this.#window = new StartWindow(size.startsPerSecond)
  }

  get figures(): { readonly used: number; readonly limit: number } {
    return { used: this.#used, limit: this.#size.streams }
  }

  async take(isContinuation: boolean): Promise<LeaseAnswer> {
    return this.takeNow(isContinuation)
  }

  takeNow(isContinuation: boolean): LeaseAnswer {
    const nowMs = this.#clock.monotonicMs()
    const { streams } = this.#size
    if (streams > 0 && this.#used >= roomFor(this.#size, isContinuation)) {
      return { isGranted: false, retryInMs: FULL_RETRY_MS }
    }
    const waitMs = this.#window.waitMs(nowMs)
    if (waitMs > 0) return { isGranted: false, retryInMs: waitMs }
    this.#window.count(nowMs)
    return { isGranted: true, lease: this.enter() }
  }

  /** Counts a stream that was granted elsewhere, whether there is room or not. */
  enter(): Lease {
    let isHeld = true
    this.#used += 1
    return {
      release: () => {
        if (!isHeld) return
        isHeld = false
        this.#used -= 1
      },
    }
  }
}
