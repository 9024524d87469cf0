/**
 * Everything of a session that depends on time and on the client: deadlines, silence. (What depends on time and on the
 * upstream is in `upstream-link.ts`.) Looks at the parts, and tells the session what to do; it changes no state of its
 * own accord.
 */
import type { ErrorCode } from '../errors.ts'
import type { WarningCode } from '../protocol/server-messages.ts'
import type { SessionLimits } from './limits.ts'
import type { SessionState } from './states.ts'
import type { StreamParts } from './stream-parts.ts'

/** What is looked at; read anew for every step, because each may end the session. */
export interface WatchedSession {
  readonly state: SessionState
  readonly parts: StreamParts | null
}

export interface WatchActions {
  look(): WatchedSession
  warn(code: WarningCode): void
  fail(code: ErrorCode): void
  /** Ends the audio; the session ends with `code` once the results are there. */
  finishWith(code: ErrorCode): void
  /** Nobody speaks. */
  park(): void
}

/** A stream that cannot be replaced (of compressed audio) is the session. */
export function longestSessionMs({ maxSessionMs, maxStreamMs }: SessionLimits, canReplay: boolean): number {
  return canReplay ? maxSessionMs : Math.min(maxSessionMs, maxStreamMs)
}

export class SessionWatch {
  readonly #actions: WatchActions
  readonly #limits: SessionLimits
  readonly #startedMs: number

  constructor(actions: WatchActions, limits: SessionLimits, startedMs: number) {
    this.#actions = actions
    this.#limits = limits
    this.#startedMs = startedMs
  }

  tick(nowMs: number): void {
    const actions = this.#actions
    switch (actions.look().state) {
      case 'configuring':
        if (nowMs - this.#startedMs >= this.#limits.configureTimeoutMs) actions.fail('configure_timeout')
        return
      case 'open':
        return this.#watchOpen(nowMs)
      case 'rolling-over':
        actions.look().parts?.audio.flushOld(nowMs)
        return this.#watchDuration(nowMs)
      case 'parked':
        return this.#watchDuration(nowMs)
      case 'dialling':
      case 'finishing':
      case 'closed':
    }
  }

  #watchOpen(nowMs: number): void {
    const actions = this.#actions
    const audio = actions.look().parts?.audio
    audio?.flushOld(nowMs)
    if (audio?.isSilenceOnly === true) actions.warn('silence_only')
    if (actions.look().state === 'open') this.#watchSilence(nowMs)
    const { state } = actions.look()
    if (state === 'open' || state === 'parked') this.#watchDuration(nowMs)
  }

  #watchSilence(nowMs: number): void {
    const { parts } = this.#actions.look()
    const decision = parts?.silence.decide(nowMs)
    if (decision?.kind === 'fill') parts?.audio.fillSilence(decision.pieceMs, nowMs)
    else if (decision?.kind === 'park') this.#actions.park()
    else if (decision?.kind === 'timeout') this.#actions.finishWith('audio_timeout')
  }

  #watchDuration(nowMs: number): void {
    const { sessionWarningMs } = this.#limits
    const maxMs = longestSessionMs(this.#limits, this.#actions.look().parts?.audio.canReplay === true)
    const ageMs = nowMs - this.#startedMs
    if (ageMs >= maxMs) this.#actions.finishWith('session_expired')
    else if (ageMs >= maxMs - sessionWarningMs) this.#actions.warn('session_expiring')
  }
}
