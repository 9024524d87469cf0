/**
 * Which regions operators have emptied: by the word of this process, or of all relays that share a store.
 *
 *     an order ─▶ the store ─ answers ──────▶ what the store says counts; the other relays hear it at their next exchange
 *                     └────── does not ─────▶ the order counts here; it is told again until the store has it
 *
 * Every relay exchanges what it knows with the store when it starts and every `DRAIN_EXCHANGE_MS`. While the store does not
 * answer, what was known last stands. A store that lost its memory is told again by each relay; of two words the later counts.
 */
import type { Clock, Timer } from '../clock.ts'
import type { DrainScope, OrderedRegion, RegionControl, RegionReport } from '../session/region-labels.ts'

export interface DrainWord {
  readonly region: string
  readonly isDraining: boolean
  /** Positive: the time of the store, as it told it. Not positive: said `-atMs` ago. */
  readonly atMs: number
}

export interface DrainStore {
  /** Tells what is known here; resolves with the last word about every region. Rejects when the store does not answer. */
  exchange(words: readonly DrainWord[]): Promise<readonly DrainWord[]>
}

/** What is emptied; matched by shape. */
export interface DrainableRegions {
  report(): readonly RegionReport[]
  /** `false`: there is no such region. */
  setDraining(region: string, isDraining: boolean): boolean
}

export interface RegionDrainsParts {
  readonly regions: DrainableRegions
  /** `null`: the word of an operator is for this process. */
  readonly store: DrainStore | null
  readonly clock: Clock
}

/** How often every relay asks: so long, and the time for an answer, until an order to one has reached all. */
export const DRAIN_EXCHANGE_MS = 2000

interface Order {
  readonly isDraining: boolean
  readonly orderedAtMs: number
  /** Not told yet: said now, whatever the clocks. */
  isFresh: boolean
}

export class RegionDrains implements RegionControl {
  readonly #regions: DrainableRegions
  readonly #store: DrainStore | null
  readonly #clock: Clock
  readonly #words = new Map<string, DrainWord>()
  /** Not known to be in the store. */
  readonly #orders = new Map<string, Order>()
  #ticker: Timer | null = null
  #isExchanging = false

  constructor({ clock, regions, store }: RegionDrainsParts) {
    this.#regions = regions
    this.#store = store
    this.#clock = clock
  }

  /** Resolves when it is known which regions are drained, or that the store does not answer. */
  async start(): Promise<void> {
    if (this.#store === null) return
    this.#ticker = this.#clock.setTicker(DRAIN_EXCHANGE_MS, () => void this.refresh())
    await this.#exchange(this.#store)
  }

  close(): void {
    this.#ticker?.cancel()
    this.#ticker = null
  }

  /** Now: the store is back, or it is time. Never rejects. */
  async refresh(): Promise<void> {
    if (this.#store === null || this.#ticker === null || this.#isExchanging) return
    this.#isExchanging = true
    await this.#exchange(this.#store)
    this.#isExchanging = false
  }

  report(): readonly OrderedRegion[] {
    return this.#regions.report().map(report => ({ ...report, scope: this.#scopeOf(report.region) }))
  }

  async order(region: string, isDraining: boolean, ageMs = 0): Promise<DrainScope | null> {
    if (!this.#regions.report().some(report => report.region === region)) return null
    const order = { isDraining, orderedAtMs: this.#clock.monotonicMs() - ageMs, isFresh: ageMs === 0 }
    if (this.#store === null) {
      this.#regions.setDraining(region, isDraining)
      return 'relay'
    }
    this.#orders.set(region, order)
    const isTold = await this.#exchange(this.#store)
    if (!isTold && this.#orders.get(region) === order) this.#regions.setDraining(region, isDraining)
    return this.#scopeOf(region)
  }

  #scopeOf(region: string): DrainScope {
    if (this.#store === null) return 'relay'
    return this.#orders.has(region) ? 'pending' : 'shared'
  }

  /** Says whether the store answered. */
  async #exchange(store: DrainStore): Promise<boolean> {
    const told = new Map(this.#orders)
    const words = new Map(this.#words)
    for (const [region, order] of told) words.set(region, this.#wordOf(region, order))
    try {
      const answer = await store.exchange([...words.values()])
      for (const [region, order] of told) {
        if (this.#orders.get(region) === order) this.#orders.delete(region)
      }
      for (const word of answer) this.#adopt(word)
      return true
    } catch {
      // Counted and told by the store. What is known stands, and is told at the next exchange.
      return false
    }
  }

  #wordOf(region: string, order: Order): DrainWord {
    const { isDraining, isFresh, orderedAtMs } = order
    order.isFresh = false
    const atMs = isFresh ? 0 : Math.min(-1, Math.round(orderedAtMs - this.#clock.monotonicMs()))
    return { region, isDraining, atMs }
  }

  /** What was ordered here meanwhile is later than the answer. */
  #adopt(word: DrainWord): void {
    if (this.#orders.has(word.region) || !this.#regions.setDraining(word.region, word.isDraining)) return
    this.#words.set(word.region, word)
  }
}
