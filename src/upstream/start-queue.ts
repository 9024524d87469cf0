/**
 * Who waits for a stream, and whose turn it is. Bounded, and fair: principals take turns, whoever has a thousand waiting
 * and whoever has one.
 *
 * Sessions that may go to different regions wait in different lanes, so that one that may go nowhere does not keep the
 * others. Sessions under way come before new ones of their lane. When the queue is full, somebody new takes the place of the
 * last of whoever has the most waiting, unless that is the same principal. Pure: nothing here knows the time.
 */

export interface Waiter {
  /** Regions it may go to. */
  readonly lane: string
  readonly principal: string
  readonly isContinuation: boolean
}

interface Lane<W> {
  /** By principal, in the order of their turns. A set keeps its order. */
  readonly continuing: Map<string, Set<W>>
  readonly starting: Map<string, Set<W>>
}

export class StartQueue<W extends Waiter> {
  readonly #maxWaiting: number
  readonly #lanes = new Map<string, Lane<W>>()
  readonly #countByPrincipal = new Map<string, number>()
  #size = 0

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  get size(): number {
    return this.#size
  }

  get isFull(): boolean {
    return this.#size >= this.#maxWaiting
  }

  /** Whoever waits, in the order of the lanes' first arrivals. */
  get lanes(): readonly string[] {
    return [...this.#lanes.keys()]
  }

  /** Whether somebody waits who comes before such a newcomer. */
  hasBefore(lane: string, isContinuation: boolean): boolean {
    const waiting = this.#lanes.get(lane)
    if (waiting === undefined) return false
    return waiting.continuing.size > 0 || (!isContinuation && waiting.starting.size > 0)
  }

  /** `entered`: in the queue now. `displaced`: who had to leave for it. */
  enter(waiter: W): { readonly entered: boolean; readonly displaced: W | null } {
    const displaced = this.isFull ? this.#findDisplaced(waiter) : null
    if (displaced !== null) this.leave(displaced)
    if (this.isFull) return { entered: false, displaced: null }
    const lane = this.#lanes.get(waiter.lane) ?? { continuing: new Map(), starting: new Map() }
    this.#lanes.set(waiter.lane, lane)
    const side = sideOf(lane, waiter)
    const own = side.get(waiter.principal) ?? new Set<W>()
    side.set(waiter.principal, own.add(waiter))
    this.#size += 1
    this.#countByPrincipal.set(waiter.principal, this.#countOf(waiter.principal) + 1)
    return { entered: true, displaced }
  }

  /** Whose turn it is. */
  first(lane: string): W | null {
    const waiting = this.#lanes.get(lane)
    if (waiting === undefined) return null
    for (const side of [waiting.continuing, waiting.starting]) {
      for (const own of side.values()) for (const waiter of own) return waiter
    }
    return null
  }

  /** It has its stream: the next turn is another principal's. */
  serve(waiter: W): void {
    if (!this.leave(waiter)) return
    const lane = this.#lanes.get(waiter.lane)
    if (lane === undefined) return
    const side = sideOf(lane, waiter)
    const own = side.get(waiter.principal)
    if (own === undefined) return
    side.delete(waiter.principal)
    side.set(waiter.principal, own)
  }

  /** It waits no more. Says whether it did. */
  leave(waiter: W): boolean {
    const lane = this.#lanes.get(waiter.lane)
    if (lane === undefined) return false
    const side = sideOf(lane, waiter)
    const own = side.get(waiter.principal)
    if (own?.delete(waiter) !== true) return false
    if (own.size === 0) side.delete(waiter.principal)
    if (lane.continuing.size === 0 && lane.starting.size === 0) this.#lanes.delete(waiter.lane)
    this.#size -= 1
    const left = this.#countOf(waiter.principal) - 1
    if (left === 0) this.#countByPrincipal.delete(waiter.principal)
    else this.#countByPrincipal.set(waiter.principal, left)
    return true
  }

  #countOf(principal: string): number {
    return this.#countByPrincipal.get(principal) ?? 0
  }

  /** The last newcomer of whoever has the most waiting; sessions under way are not displaced. */
  #findDisplaced({ principal }: W): W | null {
    let most: string | null = null
    for (const [other, count] of this.#countByPrincipal) {
      if (most === null || count > this.#countOf(most)) most = other
    }
    if (most === null || most === principal || this.#countOf(most) <= this.#countOf(principal) + 1)
      return null
    let last: W | null = null
    for (const { starting } of this.#lanes.values()) {
      for (const waiter of starting.get(most) ?? []) last = waiter
    }
    return last
  }
}

function sideOf<W>({ continuing, starting }: Lane<W>, { isContinuation }: Waiter): Map<string, Set<W>> {
  return isContinuation ? continuing : starting
}
