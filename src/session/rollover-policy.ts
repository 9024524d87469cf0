/**
 * Which ends of a stream another stream cures, when the next one is tried, and when it is enough.
 *
 * Failures are counted in a row, and a stream ends the row by living for a while: one that answers once and dies at
 * once would otherwise be opened for ever. Waits grow with the row and are random, so that the sessions that fell with
 * one server do not come back together.
 */
import type { ErrorCode, RelayError } from '../errors.ts'
import type { SessionLimits } from './limits.ts'

/** Ends of a stream that have to do with this stream alone. `as const`: label values of a metric. */
const CURABLE = [
  'upstream_closed',
  'upstream_error',
  'upstream_protocol',
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_stalled',
  'upstream_throttled',
  'upstream_auth',
  'flush_timeout',
  'session_expired',
  'audio_timeout',
] as const satisfies readonly ErrorCode[]

/** Reasons of planned changes. */
export type PlannedReason = 'max_duration' | 'credentials_expiring' | 'region_draining' | 'resumed'
export type RolloverReason = (typeof CURABLE)[number] | PlannedReason

export const ROLLOVER_REASONS: readonly RolloverReason[] = Object.freeze([
  ...CURABLE,
  'max_duration',
  'credentials_expiring',
  'region_draining',
  'resumed',
])

/**
 * Failed dials after which another one makes sense; the dial itself has tried again already. A stream of this very session
 * was accepted before: what refuses the next one (no free descriptor, credentials in the middle of a rotation, half an
 * answer) may pass, and until it does the session is not worse off than ended.
 */
const WORTH_ANOTHER_DIAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_closed',
  'upstream_error',
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_throttled',
  'upstream_protocol',
  'upstream_auth',
  'not_ready',
  'internal',
])

/** A stream that lived for so long was a good one. */
const STABLE_MS = 10_000
/** Waits stop growing here. */
const MAX_BACKOFF_MS = 10_000

export interface EndedStream {
  /**
   * While it was given audio. What comes after does not count: where no more audio comes, the same audio could kill one
   * stream after the other, each after a while, and for ever.
   */
  readonly livedMs: number
  /** It was the first of its session. */
  readonly isFirst: boolean
  /** Another region can take the session. */
  readonly hasAlternative?: boolean
}

type RolloverLimits = Pick<SessionLimits, 'rolloverAttempts' | 'rolloverBackoffMs' | 'rolloverGapMs'>

export class RolloverPolicy {
  readonly #limits: RolloverLimits
  /** In [0, 1). */
  readonly #random: () => number
  #failures = 0
  /** Of the last stream that ended unasked; `null`: it is of no account, because the row ended. */
  #lastCode: ErrorCode | null = null
  /** Since when no stream takes audio; `null`: one does, or none is wanted. */
  #gapSinceMs: number | null = null

  constructor(limits: RolloverLimits, random: () => number) {
    this.#limits = limits
    this.#random = random
  }

  /** An open stream ended unasked. Says whether another one is to be opened; then the gap begins. */
  streamEnded(error: RelayError, stream: EndedStream, nowMs: number): boolean {
    if (stream.livedMs >= STABLE_MS) {
      this.#failures = 0
      this.#lastCode = null
    }
    const isCured = this.#isCured(error, stream)
    this.#lastCode = error.code
    if (!isCured) return false
    this.#gapSinceMs ??= nowMs
    return this.#countFailure()
  }

  dialFailed(error: RelayError): boolean {
    return WORTH_ANOTHER_DIAL.has(error.code) && this.#countFailure()
  }

  /** A stream delivered everything and closed: whatever failed before is over. */
  streamFinished(): void {
    this.#failures = 0
    this.#lastCode = null
  }

  /** A stream is wanted that nobody lost. */
  startGap(nowMs: number): void {
    this.#gapSinceMs ??= nowMs
  }

  /** A stream takes audio again. Returns how long none did. */
  endGap(nowMs: number): number {
    const gapMs = this.#gapSinceMs === null ? 0 : nowMs - this.#gapSinceMs
    this.#gapSinceMs = null
    return gapMs
  }

  isGapTooLong(nowMs: number): boolean {
    return this.#gapSinceMs !== null && nowMs - this.#gapSinceMs >= this.#limits.rolloverGapMs
  }

  /** Wait before the next dial: exponential with full jitter. */
  backoffMs(): number {
    const ceilingMs = this.#limits.rolloverBackoffMs * 2 ** Math.max(0, this.#failures - 1)
    return this.#random() * Math.min(ceilingMs, MAX_BACKOFF_MS)
  }

  #countFailure(): boolean {
    this.#failures += 1
    return this.#failures <= this.#limits.rolloverAttempts
  }

  #isCured(error: RelayError, { livedMs, isFirst, hasAlternative = false }: EndedStream): boolean {
    if (!isCurable(error.code)) return false
    switch (error.code) {
      // Credentials that ended, not credentials that were never accepted.
      case 'upstream_auth':
        return livedMs >= STABLE_MS || /expired/i.test(`${error.detail ?? ''} ${error.message}`)
      // A session that was not let in anywhere is told so; one that is under way is worth another try.
      case 'upstream_throttled':
        return livedMs >= STABLE_MS || !isFirst || hasAlternative
      // The client waits for its last results: a second time in a row is enough.
      case 'flush_timeout':
        return this.#lastCode !== 'flush_timeout'
      default:
        return true
    }
  }
}

export function isCurable(code: ErrorCode): code is (typeof CURABLE)[number] {
  return (CURABLE as readonly ErrorCode[]).includes(code)
}
