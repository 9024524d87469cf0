/**
 * The figures of regions, of the queue for streams and of Redis: counted by the dialling side, read at scrape.
 */
import type { Histogram } from 'prom-client'
import type { QueueRefusal, RedisOperation, RegionReport, SpillReason } from '../session/region-labels.ts'
import type { Collectors } from './collectors.ts'
import { METRICS } from './definitions.ts'
import type { SeriesCounts } from './series-counts.ts'

export interface RegionSources {
  regions(): readonly RegionReport[]
  waiting(): number
  /** `null`: there is none to connect to. */
  isRedisConnected(): boolean | null
  /** Relays count together, so that each has the figures of all. */
  readonly isShared: boolean
}

/** Before a relay has any, and for a table without a relay. */
export const NO_REGION_SOURCES: RegionSources = Object.freeze({
  regions: () => [],
  waiting: () => 0,
  isRedisConnected: () => null,
  isShared: false,
})

export class RegionFigures {
  readonly #opened: SeriesCounts
  readonly #spills: SeriesCounts
  readonly #refusals: SeriesCounts
  readonly #redisFailures: SeriesCounts
  readonly #queueWait: Histogram

  constructor(collect: Collectors, sources: RegionSources) {
    this.#opened = collect.counts(METRICS.regionStreamsOpened)
    this.#spills = collect.counts(METRICS.regionSpills)
    this.#refusals = collect.counts(METRICS.startQueueRefused)
    this.#redisFailures = collect.counts(METRICS.redisFailures)
    this.#queueWait = collect.histogram(METRICS.startQueueWait)
    const find = (region: string): RegionReport | undefined =>
      sources.regions().find(report => report.region === region)
    // Workers that count together all know the whole; those that do not know a part each.
    const aggregate = sources.isShared ? 'max' : 'sum'
    collect.gauges({ ...METRICS.regionStreams, aggregate }, region => find(region)?.streams ?? 0)
    collect.gauges({ ...METRICS.regionStreamLimit, aggregate }, region => find(region)?.streamLimit ?? 0)
    collect.gauges(METRICS.regionDraining, region => Number(find(region)?.draining ?? false))
    collect.gaugesOf(METRICS.regionBreaker, ({ region = '', state }) =>
      Number((find(region)?.breaker ?? 'closed') === state),
    )
    collect.gauge(METRICS.startQueueLength, () => sources.waiting())
    collect.gauge(METRICS.redisConnected, () => {
      const isConnected = sources.isRedisConnected()
      return isConnected === null ? Number.NaN : Number(isConnected)
    })
  }

  countSpill(region: string, reason: SpillReason): void {
    this.#spills.count(region, reason)
  }

  countRegionStream(region: string): void {
    this.#opened.count(region)
  }

  observeQueueSeconds(seconds: number): void {
    if (Number.isFinite(seconds) && seconds >= 0) this.#queueWait.observe(seconds)
  }

  countQueueRefusal(reason: QueueRefusal): void {
    this.#refusals.count(reason)
  }

  countRedisFailure(operation: RedisOperation): void {
    this.#redisFailures.count(operation)
  }
}
