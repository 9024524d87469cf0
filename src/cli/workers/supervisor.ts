/**
 * Keeps the workers of a relay running: starts them, starts them again when they die, and ends them together.
 *
 * | what happens                                | what is done                                             |
 * | ------------------------------------------- | -------------------------------------------------------- |
 * | one cannot start when the relay starts      | the others are killed; the start fails for its reason    |
 * | one dies later                              | it is started again after a while (`restarts.ts`)        |
 * | too many died within a minute               | `supervisorOnGiveUp`, once; nothing is started any more  |
 * | one does not answer, or does not start      | it is killed, and so it has died                         |
 * | `drain`                                     | all drain, within a time; the rest is killed, and named  |
 *
 * Processes and time come from outside.
 */
import type { Clock, Timer } from '../../clock.ts'
import { ConfigError } from '../../config/problems.ts'
import type { WorkerState } from '../../metrics/workers.ts'
import { CommandError } from '../command.ts'
import type { SpawnWorker, StartFailure, WorkerExit, WorkerReport, WorkerStart } from './ports.ts'
import { MAX_DEATHS_PER_MINUTE, RestartPolicy } from './restarts.ts'
import type { SlotContext, SlotEvents } from './worker-slot.ts'
import { BEAT_MS, WorkerSlot } from './worker-slot.ts'

export interface SupervisorEvents {
  /** Started again; not told at the first start. */
  supervisorOnRestarted(worker: number): void
  /** `restartInMs`: `null` when it is not started again. */
  supervisorOnDeath(worker: number, reason: string, restartInMs: number | null): void
  supervisorOnHang(worker: number, reason: string): void
  /** Every answer of a process, before `supervisorOnDeath` tells its end. */
  supervisorOnReport(worker: number, report: WorkerReport): void
  supervisorOnGiveUp(error: Error): void
}

export interface SupervisorOptions {
  readonly starts: readonly WorkerStart[]
  readonly spawn: SpawnWorker
  readonly clock: Clock
  readonly events: SupervisorEvents
  /** More than a worker takes for a drain by its own limits. */
  readonly drainLimitMs: number
}

interface Starting {
  left: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  /** The first reason; the others are consequences. */
  error: Error | null
}

export class WorkerSupervisor implements SlotEvents {
  readonly #clock: Clock
  readonly #events: SupervisorEvents
  readonly #drainLimitMs: number
  readonly #slots: readonly WorkerSlot[]
  readonly #restarts = new RestartPolicy()
  readonly #restartTimers = new Map<WorkerSlot, Timer>()
  /** Workers that were killed, or failed, where they should have ended. */
  readonly #disorderly: number[] = []
  readonly #goneWaiters: (() => void)[] = []
  /** What slots said of their start; told with their exit. */
  readonly #failures = new Map<WorkerSlot, StartFailure>()
  #regions: readonly string[] = []
  /** Since when, on the clock. */
  readonly #drainingRegions = new Map<string, number>()
  #starting: Starting | null = null
  #ticker: Timer | null = null
  #isStopping = false
  #isClosing = false

  constructor({ starts, spawn, clock, events, drainLimitMs }: SupervisorOptions) {
    this.#clock = clock
    this.#events = events
    this.#drainLimitMs = drainLimitMs
    const context: SlotContext = { clock, spawn, events: this }
    this.#slots = starts.map(start => new WorkerSlot(start, context))
  }

  /** Resolves when all have started. Rejects when none runs any more because one could not. Once. */
  async start(): Promise<void> {
    this.#ticker = this.#clock.setTicker(BEAT_MS, () => this.#slots.forEach(slot => slot.beat()))
    await new Promise<void>((resolve, reject) => {
      this.#starting = { left: this.#slots.length, resolve, reject, error: null }
      for (const slot of this.#slots) slot.begin()
    })
  }

  get states(): ReadonlyMap<number, WorkerState> {
    return new Map(this.#slots.map(slot => [slot.worker, this.#stateOf(slot)]))
  }

  /** Known from the first worker that has started on, whether they answer or not. */
  get regions(): readonly string[] {
    return this.#regions
  }

  get pids(): ReadonlyMap<number, number | undefined> {
    return new Map(this.#slots.map(slot => [slot.worker, slot.pid]))
  }

  /** Asks all that are there at once. `null` for one that did not answer within `timeoutMs`. */
  async ask(withMetrics: boolean, timeoutMs: number): Promise<ReadonlyMap<number, WorkerReport | null>> {
    return this.#askEach(async slot => slot.ask(withMetrics, timeoutMs))
  }

  /** To all workers, and to those that are started later. Resolves with what they say once they have done so. */
  async orderRegion(
    region: string,
    isDraining: boolean,
    timeoutMs: number,
  ): Promise<ReadonlyMap<number, WorkerReport | null>> {
    if (isDraining) this.#drainingRegions.set(region, this.#clock.monotonicMs())
    else this.#drainingRegions.delete(region)
    return this.#askEach(async slot => slot.orderRegion({ region, isDraining, ageMs: 0 }, timeoutMs))
  }

  /** All deliver their last results and end. Resolves when none is left, with those that did not end in order. */
  async drain(): Promise<readonly number[]> {
    this.#stop()
    for (const slot of this.#slots) slot.drain()
    const limit = this.#clock.setTimer(this.#drainLimitMs, () => this.#killAll('does not end'))
    await this.#whenGone()
    limit.cancel()
    return this.#disorderly
  }

  /** All end at once. Resolves when none is left. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#stop()
    for (const slot of this.#slots) slot.close()
    await this.#whenGone()
  }

  slotOnStarted(slot: WorkerSlot, regions: readonly string[]): void {
    this.#regions = regions
    // With its age: meanwhile another relay may have been told the contrary.
    for (const [region, orderedAtMs] of this.#drainingRegions) {
      const ageMs = Math.max(1, Math.round(this.#clock.monotonicMs() - orderedAtMs))
      void slot.orderRegion({ region, isDraining: true, ageMs }, BEAT_MS)
    }
    if (this.#starting === null) {
      this.#events.supervisorOnRestarted(slot.worker)
      return
    }
    this.#starting.left -= 1
    if (this.#starting.left > 0) return
    this.#starting.resolve()
    this.#starting = null
  }

  slotOnFailed(slot: WorkerSlot, failure: StartFailure): void {
    this.#failures.set(slot, failure)
  }

  slotOnHang(slot: WorkerSlot, reason: string): void {
    this.#events.supervisorOnHang(slot.worker, reason)
  }

  slotOnReport(slot: WorkerSlot, report: WorkerReport): void {
    this.#events.supervisorOnReport(slot.worker, report)
  }

  slotOnExit(slot: WorkerSlot, exit: WorkerExit): void {
    const failure = this.#failures.get(slot)
    this.#failures.delete(slot)
    if (this.#starting !== null) this.#abandonStart(this.#starting, slot, failure, exit)
    else if (!this.#isStopping) this.#restartLater(slot, failure?.message ?? describeExit(exit))
    else if (exit.code !== 0 && !this.#isClosing) {
      this.#disorderly.push(slot.worker)
      this.#events.supervisorOnDeath(slot.worker, describeExit(exit), null)
    }
    this.#tellWhenGone()
  }

  #abandonStart(
    starting: Starting,
    slot: WorkerSlot,
    failure: StartFailure | undefined,
    exit: WorkerExit,
  ): void {
    starting.error ??= errorOf(failure ?? { message: endedEarly(slot.worker, exit), problems: [] })
    this.#stop()
    for (const other of this.#slots) other.kill()
    if (!this.#isGone()) return
    this.#starting = null
    starting.reject(starting.error)
  }

  #restartLater(slot: WorkerSlot, reason: string): void {
    const delayMs = this.#restarts.delayAfterDeath(this.#clock.monotonicMs())
    this.#events.supervisorOnDeath(slot.worker, reason, delayMs)
    if (delayMs === null) {
      this.#stop()
      this.#events.supervisorOnGiveUp(
        new CommandError(`more than ${MAX_DEATHS_PER_MINUTE} workers died within a minute`),
      )
      return
    }
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#restartTimers.delete(slot)
      slot.begin()
    })
    this.#restartTimers.set(slot, timer)
  }

  async #askEach(
    ask: (slot: WorkerSlot) => Promise<WorkerReport | null>,
  ): Promise<ReadonlyMap<number, WorkerReport | null>> {
    const there = this.#slots.filter(({ state }) => state !== 'empty')
    return new Map(await Promise.all(there.map(async slot => [slot.worker, await ask(slot)] as const)))
  }

  /** From here on nothing is started. */
  #stop(): void {
    this.#isStopping = true
    for (const timer of this.#restartTimers.values()) timer.cancel()
    this.#restartTimers.clear()
    this.#tellWhenGone()
  }

  #killAll(reason: string): void {
    for (const slot of this.#slots) {
      if (slot.state === 'empty') continue
      this.#events.supervisorOnHang(slot.worker, reason)
      slot.kill()
    }
  }

  async #whenGone(): Promise<void> {
    if (this.#isGone()) return
    await new Promise<void>(resolve => this.#goneWaiters.push(resolve))
  }

  #isGone(): boolean {
    return this.#slots.every(({ state }) => state === 'empty')
  }

  #tellWhenGone(): void {
    if (!this.#isStopping || !this.#isGone()) return
    this.#ticker?.cancel()
    for (const resolve of this.#goneWaiters.splice(0)) resolve()
  }

  #stateOf({ state }: WorkerSlot): WorkerState {
    if (this.#isStopping) return 'draining'
    return state === 'empty' ? 'restarting' : state
  }
}

function errorOf({ message, problems }: StartFailure): Error {
  return problems.length > 0 ? new ConfigError([...problems]) : new CommandError(message)
}

function endedEarly(worker: number, exit: WorkerExit): string {
  return `worker ${worker} ended before it had started: ${describeExit(exit)}`
}

function describeExit({ code, signal }: WorkerExit): string {
  if (signal !== null) return `killed by ${signal}`
  return code === null ? 'the process could not be started' : `exit code ${code}`
}
