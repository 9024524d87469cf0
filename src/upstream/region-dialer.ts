/**
 * Dials whichever region takes the stream: the first of the list that has room and answers.
 *
 *     ask for a stream ─ room ──▶ dial ─ opens ────────────▶ stream ─ gone ─▶ room
 *        ▲    │ none anywhere       │ refused, failed: the next region
 *        │    ▼                     ▼ none left
 *        └─ wait (bounded, fair) ─ too long, too many ─────▶ failure
 *
 * A stream is asked for at the quota before it is dialled and given back when it is gone, so what is counted is never less
 * than what is open. Here is what all dials share: the regions, the queue, the budget of retries; one dial is
 * `region-dial.ts`.
 */
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { RegionReport } from '../session/region-labels.ts'
import type { Dial, DialRequest, UpstreamDialer, UpstreamListener } from '../session/ports.ts'
import { RegionDial } from './region-dial.ts'
import type { Seat } from './region-dial.ts'
import type { RegionLine } from './region-line.ts'
import type { RegionMetrics } from './regions.ts'
import { RetryBudget } from './retry-budget.ts'
import { StartQueue } from './start-queue.ts'

export interface RegionDialerLimits {
  readonly dialAttempts: number
  readonly dialDeadlineMs: number
  readonly startQueueLength: number
  readonly startQueueMs: number
}

export interface RegionDialerParts {
  readonly clock: Clock
  /** `onRoom` is to be called by the lines. At least one line. */
  readonly createLines: (onRoom: () => void) => readonly RegionLine[]
  readonly metrics: RegionMetrics
  readonly limits: RegionDialerLimits
}

/** Asking again never comes sooner, nor much later than room that nobody tells of. */
const MIN_RETRY_MS = 20
const MAX_RETRY_MS = 1000

export class RegionDialer implements UpstreamDialer {
  readonly clock: Clock
  readonly limits: RegionDialerLimits
  readonly metrics: RegionMetrics
  readonly lines: readonly RegionLine[]
  readonly budget = new RetryBudget()
  readonly #queue: StartQueue<RegionDial>
  readonly #pumping = new Set<string>()
  /** Room came while the lane was being looked at. */
  readonly #again = new Set<string>()
  readonly #timers = new Map<string, Timer>()
  #isClosed = false

  constructor({ clock, createLines, limits, metrics }: RegionDialerParts) {
    this.clock = clock
    this.limits = limits
    this.metrics = metrics
    this.#queue = new StartQueue(limits.startQueueLength)
    this.lines = createLines(() => this.#pumpAll())
  }

  dial(request: DialRequest, listener: UpstreamListener): Dial {
    const dial = new RegionDial(this, request, listener)
    queueMicrotask(() => void dial.run())
    return dial
  }

  isLeaving(region: string, regions: readonly string[] | null): boolean {
    const line = this.lines.find(({ name }) => name === region)
    if (line?.isDraining !== true) return false
    return this.linesOf(regions).some(({ isOpen }) => isOpen)
  }

  linesOf(regions: readonly string[] | null | undefined): readonly RegionLine[] {
    return regions == null ? this.lines : this.lines.filter(({ name }) => regions.includes(name))
  }

  /** Sessions that wait for a stream. */
  get waiting(): number {
    return this.#queue.size
  }

  /** `null`, or why a client is better refused before its session begins. */
  refusal(): RelayError | null {
    if (this.limits.startQueueLength === 0 || !this.#queue.isFull) return null
    return new RelayError('overloaded', { detail: 'the start queue is full' })
  }

  report(): readonly RegionReport[] {
    return this.lines.map(({ report }) => report)
  }

  /** `false`: there is no such region. */
  setDraining(region: string, isDraining: boolean): boolean {
    const line = this.lines.find(({ name }) => name === region)
    line?.setDraining(isDraining)
    return line !== undefined
  }

  /** Nobody is served any more. */
  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  // ── for the dials ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Somebody waits who comes first. */
  mustWait(dial: RegionDial): boolean {
    return this.#queue.hasBefore(dial.lane, dial.isContinuation)
  }

  /** Says whether it waits now; it will get `takeSeat` or gives up by itself (`leaveQueue`). */
  enterQueue(dial: RegionDial, retryInMs: number): boolean {
    const { entered, displaced } = this.#queue.enter(dial)
    displaced?.displace()
    if (entered) this.#schedule(dial.lane, retryInMs)
    return entered
  }

  leaveQueue(dial: RegionDial): void {
    this.#queue.leave(dial)
  }

  // ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #pumpAll(): void {
    for (const lane of this.#queue.lanes) void this.#pump(lane)
  }

  #schedule(lane: string, inMs: number): void {
    if (this.#isClosed || this.#timers.has(lane)) return
    const delayMs = Math.min(MAX_RETRY_MS, Math.max(MIN_RETRY_MS, inMs))
    const timer = this.clock.setTimer(delayMs, () => {
      this.#timers.delete(lane)
      void this.#pump(lane)
    })
    this.#timers.set(lane, timer)
  }

  /** Serves those who wait in a lane, in their order, until there is no room for the first. Never rejects. */
  async #pump(lane: string): Promise<void> {
    if (this.#pumping.has(lane)) {
      this.#again.add(lane)
      return
    }
    this.#pumping.add(lane)
    let found: Seat | number = 0
    do {
      this.#again.delete(lane)
      const first = this.#queue.first(lane)
      if (first === null || this.#isClosed) break
      found = await first.findSeat()
      if (typeof found !== 'number') this.#serve(first, found)
    } while (typeof found !== 'number' || this.#again.has(lane))
    this.#pumping.delete(lane)
    if (this.#queue.first(lane) !== null && typeof found === 'number') this.#schedule(lane, found)
  }

  /** It may have given up meanwhile: then what was found for it is given back, and its place was another's already. */
  #serve(dial: RegionDial, seat: Seat): void {
    this.#queue.serve(dial)
    dial.takeSeat(seat)
  }
}
