/**
 * From a row of the table to a metric of the library that reads its values when it is scraped.
 */
import type { Registry } from 'prom-client'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { Aggregate, LabelLists, Labels, MetricDefinition } from './definitions.ts'
import { METRIC_PREFIX } from './definitions.ts'
import { SeriesCounts } from './series-counts.ts'

/** Of all sessions together, and of the one with the most. */
export interface BufferedBytes {
  readonly sum: number
  readonly max: number
}

type LabelledDefinition = MetricDefinition & { readonly series: (lists: LabelLists) => readonly Labels[] }

type HistogramDefinition = MetricDefinition & { readonly buckets: readonly number[] }

export class Collectors {
  readonly #registry: Registry
  readonly #lists: LabelLists

  constructor(registry: Registry, lists: LabelLists) {
    this.#registry = registry
    this.#lists = lists
  }

  counter(definition: MetricDefinition, read: () => number): void {
    const counter: Counter = new Counter({
      ...this.#base(definition),
      collect(): void {
        counter.reset()
        counter.inc(read())
      },
    })
  }

  gauge(definition: MetricDefinition, read: () => number): void {
    const gauge: Gauge = new Gauge({ ...this.#base(definition), collect: (): void => gauge.set(read()) })
  }

  /** A gauge with one label; `read` gets the value of the label. */
  gauges(definition: LabelledDefinition, read: (value: string) => number): void {
    const series = definition.series(this.#lists)
    const gauge: Gauge = new Gauge({
      ...this.#labelled(definition),
      collect(): void {
        for (const labels of series) gauge.set(labels, read(Object.values(labels).join('')))
      },
    })
  }

  /** A gauge with several labels. */
  gaugesOf(definition: LabelledDefinition, read: (labels: Labels) => number): void {
    const series = definition.series(this.#lists)
    const gauge: Gauge = new Gauge({
      ...this.#labelled(definition),
      collect(): void {
        for (const labels of series) gauge.set(labels, read(labels))
      },
    })
  }

  /** A gauge of labels `agg` = `sum`, `max`. */
  buffered(definition: LabelledDefinition, read: () => BufferedBytes): void {
    const gauge: Gauge = new Gauge({
      ...this.#labelled(definition),
      collect(): void {
        const { sum, max } = read()
        gauge.set({ agg: 'sum' }, sum)
        gauge.set({ agg: 'max' }, max)
      },
    })
  }

  /** A gauge that is always 1; its labels are the value. */
  info(definition: MetricDefinition, read: () => Labels): void {
    const gauge: Gauge = new Gauge({
      ...this.#base(definition),
      labelNames: Object.keys(read()),
      collect(): void {
        gauge.reset()
        gauge.set(read(), 1)
      },
    })
  }

  /** A counter with one label; `read` gets the value of the label. */
  series(definition: LabelledDefinition, read: (value: string) => number): void {
    const series = definition.series(this.#lists)
    const counter: Counter = new Counter({
      ...this.#labelled(definition),
      collect(): void {
        counter.reset()
        for (const labels of series) counter.inc(labels, read(Object.values(labels).join('')))
      },
    })
  }

  /** A counter whose counts are kept by what is returned. */
  counts(definition: LabelledDefinition): SeriesCounts {
    const counts = new SeriesCounts(definition.series(this.#lists))
    const counter: Counter = new Counter({
      ...this.#labelled(definition),
      collect(): void {
        counter.reset()
        for (const [labels, count] of counts) counter.inc(labels, count)
      },
    })
    return counts
  }

  histogram(definition: HistogramDefinition): Histogram {
    return new Histogram({ ...this.#base(definition), buckets: [...definition.buckets] })
  }

  #labelled(definition: LabelledDefinition): CommonConfiguration & { labelNames: string[] } {
    const names = new Set(definition.series(this.#lists).flatMap(labels => Object.keys(labels)))
    return { ...this.#base(definition), labelNames: [...names] }
  }

  #base({ name, help, aggregate = 'sum' }: MetricDefinition): CommonConfiguration {
    return { name: METRIC_PREFIX + name, help, aggregator: aggregate, registers: [this.#registry] }
  }
}

interface CommonConfiguration {
  name: string
  help: string
  aggregator: Aggregate
  registers: Registry[]
}
