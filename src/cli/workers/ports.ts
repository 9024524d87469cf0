/**
 * What the primary process and its workers say to each other, and the two ends of the line between them. `main.ts` makes
 * the ends out of Node's child processes; a test makes them in memory.
 */
import type { ConfigProblem } from '../../config/problems.ts'
import type { RelayOptions } from '../../config/options.ts'
import type { MetricsSnapshot } from '../../metrics/snapshot.ts'
import type { Readiness } from '../../server/ops.ts'
import type { OrderedRegion } from '../../session/region-labels.ts'

/** The only word of a worker's command line. Without a primary it is an unknown option. */
export const WORKER_ARGUMENT = '--worker'

export interface WorkerStart {
  /** From 1. */
  readonly worker: number
  /** How many workers there are. */
  readonly workers: number
  /** The same for all workers, in the tokens of sessions that can be resumed. */
  readonly relayName: string
  /** Its share of `maxSessions`, and a `port` that is not 0. */
  readonly options: RelayOptions
  /** Where the primary answers operators, for the log. */
  readonly operations: { readonly host: string; readonly port: number }
}

/** What an operator said of a region, `ageMs` ago; 0: now. */
export interface RegionOrder {
  readonly region: string
  readonly isDraining: boolean
  readonly ageMs: number
}

/** From the primary to a worker. `drain` comes once, `close` after it or instead. */
export type Order =
  | { readonly type: 'start'; readonly start: WorkerStart }
  | { readonly type: 'ask'; readonly id: number; readonly withMetrics: boolean }
  /** Answered like `ask`, once it is done. */
  | { readonly type: 'region'; readonly id: number; readonly order: RegionOrder }
  | { readonly type: 'drain' }
  | { readonly type: 'close' }

/** From a worker to the primary. */
export type News =
  /** `regions`: those it has, the same for all workers and for ever. */
  | { readonly type: 'started'; readonly regions: readonly string[] }
  | { readonly type: 'failed'; readonly failure: StartFailure }
  | { readonly type: 'answer'; readonly id: number; readonly report: WorkerReport }

/** Why a worker could not start. With problems, its options do not fit the machine. */
export interface StartFailure {
  readonly message: string
  readonly problems: readonly ConfigProblem[]
}

/** `EAGAIN`, `ENOMEM` and the like pass: what they end is a start, and not the relay. */
export function failureOfSpawn(error: unknown): StartFailure {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown reason'
  return { message: `a worker process could not be started: ${code}`, problems: [] }
}

export interface WorkerReport {
  readonly readiness: Readiness
  /** `null`: not asked for, or not to be had. */
  readonly metrics: MetricsSnapshot | null
  readonly regions: readonly OrderedRegion[]
}

/** How a process ended: one of the two. */
export interface WorkerExit {
  readonly code: number | null
  readonly signal: string | null
}

export interface WorkerEvents {
  workerOnNews(news: News): void
  /** Once, after all its news; also when it could not be started. */
  workerOnExit(exit: WorkerExit): void
}

/** A worker as the primary has it. */
export interface WorkerProcess {
  readonly pid: number | undefined
  /** Does nothing when the worker is gone. */
  send(order: Order): void
  /** Ends it whatever it does. */
  kill(): void
}

/** Throws, or tells by `workerOnExit`, when the system has no process to give. */
export type SpawnWorker = (events: WorkerEvents) => WorkerProcess

/** The primary as a worker has it. */
export interface PrimaryChannel {
  /** Resolves when it is on its way, or the primary is gone. */
  send(news: News): Promise<void>
  listen(events: { primaryOnOrder(order: Order): void; primaryOnGone(): void }): void
}
