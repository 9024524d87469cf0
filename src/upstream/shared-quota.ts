/**
 * The quota of an account, counted together by several relays in a store.
 *
 * Each stream is a lease in the store, which ends by itself unless it is renewed: so the leases of a relay that was killed
 * come back. While the store does not answer, the quota is either closed (nothing starts) or open: then this relay counts
 * alone, by its part of the quota. Streams that were let in meanwhile are told to the store once it is back.
 */
import { randomUUID } from 'node:crypto'
import type { Clock, Timer } from '../clock.ts'
import type { WindowSize } from './start-window.ts'
import { windowOf } from './start-window.ts'
import type { Lease, LeaseAnswer, QuotaSize, StreamQuota } from './stream-quota.ts'
import { FULL_RETRY_MS, LocalQuota, roomFor, shareOf } from './stream-quota.ts'

export interface LeaseRequest {
  readonly region: string
  readonly leaseId: string
  /** Most leases there may be before this one; 0: any number. */
  readonly room: number
  /** `null`: starts are not counted. */
  readonly window: WindowSize | null
}

export interface StoreAnswer {
  readonly isGranted: boolean
  /** Leases of all relays. */
  readonly used: number
  /** Until the next start may be; 0: it is the streams that are full. */
  readonly retryInMs: number
}

/** Every method rejects when the store does not answer; whoever implements it counts and tells that. */
export interface LeaseStore {
  acquire(request: LeaseRequest): Promise<StoreAnswer>
  /** Counts these leases, also where they had ended. */
  renew(region: string, leaseIds: readonly string[]): Promise<void>
  release(region: string, leaseId: string): Promise<void>
}

export interface SharedQuotaParts {
  readonly region: string
  /** Of the account. */
  readonly size: QuotaSize
  readonly shares: number
  readonly store: LeaseStore
  readonly clock: Clock
  /** Leases end so long after they were renewed. */
  readonly leaseMs: number
  readonly isOpenOnFailure: boolean
}

const RENEWALS_PER_LEASE = 3
/** Renewed at a time: the store keeps everybody else waiting meanwhile. */
const RENEW_BATCH = 500

export class SharedQuota implements StreamQuota {
  readonly #parts: SharedQuotaParts
  readonly #own: LocalQuota
  readonly #window: WindowSize | null
  readonly #held = new Set<string>()
  readonly #ticker: Timer
  #usedByAll = 0

  constructor(parts: SharedQuotaParts) {
    this.#parts = parts
    this.#own = new LocalQuota(shareOf(parts.size, parts.shares), parts.clock)
    this.#window = windowOf(parts.size.startsPerSecond)
    this.#ticker = parts.clock.setTicker(parts.leaseMs / RENEWALS_PER_LEASE, () => void this.#renew())
  }

  /** As far as is known here. */
  get figures(): { readonly used: number; readonly limit: number } {
    return { used: Math.max(this.#usedByAll, this.#held.size), limit: this.#parts.size.streams }
  }

  async take(isContinuation: boolean): Promise<LeaseAnswer> {
    const { isOpenOnFailure, region, size, store } = this.#parts
    const leaseId = randomUUID()
    const room = size.streams === 0 ? 0 : roomFor(size, isContinuation)
    try {
      const answer = await store.acquire({ region, leaseId, room, window: this.#window })
      this.#usedByAll = answer.used
      if (answer.isGranted) return { isGranted: true, lease: this.#hold(leaseId, this.#own.enter()) }
      return { isGranted: false, retryInMs: answer.retryInMs > 0 ? answer.retryInMs : FULL_RETRY_MS }
    } catch {
      // It may have been granted all the same, with the answer lost: then it ends by itself.
      if (!isOpenOnFailure) return { isGranted: false, retryInMs: FULL_RETRY_MS }
      const answer = this.#own.takeNow(isContinuation)
      return answer.isGranted ? { isGranted: true, lease: this.#hold(leaseId, answer.lease) } : answer
    }
  }

  /** Leases are told to the store now: it is back, or was emptied. */
  async refresh(): Promise<void> {
    await this.#renew()
  }

  close(): void {
    this.#ticker.cancel()
  }

  #hold(leaseId: string, own: Lease): Lease {
    const { region, store } = this.#parts
    this.#held.add(leaseId)
    return {
      release: () => {
        if (!this.#held.delete(leaseId)) return
        own.release()
        this.#usedByAll = Math.max(0, this.#usedByAll - 1)
        store.release(region, leaseId).catch(forgetLease)
      },
    }
  }

  async #renew(): Promise<void> {
    const { region, store } = this.#parts
    const leaseIds = [...this.#held]
    try {
      for (let start = 0; start < leaseIds.length; start += RENEW_BATCH) {
        // One that was given back meanwhile would begin anew.
        const batch = leaseIds.slice(start, start + RENEW_BATCH).filter(leaseId => this.#held.has(leaseId))
        await store.renew(region, batch)
      }
    } catch {
      // The next renewal is due in a third of the time that a lease lasts.
      return
    }
  }
}

/** Not given back, it is not renewed either, and ends by itself. */
function forgetLease(): void {}
