/**
 * What the guard is told. Values, bounds and documentation are in `config/options-access`; here they are only read.
 */
import type { AddressLimitOptions } from './address-limits.ts'
import type { ExpiryOptions } from './expiry.ts'
import type { OriginOptions } from './origins.ts'

export interface AccessOptions extends AddressLimitOptions, ExpiryOptions, OriginOptions {
  /** Ways to show who one is, several at once: `none`, `keys`, `jwt`, `tokens`. With `none` a client may show nothing. */
  readonly auth: readonly string[]
  /** Whether `?token=` is read. */
  readonly tokenInQuery: boolean
  /** `name:sha256` */
  readonly apiKeys: readonly string[]
  readonly apiKeysFile: string | null
  readonly jwtIssuer: string | null
  readonly jwtAudience: string | null
  readonly jwtAlgorithms: readonly string[]
  readonly jwtType: string
  readonly jwtLeewaySeconds: number
  readonly jwtGrantsClaim: string
  readonly jwtKeysFile: string | null
  readonly jwksUrl: string | null
  readonly jwksRefreshSeconds: number
  readonly jwksRetrySeconds: number
  readonly jwksTimeoutMs: number
  readonly tokenMaxSeconds: number
  readonly tokenSecretFile: string | null
}

/** What the guard has to tell an operator. Nothing here is a secret. */
export interface AccessLog {
  /** A new content of a file is in force. */
  fileOnReload(file: string, entries: number): void
  /** Keys that are no longer in the file, by name. */
  keysOnRevoke(names: readonly string[]): void
  /** The old content stays. */
  fileOnFailure(file: string, error: unknown): void
  /** Of `jwksUrl`; `null` for an attempt that failed. */
  signingKeysOnLoad(keys: number | null, error: unknown): void
}
