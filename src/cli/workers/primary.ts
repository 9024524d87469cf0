/**
 * The primary process of a relay of several workers. It has no client and no native code: it opens the operations port,
 * starts the workers, answers operators for all of them, and ends them in order.
 */
import { availableParallelism } from 'node:os'
import type { RelayOptions } from '../../config/options.ts'
import { ConfigError } from '../../config/problems.ts'
import type { Logger } from '../../log.ts'
import { createLogger } from '../../log.ts'
import type { Exposition } from '../../metrics/snapshot.ts'
import type { WorkerState } from '../../metrics/workers.ts'
import { PrimaryMetrics, WORKER_STATES } from '../../metrics/workers.ts'
import { memoryLimit } from '../../relay/admission.ts'
import { clientUrl } from '../../relay/network.ts'
import { reachableHost } from '../../server/address.ts'
import { longestDrainMs } from '../../relay/drain.ts'
import { openFilesRule } from '../../server/file-limit.ts'
import type { OpsServer, Readiness } from '../../server/ops.ts'
import { createOpsServer } from '../../server/ops.ts'
import type { DrainScope, OrderedRegion } from '../../session/region-labels.ts'
import { createRelayName } from '../../session/resume-token.ts'
import { VERSION } from '../../version.ts'
import type { CommandContext } from '../command.ts'
import { CommandError } from '../command.ts'
import { loggedService } from '../logged-service.ts'
import type { Service } from '../service-loop.ts'
import { describeListenFailure, runService } from '../service-loop.ts'
import { findClientPort } from './client-port.ts'
import type { WorkerReport } from './ports.ts'
import { judgeReadiness } from './readiness.ts'
import { mergeRegions } from './regions.ts'
import { countWorkers, divideOptions } from './share.ts'
import type { SupervisorEvents } from './supervisor.ts'
import { WorkerSupervisor } from './supervisor.ts'

/** Below the second that a probe of Kubernetes waits unless told otherwise. */
const READINESS_WAIT_MS = 500
/** Well below the ten seconds of a scrape. */
const METRICS_WAIT_MS = 2000
/** On top of what a worker takes for its drain: traces, log, exit. */
const DRAIN_SLACK_MS = 15_000

/** How many workers `options` mean on this machine. 1: there is no primary. */
export function countWorkersHere(options: RelayOptions): number {
  return countWorkers(options, availableParallelism())
}

/** Runs until it is stopped; resolves with the exit code. Throws `ConfigError`, `CommandError`. */
export async function runPrimary(
  options: RelayOptions,
  workers: number,
  { clock, events, spawnWorker }: CommandContext,
): Promise<number> {
  const rule = openFilesRule(options.maxSessions, workers)
  if (rule !== null)
    throw new ConfigError([{ path: 'option maxSessions', value: String(options.maxSessions), rule }])
  const primary = new Primary(options, workers, { clock, spawnWorker })
  return runService(() => primary.start(), {
    clock,
    events: {
      onStopSignal: listener => events.onStopSignal(listener),
      onCrash(listener) {
        primary.onGiveUp(listener)
        return events.onCrash(listener)
      },
    },
  })
}

class Primary implements SupervisorEvents {
  readonly #options: RelayOptions
  readonly #workers: number
  readonly #context: Pick<CommandContext, 'clock' | 'spawnWorker'>
  readonly #logger: Logger
  readonly #metrics: PrimaryMetrics
  readonly #ops: OpsServer
  #supervisor: WorkerSupervisor | null = null
  #giveUpListener: ((error: Error) => void) | null = null

  constructor(
    options: RelayOptions,
    workers: number,
    context: Pick<CommandContext, 'clock' | 'spawnWorker'>,
  ) {
    this.#options = options
    this.#workers = workers
    this.#context = context
    this.#logger = createLogger({ level: options.logLevel, version: VERSION, sharesOutput: true })
    this.#metrics = new PrimaryMetrics({
      workers: () => this.#countStates(),
      logLines: () => this.#logger.lines,
      lostLogLines: () => this.#logger.lostLines(),
    })
    this.#ops = createOpsServer({
      host: options.opsHost,
      port: options.opsPort,
      readiness: () => this.#readiness(),
      scrape: () => this.#scrape(),
      regions: {
        report: () => this.#reportRegions(),
        order: (region, isDraining) => this.#orderRegion(region, isDraining),
      },
      onFailure: error => this.#logger.error('operations port failed', { error }),
    })
  }

  /** The listener hears that the relay cannot go on, and has to drain and fail. */
  onGiveUp(listener: (error: Error) => void): void {
    this.#giveUpListener = listener
  }

  async start(): Promise<Service> {
    const { host, opsHost, opsPort } = this.#options
    const operations = await this.#listen(`${opsHost} port ${opsPort} (opsPort)`)
    try {
      const port = await findClientPort(host, this.#options.port)
      const supervisor = this.#createSupervisor(port, operations)
      this.#supervisor = supervisor
      await supervisor.start()
      this.#logger.info('workers started', {
        workers: this.#workers,
        pids: [...supervisor.pids.values()],
        listening: clientUrl({ host, port }, this.#options),
        operations: `http://${reachableHost(operations.host)}:${operations.port}`,
      })
      return loggedService(
        { drain: () => this.#drain(supervisor), close: () => this.#close(supervisor) },
        this.#logger,
      )
    } catch (error) {
      await this.#ops.close()
      throw error
    }
  }

  supervisorOnRestarted(worker: number): void {
    this.#metrics.countRestart()
    this.#logger.info('worker restarted', { worker, pid: this.#supervisor?.pids.get(worker) })
  }

  supervisorOnDeath(worker: number, reason: string, restartInMs: number | null): void {
    this.#metrics.retire(worker)
    this.#logger.error('worker ended', { worker, reason, restart_in_ms: restartInMs })
  }

  supervisorOnHang(worker: number, reason: string): void {
    this.#logger.error('worker killed', { worker, reason })
  }

  supervisorOnReport(worker: number, { metrics }: WorkerReport): void {
    if (metrics !== null) this.#metrics.hear(worker, metrics)
  }

  supervisorOnGiveUp(error: Error): void {
    this.#giveUpListener?.(error)
  }

  #createSupervisor(
    port: number,
    operations: { readonly host: string; readonly port: number },
  ): WorkerSupervisor {
    const relayName = createRelayName()
    const parts = divideOptions(
      { ...this.#options, port },
      this.#workers,
      memoryLimit(this.#options.memoryLimitBytes),
    )
    return new WorkerSupervisor({
      starts: parts.map((options, index) => {
        return { worker: index + 1, workers: this.#workers, relayName, options, operations }
      }),
      spawn: this.#context.spawnWorker,
      clock: this.#context.clock,
      events: this,
      drainLimitMs: longestDrainMs(this.#options) + DRAIN_SLACK_MS,
    })
  }

  async #listen(what: string): Promise<{ readonly host: string; readonly port: number }> {
    try {
      return await this.#ops.listen()
    } catch (error) {
      const reason = describeListenFailure(error, what)
      throw reason === null ? error : new CommandError(reason, { cause: error })
    }
  }

  /** Throws when sessions may have lost their last results. */
  async #drain(supervisor: WorkerSupervisor): Promise<void> {
    const disorderly = await supervisor.drain()
    await this.#stop()
    if (disorderly.length > 0)
      throw new CommandError(`did not end in order: worker ${disorderly.join(', worker ')}`)
  }

  async #close(supervisor: WorkerSupervisor): Promise<void> {
    await supervisor.close()
    await this.#stop()
  }

  async #stop(): Promise<void> {
    await this.#ops.close()
    this.#logger.info('workers stopped')
  }

  async #readiness(): Promise<Readiness> {
    return this.#judge(await this.#ask(false, READINESS_WAIT_MS))
  }

  async #scrape(): Promise<Exposition> {
    const reports = await this.#ask(true, METRICS_WAIT_MS)
    // One that starts has nothing to tell yet, and one that is gone nothing more; that is no answer missed.
    const running = [...this.#states()].filter(
      ([worker, state]) => reports.has(worker) && (state === 'running' || state === 'draining'),
    )
    return this.#metrics.scrape({
      isReady: this.#judge(reports).ready,
      answered: new Map(running.map(([worker]) => [worker, (reports.get(worker)?.metrics ?? null) !== null])),
    })
  }

  async #reportRegions(): Promise<readonly OrderedRegion[]> {
    return this.#merge(await this.#ask(false, READINESS_WAIT_MS))
  }

  #merge(reports: ReadonlyMap<number, WorkerReport | null>): readonly OrderedRegion[] {
    return mergeRegions(reports, this.#options.redisUrl !== null)
  }

  async #orderRegion(region: string, isDraining: boolean): Promise<DrainScope | null> {
    if (this.#supervisor?.regions.includes(region) !== true) return null
    const timeoutMs = this.#options.redisTimeoutMs + READINESS_WAIT_MS
    const done = this.#merge(await this.#supervisor.orderRegion(region, isDraining, timeoutMs))
    // Nobody answered in time: they do it as soon as they can, and may not have told it.
    return done.find(report => report.region === region)?.scope ?? 'pending'
  }

  #judge(reports: ReadonlyMap<number, WorkerReport | null>): Readiness {
    return judgeReadiness(
      [...this.#states()].map(([worker, state]) => ({
        worker,
        state,
        readiness: reports.get(worker)?.readiness ?? null,
      })),
    )
  }

  async #ask(withMetrics: boolean, timeoutMs: number): Promise<ReadonlyMap<number, WorkerReport | null>> {
    return (await this.#supervisor?.ask(withMetrics, timeoutMs)) ?? new Map()
  }

  /** Before there is a supervisor, none has started. */
  #states(): ReadonlyMap<number, WorkerState> {
    if (this.#supervisor !== null) return this.#supervisor.states
    return new Map(Array.from({ length: this.#workers }, (_, index) => [index + 1, 'starting']))
  }

  #countStates(): Record<WorkerState, number> {
    const states = [...this.#states().values()]
    const counts = WORKER_STATES.map(state => [state, states.filter(each => each === state).length] as const)
    return Object.fromEntries(counts) as Record<WorkerState, number>
  }
}
