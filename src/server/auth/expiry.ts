/**
 * What the expiry of a token means for the session that it began: nothing, or the end some time later, unless a fresh token
 * came in time. Only tokens of an identity provider have an expiry in this sense: that of a token of the relay itself says
 * until when a session may begin.
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'

export interface ExpiryOptions {
  readonly tokenExpiry: 'continue' | 'end'
  readonly tokenGraceSeconds: number
}

/** The client is told so long before the end. */
const WARNING_MS = 60_000

export class TokenExpiry {
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #isKept: boolean
  #expiresAtMs: number | null
  #isWarned = false

  /** `expiresAtMs`: since 1970; `null`: it does not. */
  constructor({ tokenExpiry, tokenGraceSeconds }: ExpiryOptions, clock: Clock, expiresAtMs: number | null) {
    this.#clock = clock
    this.#graceMs = tokenGraceSeconds * 1000
    this.#isKept = tokenExpiry === 'end'
    this.#expiresAtMs = expiresAtMs
  }

  /** `null`, or what ends the session now. */
  endOf(): RelayError | null {
    if (this.#leftMs() > 0) return null
    return new RelayError('token_expired', { message: 'The token has expired, and no fresh one came.' })
  }

  /** Whether the client is to be told now; once for each token. */
  takeWarning(): boolean {
    if (this.#isWarned || this.#leftMs() > WARNING_MS) return false
    this.#isWarned = true
    return true
  }

  /** Returns when the session ends without another one, ms since 1970; `null`: it does not. */
  renew(expiresAtMs: number | null): number | null {
    this.#expiresAtMs = expiresAtMs
    this.#isWarned = false
    return this.#isKept && expiresAtMs !== null ? expiresAtMs + this.#graceMs : null
  }

  #leftMs(): number {
    if (!this.#isKept || this.#expiresAtMs === null) return Infinity
    return this.#expiresAtMs + this.#graceMs - this.#clock.now()
  }
}
