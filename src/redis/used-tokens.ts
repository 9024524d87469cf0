/**
 * Client tokens that were used, remembered by all relays together until the tokens expire.
 *
 *     <prefix>token:<id>   the claim, a name of its own: who made it, and nobody else, can give it back
 */
import { randomUUID } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { RedisConnection } from './connection.ts'
import { RedisScript } from './connection.ts'
import type { RedisFailures } from './failures.ts'

/** Clocks of relays and Redis need not agree to the millisecond. */
const MARGIN_MS = 60_000

/** claim */
const GIVE_BACK = new RedisScript(
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`,
  1,
)

interface Claim {
  giveBack(): Promise<void>
}

export class RedisUsedTokens {
  readonly #connection: RedisConnection
  readonly #failures: RedisFailures
  readonly #prefix: string
  readonly #clock: Clock
  /** What Redis has been asked, each over within the time for an answer. */
  readonly #asked = new Set<Promise<unknown>>()

  constructor(connection: RedisConnection, failures: RedisFailures, prefix: string, clock: Clock) {
    this.#connection = connection
    this.#failures = failures
    this.#prefix = prefix
    this.#clock = clock
  }

  /**
   * `null`: it was used before. Else this is its first use, and every other one is refused from now on, unless this one is
   * given back. @throws RelayError `auth_unavailable`: without Redis nobody knows, and nobody gets in who should not.
   */
  async claim(id: string, expiresAtMs: number): Promise<Claim | null> {
    const key = `${this.#prefix}token:${id}`
    const name = randomUUID()
    const lifetimeMs = Math.max(0, Math.ceil(expiresAtMs - this.#clock.now())) + MARGIN_MS
    try {
      const isFirst = await this.#ask(this.#connection.setOnce(key, name, lifetimeMs))
      return isFirst ? { giveBack: once(() => this.#giveBack(key, name)) } : null
    } catch (error) {
      this.#failures.note('token', error)
      // It may have been too slow only. What is sent now comes behind the claim, on the same connection.
      if (this.#connection.isReady) void this.#giveBack(key, name)
      throw new RelayError('auth_unavailable', { detail: 'redis' })
    }
  }

  /** Resolves when nothing is being claimed or given back. */
  async whenIdle(): Promise<void> {
    while (this.#asked.size > 0) {
      await Promise.allSettled(this.#asked)
      // Who has claimed decides in the same turn whether to give back.
      await setImmediate()
    }
  }

  /** Does not reject: what cannot be given back stays used. */
  async #giveBack(key: string, name: string): Promise<void> {
    try {
      await this.#ask(this.#connection.run(GIVE_BACK, [key, name]))
    } catch (error) {
      this.#failures.note('token', error)
    }
  }

  async #ask<Answer>(asked: Promise<Answer>): Promise<Answer> {
    this.#asked.add(asked)
    try {
      return await asked
    } finally {
      this.#asked.delete(asked)
    }
  }
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null
  return async () => (done ??= action())
}
