/**
 * The values of a registry as plain data, so that those of several processes can be made one and printed once.
 *
 * prom-client aggregates too, but with one rule for a whole metric, where `agg` = `sum` and `agg` = `max` of one metric
 * want two, and without a way to keep the counts of a process that is gone. It still does the printing.
 */
import { AggregatorRegistry } from 'prom-client'
import type { Registry } from 'prom-client'
import type { Aggregate } from './definitions.ts'

export interface Sample {
  /** Where it differs from the name of the metric: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

export interface MetricSnapshot {
  readonly name: string
  readonly help: string
  /** Of Prometheus: `counter`, `gauge`, `histogram`, `summary`. */
  readonly type: string
  readonly aggregate: Aggregate
  readonly samples: readonly Sample[]
}

/** May be sent to another process by structured clone; JSON would lose `NaN` and the infinities. */
export type MetricsSnapshot = readonly MetricSnapshot[]

export interface Exposition {
  readonly contentType: string
  readonly body: string
}

/** Limits are of one process, and so is how near to one the worst of them is. */
const PER_PROCESS: readonly string[] = ['process_open_fds', 'process_max_fds']

export async function takeSnapshot(registries: readonly Registry[]): Promise<MetricsSnapshot> {
  const lists = await Promise.all(registries.map(registry => registry.getMetricsAsJSON()))
  return lists.flat().map(({ name, help, type, aggregator, values }) => ({
    name,
    help,
    type: String(type),
    aggregate: PER_PROCESS.includes(name) ? 'max' : aggregateOf(aggregator),
    samples: values as readonly Sample[],
  }))
}

/**
 * One snapshot out of several. Where a metric takes the first value, that is the first snapshot's.
 * A `NaN`, which stands for "not known", loses against every number.
 */
export function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const families = group(snapshots.flat(), ({ name }) => name)
  return families.map(([first, ...others]) => ({
    ...first,
    samples: group(
      [first, ...others].flatMap(({ samples }) => samples),
      keyOf,
    ).map(same => combine(first, same)),
  }))
}

/** The part that only ever grows: what a process has counted stays counted when it is gone. */
export function cumulativePart(snapshot: MetricsSnapshot): MetricsSnapshot {
  return snapshot.filter(({ type }) => type !== 'gauge')
}

/** The text that Prometheus reads. */
export async function renderSnapshot(snapshot: MetricsSnapshot): Promise<Exposition> {
  const registry = AggregatorRegistry.aggregate([
    snapshot.map(({ aggregate: _aggregate, samples, ...metric }) => ({
      ...metric,
      aggregator: 'first',
      values: samples,
    })),
  ])
  return { contentType: registry.contentType, body: await registry.metrics() }
}

/**
 * What the library would average is told of the worst, because an average hides it; what it would leave out, of the
 * first.
 */
function aggregateOf(aggregator: string): Aggregate {
  switch (aggregator) {
    case 'sum':
    case 'max':
    case 'min':
      return aggregator
    case 'average':
      return 'max'
    default:
      return 'first'
  }
}

type Several<T> = readonly [T, ...T[]]

function combine({ aggregate }: MetricSnapshot, same: Several<Sample>): Sample {
  const [first] = same
  const values = same.map(({ value }) => value)
  const rule = first.labels['agg'] === 'max' ? 'max' : aggregate
  return { ...first, value: COMBINE[rule](values) }
}

const COMBINE: Readonly<Record<Aggregate, (values: readonly number[]) => number>> = {
  sum: values => values.reduce((sum, value) => sum + value, 0),
  max: values => known(values, Math.max),
  min: values => known(values, Math.min),
  first: values => values[0] ?? Number.NaN,
}

function known(values: readonly number[], choose: (...values: number[]) => number): number {
  const numbers = values.filter(value => !Number.isNaN(value))
  return numbers.length === 0 ? Number.NaN : choose(...numbers)
}

function keyOf({ metricName = '', labels }: Sample): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}=${value}`)
  return [metricName, ...parts.toSorted()].join('\n')
}

function group<T>(items: readonly T[], keyOfItem: (item: T) => string): Several<T>[] {
  const groups = new Map<string, [T, ...T[]]>()
  for (const item of items) {
    const key = keyOfItem(item)
    const found = groups.get(key)
    if (found === undefined) groups.set(key, [item])
    else found.push(item)
  }
  return [...groups.values()]
}
