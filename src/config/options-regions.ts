/**
 * Options of where streams go when there is a choice, and of what an AWS account allows there.
 */
import type { OptionDefinition } from './definition.ts'
import { MAX_REGION_STARTS_PER_SECOND, MAX_REGION_STREAMS } from './region-list.ts'

export const REGION_OPTIONS = {
  regions: {
    theme: 'regions',
    kind: 'regions',
    default: [],
    maxItems: 16,
    doc: 'Regions in the order in which they are tried, instead of `region` and `endpoint`. Each has quotas, a circuit breaker and maybe a role of its own; see [regions.md](regions.md). Empty: one region, as `region` says.',
  },
  regionStreams: {
    theme: 'regions',
    kind: 'integer',
    unit: 'streams',
    default: 0,
    min: 0,
    max: MAX_REGION_STREAMS,
    doc: 'Streams at once that the AWS account may have in a region, where `regions` does not say. Amazon gives 25 unless asked for more. 0: not counted; then the quota is found out by being refused.',
  },
  regionStartsPerSecond: {
    theme: 'regions',
    kind: 'number',
    unit: 'streams per second',
    default: 0,
    min: 0,
    max: MAX_REGION_STARTS_PER_SECOND,
    doc: 'Streams that may be started in a region in any second, where `regions` does not say. Amazon gives 25. 0: not counted.',
  },
  quotaShares: {
    theme: 'regions',
    kind: 'integer',
    unit: 'parts',
    default: 1,
    min: 1,
    max: 100_000,
    doc: 'Into how many equal parts the quotas are divided, of which this relay takes one: the most pods there will be. Workers divide that part further, each with one stream at least. With `redisUrl` relays count together, and a part is only what is left to each while Redis is away.',
  },
  handoverStreams: {
    theme: 'regions',
    kind: 'integer',
    unit: 'streams',
    default: 1,
    min: 0,
    max: 1000,
    doc: 'Streams of each quota that new sessions may not take, so that sessions under way can open their next stream before the old one ends. Never the whole quota.',
  },
  startQueueLength: {
    theme: 'regions',
    kind: 'integer',
    unit: 'sessions',
    default: 1000,
    min: 0,
    max: 100_000,
    doc: 'Sessions that may wait for a stream while every region is full or out of order; each principal gets its turn. Past it handshakes are refused with `overloaded`. 0: nobody waits.',
  },
  startQueueMs: {
    theme: 'regions',
    kind: 'integer',
    unit: 'milliseconds',
    default: 5000,
    min: 0,
    max: 60_000,
    doc: 'Longest wait of a session for a stream. Past it it ends with `upstream_throttled` where the regions are full, with the error of the last attempt else.',
  },
  breakerFailures: {
    theme: 'regions',
    kind: 'integer',
    unit: 'attempts',
    default: 5,
    min: 1,
    max: 1000,
    doc: 'Failed connections in a row after which a region is left alone for a while.',
  },
  breakerOpenMs: {
    theme: 'regions',
    kind: 'integer',
    unit: 'milliseconds',
    default: 2000,
    min: 100,
    max: 300_000,
    doc: 'How long a region is left alone. Then one connection is tried; when it opens, the others may follow.',
  },
} as const satisfies Record<string, OptionDefinition>
