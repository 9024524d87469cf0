/**
 * One timer for all sessions of a process: each has a slot in a round of one chunk's duration, and is called when its slot
 * comes by. Lateness is what the generator itself adds, so it is recorded.
 */
export interface WheelRider {
  wheelOnTurn(): void
}

const SLOT_MS = 1

export class TimerWheel {
  readonly #slots: WheelRider[][]
  readonly #onLate: (lateMs: number) => void
  readonly #startedMs = performance.now()
  #handledSlot = 0
  #timer: NodeJS.Timeout | null = null
  #addedCount = 0

  /** `onLate` is called once for every slot with riders. */
  constructor(roundMs: number, onLate: (lateMs: number) => void) {
    this.#slots = Array.from({ length: Math.max(1, Math.round(roundMs / SLOT_MS)) }, () => [])
    this.#onLate = onLate
  }

  /** Riders spread evenly over the round, in whatever number they come (the golden ratio fills the largest gap). */
  add(rider: WheelRider): void {
    const share = (this.#addedCount++ * 0.618_033_988_75) % 1
    this.#slots[Math.floor(share * this.#slots.length)]?.push(rider)
  }

  remove(rider: WheelRider): void {
    for (const slot of this.#slots) {
      const index = slot.indexOf(rider)
      if (index !== -1) slot.splice(index, 1)
    }
  }

  start(): void {
    this.#timer = setInterval(() => this.#turn(), SLOT_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }

  #turn(): void {
    const elapsedMs = performance.now() - this.#startedMs
    const nowSlot = Math.floor(elapsedMs / SLOT_MS)
    while (this.#handledSlot < nowSlot) {
      this.#handledSlot++
      const riders = this.#slots[this.#handledSlot % this.#slots.length] ?? []
      if (riders.length === 0) continue
      this.#onLate(performance.now() - this.#startedMs - this.#handledSlot * SLOT_MS)
      for (const rider of riders) rider.wheelOnTurn()
    }
  }
}
