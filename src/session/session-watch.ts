/**
 * Everything of a session that depends on time: deadlines, silence, a stalled upstream. Looks at the parts, and tells
 * the session what to do; it changes no state of its own accord.
 */
import type { ErrorCode } from '../errors.ts'
import type { WarningCode } from '../protocol/server-messages.ts'
import type { SessionLimits } from './limits.ts'
import type { UpstreamPort } from './ports.ts'
import type { SessionState } from './states.ts'
import type { StreamParts } from './stream-parts.ts'

/** What is looked at; read anew for every step, because each may end the session. */
export interface WatchedSession {
  readonly state: SessionState
  readonly parts: StreamParts | null
  readonly upstream: UpstreamPort | null
}

export interface WatchActions {
  look(): WatchedSession
  warn(code: WarningCode): void
  fail(code: ErrorCode): void
  /** Ends the audio; the session ends with `code` once the results are there. */
  finishWith(code: ErrorCode): void
  /** The results did not come in time. */
  endFlush(): void
  /** The upstream takes nothing. */
  cutUpstream(): void
}

export class SessionWatch {
  readonly #actions: WatchActions
  readonly #limits: SessionLimits
  readonly #startedMs: number
  #openedMs = 0
  #flushDeadlineMs = Infinity

  constructor(actions: WatchActions, limits: SessionLimits, startedMs: number) {
    this.#actions = actions
    this.#limits = limits
    this.#startedMs = startedMs
  }

  upstreamOpened(nowMs: number): void {
    this.#openedMs = nowMs
    this.#actions.look().parts?.silence.upstreamOpened(nowMs)
  }

  /** The service works in real time: audio that was sent ahead of it may take that much longer. */
  flushStarted(nowMs: number): void {
    const sentMs = (this.#actions.look().parts?.audio.timeline.upstreamSeconds ?? 0) * 1000
    const aheadMs = Math.max(0, sentMs - (nowMs - this.#openedMs))
    this.#flushDeadlineMs = nowMs + this.#limits.flushTimeoutMs + aheadMs
  }

  tick(nowMs: number): void {
    const actions = this.#actions
    switch (actions.look().state) {
      case 'configuring':
        if (nowMs - this.#startedMs >= this.#limits.configureTimeoutMs) actions.fail('configure_timeout')
        return
      case 'open':
        return this.#watchOpen(nowMs)
      case 'finishing':
        return nowMs < this.#flushDeadlineMs ? this.#watchUpstream(nowMs) : actions.endFlush()
      case 'dialling':
      case 'closed':
    }
  }

  #watchOpen(nowMs: number): void {
    const actions = this.#actions
    const audio = actions.look().parts?.audio
    audio?.flushOld(nowMs)
    if (audio?.isSilenceOnly === true) actions.warn('silence_only')
    this.#watchUpstream(nowMs)
    if (actions.look().state === 'open') this.#watchSilence(nowMs)
    if (actions.look().state === 'open') this.#watchDuration(nowMs)
  }

  #watchUpstream(nowMs: number): void {
    const { parts, upstream } = this.#actions.look()
    if (upstream === null || parts === null) return
    const bufferedBytes = upstream.bufferedBytes()
    const isStalled = parts.stall.isStalled(parts.audio.sentBytes, bufferedBytes, nowMs)
    if (isStalled || bufferedBytes > this.#limits.upstreamBufferBytes) this.#actions.cutUpstream()
  }

  #watchSilence(nowMs: number): void {
    const { parts } = this.#actions.look()
    const decision = parts?.silence.decide(nowMs)
    if (decision?.kind === 'fill') parts?.audio.fillSilence(decision.pieceMs, nowMs)
    else if (decision?.kind === 'timeout') this.#actions.finishWith('audio_timeout')
  }

  #watchDuration(nowMs: number): void {
    const { maxSessionMs, sessionWarningMs } = this.#limits
    const ageMs = nowMs - this.#startedMs
    if (ageMs >= maxSessionMs) this.#actions.finishWith('session_expired')
    else if (ageMs >= maxSessionMs - sessionWarningMs) this.#actions.warn('session_expiring')
  }
}
