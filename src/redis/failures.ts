/**
 * What Redis failed at: counted each time, told in the log now and then.
 */
import type { Clock } from '../clock.ts'
import type { RedisOperation } from '../session/region-labels.ts'

/** Everything in it may be logged: no address, no password. */
export interface RedisLog {
  redisOnFailure(record: {
    readonly operation: RedisOperation
    readonly reason: string
    /** Failures since the last line, this one included. */
    readonly failures: number
  }): void
  redisOnReady(): void
}

export interface RedisMetrics {
  countRedisFailure(operation: RedisOperation): void
}

/** A line for the first failure, and then one in so many milliseconds at most. */
const LOG_SPACING_MS = 30_000
const MAX_REASON_CHARACTERS = 64

export class RedisFailures {
  readonly #clock: Clock
  readonly #log: RedisLog
  readonly #metrics: RedisMetrics
  #untold = 0
  #toldAtMs = -Infinity

  constructor(clock: Clock, log: RedisLog, metrics: RedisMetrics) {
    this.#clock = clock
    this.#log = log
    this.#metrics = metrics
  }

  note(operation: RedisOperation, error: unknown): void {
    this.#metrics.countRedisFailure(operation)
    this.#untold += 1
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#toldAtMs < LOG_SPACING_MS) return
    this.#toldAtMs = nowMs
    this.#log.redisOnFailure({ operation, reason: reasonOf(error), failures: this.#untold })
    this.#untold = 0
  }

  /** It works again: the next failure is told at once. */
  settle(): void {
    this.#toldAtMs = -Infinity
    this.#log.redisOnReady()
  }
}

/** `ECONNREFUSED`, `WRONGPASS`, `Command timed out`: a system code, or the first word of a reply. Texts may quote. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  const word = /^[A-Z]{4,}/.exec(error.message)?.[0] ?? null
  const text = code ?? word ?? (error.message === 'Command timed out' ? 'timeout' : error.name)
  return text.slice(0, MAX_REASON_CHARACTERS)
}
