/**
 * What becomes of a session when that with which it began is no longer good.
 *
 * A JWT that expires: nothing, or the end some time later, unless a fresh token came in time. (The expiry of a token of
 * the relay itself says until when a session may begin.) An API key that is taken out: the end, as soon as it is its turn.
 * Both end politely: the audio so far is transcribed and its results are delivered.
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { KeyStanding } from './api-keys.ts'
import type { Principal } from './principal.ts'

export interface ExpiryOptions {
  readonly tokenExpiry: 'continue' | 'end'
  readonly tokenGraceSeconds: number
  readonly keyRevocation: 'continue' | 'end'
}

/** What the session runs with. */
export type Validity = Pick<Principal, 'expiresAtMs' | 'standing'>

/** The client is told so long before the end. */
const WARNING_MS = 60_000

/** The end of a session costs the process some tenths of a millisecond, and everybody else waits for that. */
const REVOKED_ENDS_PER_TICK = 50

/** Whose turn it is, among all sessions of revoked keys. */
export class RevokedEnds {
  #tickMs = -Infinity
  #count = 0

  /** `nowMs` is the same for all sessions within a tick. */
  take(nowMs: number): boolean {
    if (nowMs !== this.#tickMs) {
      this.#tickMs = nowMs
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= REVOKED_ENDS_PER_TICK
  }
}

export class TokenExpiry {
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #isKept: boolean
  readonly #endsWithKey: boolean
  readonly #revokedEnds: RevokedEnds
  /** `null`: it does not. */
  #expiresAtMs: number | null
  #standing: KeyStanding | null
  #isWarned = false
  #isEnding = false

  /** `revokedEnds`: of all sessions. */
  constructor(
    options: ExpiryOptions,
    clock: Clock,
    { expiresAtMs, standing }: Validity,
    revokedEnds: RevokedEnds,
  ) {
    this.#clock = clock
    this.#revokedEnds = revokedEnds
    this.#graceMs = options.tokenGraceSeconds * 1000
    this.#isKept = options.tokenExpiry === 'end'
    this.#endsWithKey = options.keyRevocation === 'end'
    this.#expiresAtMs = expiresAtMs ?? null
    this.#standing = standing ?? null
  }

  /** `null`, or what ends the session now. Asked once a tick. */
  endOf(nowMs: number): RelayError | null {
    if (this.#endsWithKey && this.#standing?.isRevoked === true) {
      this.#isEnding ||= this.#revokedEnds.take(nowMs)
      return this.#isEnding ? new RelayError('token_revoked') : null
    }
    if (this.#leftMs() > 0) return null
    return new RelayError('token_expired', { message: 'The token has expired, and no fresh one came.' })
  }

  /** Whether the client is to be told now; once for each token. */
  takeWarning(): boolean {
    if (this.#isWarned || this.#leftMs() > WARNING_MS) return false
    this.#isWarned = true
    return true
  }

  /**
   * From now on the session runs with the fresh one. Returns when it ends without another one, ms since 1970; `null`: it
   * does not.
   */
  renew({ expiresAtMs, standing }: Validity): number | null {
    this.#expiresAtMs = expiresAtMs ?? null
    this.#standing = standing ?? null
    this.#isWarned = false
    return this.#isKept && this.#expiresAtMs !== null ? this.#expiresAtMs + this.#graceMs : null
  }

  #leftMs(): number {
    if (!this.#isKept || this.#expiresAtMs === null) return Infinity
    return this.#expiresAtMs + this.#graceMs - this.#clock.now()
  }
}
