/**
 * Client tokens that were used, remembered by all relays together until the tokens expire.
 */
import type { Clock } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { RedisConnection } from './connection.ts'
import type { RedisFailures } from './failures.ts'

/** Clocks of relays and Redis need not agree to the millisecond. */
const MARGIN_MS = 60_000

export class RedisUsedTokens {
  readonly #connection: RedisConnection
  readonly #failures: RedisFailures
  readonly #prefix: string
  readonly #clock: Clock

  constructor(connection: RedisConnection, failures: RedisFailures, prefix: string, clock: Clock) {
    this.#connection = connection
    this.#failures = failures
    this.#prefix = prefix
    this.#clock = clock
  }

  /**
   * Says whether this is its first use, which it is from now on no more. @throws RelayError `auth_unavailable`: without
   * Redis nobody knows, and nobody gets in who should not.
   */
  async claim(id: string, expiresAtMs: number): Promise<boolean> {
    const lifetimeMs = Math.max(0, Math.ceil(expiresAtMs - this.#clock.now())) + MARGIN_MS
    try {
      return await this.#connection.setOnce(`${this.#prefix}token:${id}`, lifetimeMs)
    } catch (error) {
      this.#failures.note('token', error)
      throw new RelayError('auth_unavailable', { detail: 'redis' })
    }
  }
}
