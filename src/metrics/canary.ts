/**
 * The figures of the synthetic canary: a table and a registry of its own, as the canary is a process of its own and
 * watches the relay from outside.
 *
 * Of times, each run leaves its own figure as a gauge: there is one run a minute or so, and Prometheus keeps the rest.
 */
import { Registry } from 'prom-client'
import { Collectors } from './collectors.ts'
import type { MetricDefinition } from './definitions.ts'
import type { Scrape } from './registry.ts'
import { processMetrics } from './process-metrics.ts'

/**
 * How a run ended. `failed`: no stream, or no orderly end. `wrong_words`: too few of the words came back. `slow`: all
 * came, the last too late.
 */
export const CANARY_OUTCOMES = ['ok', 'failed', 'wrong_words', 'slow'] as const

export type CanaryOutcome = (typeof CANARY_OUTCOMES)[number]

/** One run. Durations: `null` where it did not get so far. */
export interface CanaryRun {
  readonly outcome: CanaryOutcome
  /** Wall clock at the end of the run, ms since 1970. */
  readonly endedAtMs: number
  /** Share of the words of the sample that came back, 0 to 1. */
  readonly wordRecall: number
  /** From the request to the first message of the relay, which tells that the upstream is open. */
  readonly beginMs: number | null
  /** From the first audio to the first text. */
  readonly firstResultMs: number | null
  /** The longest, from the end of speech to its final result. */
  readonly finalLagMs: number | null
}

export const CANARY_METRICS = Object.freeze({
  runs: {
    name: 'canary_runs_total',
    type: 'counter',
    help: 'Runs of the canary, by how they ended.',
    series: () => CANARY_OUTCOMES.map(outcome => ({ outcome })),
  },
  success: gauge('canary_success', '1: the last run was all right; 0: it was not. NaN: there was none yet.'),
  wordRecall: gauge(
    'canary_word_recall_ratio',
    'Share of the words of the sample that the last run got back. NaN: there was none yet.',
  ),
  begin: gauge(
    'canary_begin_seconds',
    'Last run: from the request to Begin, when the relay has its stream to Amazon Transcribe. NaN: it did not come.',
  ),
  firstResult: gauge(
    'canary_first_result_seconds',
    'Last run: from the first audio to the first text. NaN: none came.',
  ),
  finalLag: gauge(
    'canary_final_lag_seconds',
    'Last run: the longest time from the end of speech to its final result. NaN: none came.',
  ),
  lastRun: gauge(
    'canary_last_run_timestamp_seconds',
    'End of the last run, Unix time. 0: there was none yet.',
  ),
} satisfies Record<string, MetricDefinition>)

export interface CanaryMetrics {
  canaryOnRun(run: CanaryRun): void
  scrape(): Promise<Scrape>
}

export function createCanaryMetrics(): CanaryMetrics {
  const registry = new Registry()
  const collect = new Collectors(registry, { connectReasons: [], violationReasons: [] })
  const runs = collect.counts(CANARY_METRICS.runs)
  let last: CanaryRun | null = null
  collect.gauge(CANARY_METRICS.success, () => (last === null ? Number.NaN : Number(last.outcome === 'ok')))
  collect.gauge(CANARY_METRICS.wordRecall, () => last?.wordRecall ?? Number.NaN)
  collect.gauge(CANARY_METRICS.begin, () => secondsOf(last?.beginMs))
  collect.gauge(CANARY_METRICS.firstResult, () => secondsOf(last?.firstResultMs))
  collect.gauge(CANARY_METRICS.finalLag, () => secondsOf(last?.finalLagMs))
  collect.gauge(CANARY_METRICS.lastRun, () => (last?.endedAtMs ?? 0) / 1000)
  return {
    canaryOnRun(run) {
      runs.count(run.outcome)
      last = run
    },
    async scrape() {
      const texts = await Promise.all([registry.metrics(), processMetrics().metrics()])
      return { contentType: registry.contentType, body: texts.join('\n') }
    },
  }
}

function secondsOf(ms: number | null | undefined): number {
  return ms === null || ms === undefined ? Number.NaN : ms / 1000
}

function gauge(name: string, help: string) {
  return { name, type: 'gauge', help } as const
}
