/**
 * The place of one worker, and the process that fills it now. Knows whether the process starts, runs or drains, asks it,
 * and ends it when it does not answer any more. What a death means is the supervisor's.
 */
import type { Clock, Timer } from '../../clock.ts'
import { failureOfSpawn } from './ports.ts'
import type { News, Order, RegionOrder, SpawnWorker, StartFailure } from './ports.ts'
import type { WorkerExit, WorkerProcess, WorkerReport, WorkerStart } from './ports.ts'

/** Ours: loading takes seconds on a busy machine. */
export const START_TIMEOUT_MS = 60_000
/** Ours: as patient as a liveness probe should be. */
export const BEAT_MS = 10_000
export const MAX_MISSED_BEATS = 6

export interface SlotEvents {
  slotOnStarted(slot: WorkerSlot, regions: readonly string[]): void
  /** Told by the worker; its exit follows. */
  slotOnFailed(slot: WorkerSlot, failure: StartFailure): void
  slotOnHang(slot: WorkerSlot, what: string): void
  /** Every answer, also one that comes too late for who asked; none after the exit of its process. */
  slotOnReport(slot: WorkerSlot, report: WorkerReport): void
  slotOnExit(slot: WorkerSlot, exit: WorkerExit): void
}

export interface SlotContext {
  readonly clock: Clock
  readonly spawn: SpawnWorker
  readonly events: SlotEvents
}

/** `empty`: there is no process. */
export type SlotState = 'empty' | 'starting' | 'running' | 'draining'

export class WorkerSlot {
  readonly worker: number
  readonly #start: WorkerStart
  readonly #context: SlotContext
  #process: WorkerProcess | null = null
  #state: SlotState = 'empty'
  #startTimer: Timer | null = null
  #missedBeats = 0
  #lastQuestion = 0
  readonly #questions = new Map<number, (report: WorkerReport | null) => void>()

  constructor(start: WorkerStart, context: SlotContext) {
    this.worker = start.worker
    this.#start = start
    this.#context = context
  }

  get state(): SlotState {
    return this.#state
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  /** Starts a process in an empty slot. */
  begin(): void {
    this.#state = 'starting'
    this.#missedBeats = 0
    this.#startTimer = this.#context.clock.setTimer(START_TIMEOUT_MS, () =>
      this.#endHanging('does not start'),
    )
    try {
      this.#process = this.#context.spawn({
        workerOnNews: news => this.#workerOnNews(news),
        workerOnExit: exit => this.#workerOnExit(exit),
      })
    } catch (error) {
      // Not at once: whoever starts several learns of it like of any other death, after it has begun them all.
      queueMicrotask(() => this.#endUnstarted(error))
      return
    }
    this.#process.send({ type: 'start', start: this.#start })
  }

  /** `null`: it did not answer in time, or there is nobody to ask. */
  async ask(withMetrics: boolean, timeoutMs: number): Promise<WorkerReport | null> {
    return this.#question(id => ({ type: 'ask', id, withMetrics }), timeoutMs)
  }

  /** Resolves with what it says once it has done so. `null` as for `ask`. */
  async orderRegion(order: RegionOrder, timeoutMs: number): Promise<WorkerReport | null> {
    return this.#question(id => ({ type: 'region', id, order }), timeoutMs)
  }

  async #question(orderOf: (id: number) => Order, timeoutMs: number): Promise<WorkerReport | null> {
    const asked = this.#process
    if (asked === null || this.#state === 'starting') return null
    this.#lastQuestion += 1
    const id = this.#lastQuestion
    return new Promise(resolve => {
      const settle = (report: WorkerReport | null): void => {
        timer.cancel()
        this.#questions.delete(id)
        resolve(report)
      }
      const timer = this.#context.clock.setTimer(timeoutMs, () => settle(null))
      this.#questions.set(id, settle)
      asked.send(orderOf(id))
    })
  }

  /**
   * Every `BEAT_MS`: a process that has not answered several times has stopped working. Beats are counted, not time: a
   * machine that slept through the night is no reason.
   */
  beat(): void {
    if (this.#state !== 'running' && this.#state !== 'draining') return
    if (this.#missedBeats >= MAX_MISSED_BEATS) {
      this.#endHanging('does not answer')
      return
    }
    this.#missedBeats += 1
    void this.ask(false, BEAT_MS)
  }

  drain(): void {
    if (this.#state === 'empty' || this.#state === 'draining') return
    this.#state = 'draining'
    this.#process?.send({ type: 'drain' })
  }

  close(): void {
    if (this.#state === 'empty') return
    this.#state = 'draining'
    this.#process?.send({ type: 'close' })
  }

  kill(): void {
    this.#process?.kill()
  }

  #workerOnNews(news: News): void {
    switch (news.type) {
      case 'started':
        this.#startTimer?.cancel()
        if (this.#state !== 'starting') return
        this.#state = 'running'
        this.#context.events.slotOnStarted(this, news.regions)
        return
      case 'failed':
        this.#context.events.slotOnFailed(this, news.failure)
        return
      default:
        this.#missedBeats = 0
        this.#context.events.slotOnReport(this, news.report)
        this.#questions.get(news.id)?.(news.report)
    }
  }

  #workerOnExit(exit: WorkerExit): void {
    this.#startTimer?.cancel()
    this.#state = 'empty'
    this.#process = null
    for (const settle of this.#questions.values()) settle(null)
    this.#context.events.slotOnExit(this, exit)
  }

  #endUnstarted(error: unknown): void {
    this.#context.events.slotOnFailed(this, failureOfSpawn(error))
    this.#workerOnExit({ code: null, signal: null })
  }

  #endHanging(what: string): void {
    this.#context.events.slotOnHang(this, what)
    this.kill()
  }
}
