/**
 * What each principal uses of its limits: sessions now, starts in the last minute, minutes of today (UTC).
 *
 * Time is not added up session by session but by the number of open sessions, so that any number of them is read in one
 * step and none can overdraw the day. Kept in this process: each pod counts its own.
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { Grants } from './grants.ts'
import { RateLimit } from './rate-limit.ts'

const DAY_MS = 86_400_000
const MINUTE_MS = 60_000
const MAX_PRINCIPALS = 100_000
const MAX_PASSED_OVER = 16

class PrincipalUsage {
  sessions = 0
  #starts: RateLimit | null = null
  #startsPerMinute: number | null = null
  #usedMs = 0
  #countedAtMs: number
  #day: number

  constructor(nowMs: number, day: number) {
    this.#countedAtMs = nowMs
    this.#day = day
  }

  /** Milliseconds of open sessions today. A session that is open at midnight counts for each of its days. */
  usedMs(nowMs: number, wallMs: number): number {
    const day = Math.floor(wallMs / DAY_MS)
    if (day > this.#day) {
      this.#day = day
      this.#usedMs = 0
      this.#countedAtMs = Math.max(this.#countedAtMs, nowMs - (wallMs % DAY_MS))
    }
    this.#usedMs += Math.max(0, nowMs - this.#countedAtMs) * this.sessions
    this.#countedAtMs = nowMs
    return this.#usedMs
  }

  /** As `RateLimit.take`. The limit may have changed with the token; what was used before is used. */
  takeStart(startsPerMinute: number, nowMs: number): number {
    if (this.#starts === null || this.#startsPerMinute !== startsPerMinute) {
      const left = this.#starts?.left(nowMs)
      this.#starts = new RateLimit(startsPerMinute / 60, nowMs, startsPerMinute, left)
      this.#startsPerMinute = startsPerMinute
    }
    return this.#starts.take(nowMs)
  }

  isIdle(nowMs: number, wallMs: number): boolean {
    return this.sessions === 0 && this.usedMs(nowMs, wallMs) === 0 && (this.#starts?.isFull(nowMs) ?? true)
  }
}

/** A started session of a principal. */
export interface UsedSession {
  /** Whether the minutes of the day are used up. */
  isDayUsedUp(nowMs: number): boolean
  release(): void
}

export class UsageLedger {
  readonly #clock: Clock
  readonly #maxPrincipals: number
  /** In the order in which they were last seen. */
  readonly #principals = new Map<string, PrincipalUsage>()

  constructor(clock: Clock, maxPrincipals = MAX_PRINCIPALS) {
    this.#clock = clock
    this.#maxPrincipals = maxPrincipals
  }

  get size(): number {
    return this.#principals.size
  }

  /** Counts one more session. `id` names the principal. @throws RelayError `session_limit`, `rate_limited` */
  start(id: string, grants: Grants): UsedSession {
    const nowMs = this.#clock.monotonicMs()
    const usage = this.#usageOf(id, nowMs)
    this.#check(usage, grants, nowMs)
    usage.usedMs(nowMs, this.#clock.now())
    usage.sessions += 1
    const { minutesPerDay } = grants
    return {
      isDayUsedUp: atMs =>
        minutesPerDay !== null && usage.usedMs(atMs, this.#clock.now()) >= minutesPerDay * MINUTE_MS,
      release: () => {
        usage.usedMs(this.#clock.monotonicMs(), this.#clock.now())
        usage.sessions -= 1
      },
    }
  }

  #check(usage: PrincipalUsage, grants: Grants, nowMs: number): void {
    const { concurrentSessions, minutesPerDay, startsPerMinute } = grants
    const wallMs = this.#clock.now()
    if (concurrentSessions !== null && usage.sessions >= concurrentSessions) {
      throw new RelayError('session_limit', {
        message: `This token may have ${concurrentSessions} sessions at a time.`,
      })
    }
    if (minutesPerDay !== null && usage.usedMs(nowMs, wallMs) >= minutesPerDay * MINUTE_MS) {
      throw dayUsedUp(minutesPerDay, wallMs)
    }
    // Last: what is refused for another reason is no start.
    const waitMs = startsPerMinute === null ? 0 : usage.takeStart(startsPerMinute, nowMs)
    if (waitMs > 0) {
      throw new RelayError('rate_limited', {
        message: `This token may start ${startsPerMinute} sessions a minute.`,
        retryAfterMs: Math.max(1000, waitMs),
      })
    }
  }

  #usageOf(id: string, nowMs: number): PrincipalUsage {
    const known = this.#principals.get(id)
    if (known === undefined) this.#makeRoom(nowMs)
    else this.#principals.delete(id)
    const usage = known ?? new PrincipalUsage(nowMs, Math.floor(this.#clock.now() / DAY_MS))
    this.#principals.set(id, usage)
    return usage
  }

  /** Forgets one that has nothing to remember, else the one unseen for longest that has no session. */
  #makeRoom(nowMs: number): void {
    if (this.#principals.size < this.#maxPrincipals) return
    const wallMs = this.#clock.now()
    let passedOver = 0
    let candidate: string | null = null
    for (const [id, usage] of this.#principals) {
      if (usage.sessions === 0) candidate ??= id
      if (usage.isIdle(nowMs, wallMs)) {
        candidate = id
        break
      }
      passedOver += 1
      if (passedOver >= MAX_PASSED_OVER) break
    }
    if (candidate !== null) this.#principals.delete(candidate)
  }
}

/** What ends a session, or keeps it from starting, for the rest of the day. */
export function dayUsedUp(minutesPerDay: number, wallMs: number): RelayError {
  return new RelayError('session_limit', {
    message: `The ${minutesPerDay} minutes a day of this token are used up.`,
    retryAfterMs: DAY_MS - (wallMs % DAY_MS),
  })
}
