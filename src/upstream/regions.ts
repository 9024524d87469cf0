/**
 * The regions that a relay dials, in the order in which they are tried, and what is known of each.
 */
import type { QueueRefusal, SpillReason } from '../session/region-labels.ts'
import type { Endpoint } from '../transcribe/endpoints.ts'
import type { QuotaSize } from './stream-quota.ts'

export interface Region {
  /** `us-east-1`; once in a list. */
  readonly name: string
  readonly endpoint: Endpoint
  /** Of the AWS account, all relays together. */
  readonly quota: QuotaSize
  /** Assumed for this region; `null`: the credentials of the relay do. */
  readonly role: AssumedRole | null
}

export interface AssumedRole {
  readonly arn: string
  readonly externalId: string | null
}

/** Figures of the ways through the regions; matched by shape, as adapters do not import each other. */
export interface RegionMetrics {
  /** A stream went elsewhere, or waited, because of `reason` in `region`. */
  countSpill(region: string, reason: SpillReason): void
  countRegionStream(region: string): void
  observeQueueSeconds(seconds: number): void
  countQueueRefusal(reason: QueueRefusal): void
}

/** Everything in it may be logged. */
export interface RegionLog {
  regionOnBreaker(record: { readonly region: string; readonly state: 'open' | 'closed' }): void
  regionOnDrain(record: { readonly region: string; readonly isDraining: boolean }): void
}
