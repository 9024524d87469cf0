/**
 * What the guard is told. Values, bounds and documentation are in `config/options-access`; here they are only read.
 */
import type { AddressLimitOptions } from './address-limits.ts'
import type { OriginOptions } from './origins.ts'

export interface AccessOptions extends AddressLimitOptions, OriginOptions {
  /** Ways to show who one is, several at once: `none`, `keys`. With `none` a client may also show nothing. */
  readonly auth: readonly string[]
  /** Whether `?token=` is read. */
  readonly tokenInQuery: boolean
  /** `name:sha256` */
  readonly apiKeys: readonly string[]
  readonly apiKeysFile: string | null
}

/** What the guard has to tell an operator. Nothing here is a secret. */
export interface AccessLog {
  /** A new content of a file is in force. */
  fileOnReload(file: string, entries: number): void
  /** The old content stays. */
  fileOnFailure(file: string, error: unknown): void
}
