/**
 * The figures of a relay of several workers: those of its workers made one, and some of its primary process.
 *
 * Counters never fall: what a worker had counted at its last answer stays in the sums when it is gone or late, because
 * Prometheus takes a fall for a restart and would count everything once more. Gauges are those of the workers that
 * answer.
 */
import { Registry } from 'prom-client'
import { Collectors } from './collectors.ts'
import type { MetricDefinition } from './definitions.ts'
import { METRICS } from './definitions.ts'
import { processMetrics } from './process-metrics.ts'
import type { MetricSources } from './registry.ts'
import type { Exposition, MetricsSnapshot } from './snapshot.ts'
import { cumulativePart, mergeSnapshots, renderSnapshot, takeSnapshot } from './snapshot.ts'

/** `restarting`: it died and waits for its turn. */
export const WORKER_STATES = ['starting', 'running', 'restarting', 'draining'] as const

export type WorkerState = (typeof WORKER_STATES)[number]

export const WORKER_METRICS = Object.freeze({
  workers: {
    name: 'workers',
    type: 'gauge',
    help: 'Worker processes, by what they do.',
    series: () => WORKER_STATES.map(state => ({ state })),
  },
  restarts: {
    name: 'worker_restarts_total',
    type: 'counter',
    help: 'Workers started again because they had died, with their sessions.',
  },
  missedAnswers: {
    name: 'worker_answers_missed_total',
    type: 'counter',
    help: 'Answers to a scrape that a worker did not give in time. Its gauges are left out of that scrape.',
  },
} satisfies Record<string, MetricDefinition>)

export interface PrimarySources extends Pick<MetricSources, 'logLines' | 'lostLogLines'> {
  /** How many workers are in each state. */
  workers(): Readonly<Record<WorkerState, number>>
}

/** Who was heard for one scrape. */
export interface WorkerAnswers {
  /** As `/readyz` says. */
  readonly isReady: boolean
  /** By the number of the worker; `false`: it did not answer in time. */
  readonly answered: ReadonlyMap<number, boolean>
}

export class PrimaryMetrics {
  readonly #registry = new Registry()
  /** Of the processes that there are. */
  readonly #last = new Map<number, MetricsSnapshot>()
  #gone: MetricsSnapshot = []
  #restarts = 0
  #missedAnswers = 0
  #isReady = false

  constructor(sources: PrimarySources) {
    const collect = new Collectors(this.#registry, { connectReasons: [], violationReasons: [] })
    collect.gauge(METRICS.ready, () => Number(this.#isReady))
    collect.series(METRICS.logLines, level => sources.logLines()[level] ?? 0)
    collect.counter(METRICS.logLinesLost, () => sources.lostLogLines?.() ?? 0)
    collect.gauges(WORKER_METRICS.workers, state => sources.workers()[state as WorkerState])
    collect.counter(WORKER_METRICS.restarts, () => this.#restarts)
    collect.counter(WORKER_METRICS.missedAnswers, () => this.#missedAnswers)
  }

  countRestart(): void {
    this.#restarts += 1
  }

  /**
   * A worker has answered. To be told at once, and not when its scrape is over: then its process may have ended, and be
   * counted already.
   */
  hear(worker: number, snapshot: MetricsSnapshot): void {
    this.#last.set(worker, snapshot)
  }

  /** The process of a worker has ended: what it had counted is kept. */
  retire(worker: number): void {
    const last = this.#last.get(worker)
    if (last === undefined) return
    this.#last.delete(worker)
    this.#gone = mergeSnapshots([this.#gone, cumulativePart(last)])
  }

  async scrape({ answered, isReady }: WorkerAnswers): Promise<Exposition> {
    this.#isReady = isReady
    for (const hasAnswered of answered.values()) if (!hasAnswered) this.#missedAnswers += 1
    // Before the others are looked at: one that ends meanwhile is in `#last` or in `#gone`, and not in both.
    const own = await this.#takeOwn()
    const counted = [...this.#last].map(([worker, last]) =>
      answered.get(worker) === true ? last : cumulativePart(last),
    )
    // Its own come first: they win where a metric takes the first value.
    return renderSnapshot(mergeSnapshots([own, ...counted, this.#gone]))
  }

  /** CPU and memory are of all processes together; what is told of Node.js is of the workers, which do the work. */
  async #takeOwn(): Promise<MetricsSnapshot> {
    const own = await takeSnapshot([this.#registry, processMetrics()])
    return own.filter(({ name }) => !name.startsWith('nodejs_'))
  }
}
