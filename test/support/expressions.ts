/**
 * What a PromQL expression asks for, compared with what a relay, one of several workers and the canary offer: names of metrics, labels and
 * their values.
 */
import { CANARY_METRICS } from '../../src/metrics/canary.ts'
import type { MetricDefinition } from '../../src/metrics/definitions.ts'
import { METRIC_PREFIX, METRICS } from '../../src/metrics/definitions.ts'
import { WORKER_METRICS } from '../../src/metrics/workers.ts'
import { processMetrics } from '../../src/metrics/process-metrics.ts'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import { CONNECT_REASONS } from '../../src/upstream/connect-failure.ts'

const DEFINITIONS: readonly MetricDefinition[] = [METRICS, WORKER_METRICS, CANARY_METRICS].flatMap(table =>
  Object.values<MetricDefinition>(table),
)
const LISTS = { connectReasons: CONNECT_REASONS, violationReasons: VIOLATION_CODES }

/** Of Prometheus itself and of kube-state-metrics (its docs/metrics/workload). */
const OTHERS: readonly string[] = [
  'up',
  'kube_horizontalpodautoscaler_status_current_replicas',
  'kube_horizontalpodautoscaler_spec_max_replicas',
  'kube_pod_container_status_restarts_total',
]
/** Given by whoever scrapes. */
const TARGET_LABELS: readonly string[] = [
  'namespace',
  'job',
  'pod',
  'instance',
  'container',
  'horizontalpodautoscaler',
]

const METRIC = /\b(up|(?:transcribe_relay|nodejs|process|kube)_\w+)\b(?:\{([^}]*)\})?/g
const MATCHER = /(\w+)(=~|!~|!=|=)"([^"]*)"/g

export interface Selector {
  readonly name: string
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[]
}

function selectorsIn(expression: string): readonly Selector[] {
  return [...expression.matchAll(METRIC)].map(([, name = '', inner = '']) => ({
    name,
    matchers: [...inner.matchAll(MATCHER)].map(([, label = '', operator = '', value = '']) => ({
      label,
      operator,
      value,
    })),
  }))
}

/** One line for each metric, label or value that nobody exposes. A regular expression must match with each alternative. */
export async function findUnknown(expression: string): Promise<readonly string[]> {
  const offered = await offeredMetrics()
  return selectorsIn(expression).flatMap(({ name, matchers }) => {
    const labels = offered.get(name)
    if (labels === undefined) return [`${name} is not exposed`]
    return matchers
      .filter(({ label }) => !TARGET_LABELS.includes(label))
      .flatMap(({ label, operator, value }) => {
        const values = labels.get(label)
        if (values === undefined) return [`${name} has no label ${label}`]
        const wanted = operator.endsWith('~') ? value.split('|') : [value]
        return wanted
          .filter(each => !values.some(known => new RegExp(`^(?:${each})$`).test(known)))
          .map(each => `${name} has no ${label} ${each}`)
      })
  })
}

type Offered = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>

async function offeredMetrics(): Promise<Offered> {
  const offered = new Map<string, ReadonlyMap<string, readonly string[]>>(
    OTHERS.map(name => [name, new Map()]),
  )
  for (const definition of DEFINITIONS) {
    for (const suffix of suffixesOf(definition.type)) {
      offered.set(METRIC_PREFIX + definition.name + suffix, labelsOf(definition))
    }
  }
  for (const { name, type } of await processMetrics().getMetricsAsJSON()) {
    for (const suffix of suffixesOf(String(type))) offered.set(name + suffix, new Map())
  }
  return offered
}

function suffixesOf(type: string): readonly string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
}

function labelsOf({ series }: MetricDefinition): ReadonlyMap<string, readonly string[]> {
  const labels = new Map<string, string[]>()
  for (const each of series?.(LISTS) ?? []) {
    for (const [label, value] of Object.entries(each))
      labels.set(label, [...(labels.get(label) ?? []), value])
  }
  return labels
}
