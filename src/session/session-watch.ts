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

/** The session, as far as it is watched. State and parts are read anew for every step, because each may end it. */
export interface WatchedSession {
  state(): SessionState
  parts(): StreamParts | null
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
  readonly #session: WatchedSession
  readonly #limits: SessionLimits
  readonly #startedMs: number

  constructor(session: WatchedSession, limits: SessionLimits, startedMs: number) {
    this.#session = session
    this.#limits = limits
    this.#startedMs = startedMs
  }

  tick(nowMs: number): void {
    const session = this.#session
    switch (session.state()) {
      case 'configuring':
        if (nowMs - this.#startedMs >= this.#limits.configureTimeoutMs) session.fail('configure_timeout')
        return
      case 'open':
        return this.#watchOpen(nowMs)
      case 'rolling-over':
        session.parts()?.audio.flushOld(nowMs)
        return this.#watchDuration(nowMs)
      case 'parked':
        return this.#watchDuration(nowMs)
      case 'dialling':
      case 'finishing':
      case 'closed':
    }
  }

  #watchOpen(nowMs: number): void {
    const session = this.#session
    const parts = session.parts()
    if (parts === null) return
    parts.audio.flushOld(nowMs)
    if (parts.audio.isSilenceOnly) session.warn('silence_only')
    if (session.state() === 'open') this.#watchSilence(parts, nowMs)
    if (session.state() === 'open' || session.state() === 'parked') this.#watchDuration(nowMs)
  }

  #watchSilence({ audio, silence }: StreamParts, nowMs: number): void {
    const decision = silence.decide(nowMs)
    switch (decision.kind) {
      case 'wait':
        return
      case 'fill':
        return audio.fillSilence(decision.pieceMs, nowMs)
      case 'park':
        return this.#session.park()
      case 'timeout':
        return this.#session.finishWith('audio_timeout')
    }
  }

  #watchDuration(nowMs: number): void {
    const { sessionWarningMs } = this.#limits
    const maxMs = longestSessionMs(this.#limits, this.#session.parts()?.audio.canReplay === true)
    const ageMs = nowMs - this.#startedMs
    if (ageMs >= maxMs) this.#session.finishWith('session_expired')
    else if (ageMs >= maxMs - sessionWarningMs) this.#session.warn('session_expiring')
  }
}
