/**
 * What to do while a client sends no audio: wait, send silence, park the stream, or end.
 *
 * The service gives up after 15 s without audio, and bills every second it gets. So silence is sent in real time only
 * at first, which lets the service end the open segment, and then just often enough to keep the stream.
 *
 * A client that sends a second of audio once a second is not silent in between: its audio covers the time to come, and
 * silence put in there would cut its words apart.
 */
import type { SessionLimits } from './limits.ts'

/** Silence in real time after the last audio: longer than the pause that ends a segment. */
export const LEAD_MS = 2_000
/** Afterwards one short piece in each interval; two may get lost before the service gives up. */
export const KEEP_INTERVAL_MS = 4_000
export const KEEP_PIECE_MS = 100
/** Audio that is late by less than this is jitter, not silence. */
export const GRACE_MS = 400
/** Audio covers at most this much of the time to come: the longest message, and well below the 15 s of the service. */
const MAX_COVER_MS = 5_000
/** Longest piece in one AudioEvent. */
const MAX_PIECE_MS = 200

export type SilenceDecision =
  | { readonly kind: 'wait' }
  /** A whole number of milliseconds, at least 1. */
  | { readonly kind: 'fill'; readonly pieceMs: number }
  | { readonly kind: 'park' }
  | { readonly kind: 'timeout' }

const WAIT: SilenceDecision = { kind: 'wait' }
const PARK: SilenceDecision = { kind: 'park' }
const TIMEOUT: SilenceDecision = { kind: 'timeout' }

type SilenceLimits = Pick<SessionLimits, 'audioTimeoutMs' | 'parkAfterMs' | 'silence' | 'silenceFillMaxMs'>

export class SilencePolicy {
  readonly #limits: SilenceLimits
  /** Compressed audio can be neither filled nor parked: its frames depend on each other. */
  readonly #isPcm: boolean
  #heardAtMs: number
  #lastSentMs: number
  #coveredUntilMs: number
  #keptAliveAtMs = -Infinity
  /** Nothing before the first audio: there is no segment to be ended. */
  #leadLeftMs = 0
  #filledMs = 0

  constructor(limits: SilenceLimits, isPcm: boolean, nowMs: number) {
    this.#limits = limits
    this.#isPcm = isPcm
    this.#heardAtMs = nowMs
    this.#lastSentMs = nowMs
    this.#coveredUntilMs = nowMs
  }

  /** A stream is open, and what was queued is sent: time counts from here. */
  upstreamOpened(nowMs: number): void {
    this.#heardAtMs = nowMs
    this.#lastSentMs = nowMs
    this.#coveredUntilMs = Math.max(this.#coveredUntilMs, nowMs)
  }

  audioArrived(audioMs: number, nowMs: number): void {
    this.#heardAtMs = nowMs
    this.#lastSentMs = nowMs
    this.#coveredUntilMs = Math.min(Math.max(this.#coveredUntilMs, nowMs) + audioMs, nowMs + MAX_COVER_MS)
    this.#leadLeftMs = LEAD_MS
  }

  /** The client says that nobody speaks: its silence is filled for as long as it would otherwise have timed out. */
  keepAlive(nowMs: number): void {
    this.#keptAliveAtMs = nowMs
  }

  /** To be called often; when it answers `fill`, the silence is taken as sent. */
  decide(nowMs: number): SilenceDecision {
    const { audioTimeoutMs, parkAfterMs, silence, silenceFillMaxMs } = this.#limits
    // A parked session is kept without any silence, so there is nothing that KeepAlive could add.
    if (silence === 'park' && this.#isPcm) return nowMs - this.#heardAtMs >= parkAfterMs ? PARK : WAIT
    const canFill = this.#isPcm && this.#filledMs < silenceFillMaxMs
    const isKeptAlive = nowMs - this.#keptAliveAtMs < audioTimeoutMs
    if (!canFill || !(silence === 'fill' || isKeptAlive)) {
      // What was kept alive until now has been silent since; what cannot be filled any more lasts as long as the service waits.
      const sinceMs = canFill ? Math.max(this.#heardAtMs, this.#keptAliveAtMs) : this.#lastSentMs
      return nowMs - sinceMs >= audioTimeoutMs ? TIMEOUT : WAIT
    }
    const pieceMs = this.#nextPiece(nowMs - Math.max(this.#lastSentMs, this.#coveredUntilMs))
    if (pieceMs === 0) return WAIT
    this.#lastSentMs = nowMs
    this.#filledMs += pieceMs
    return { kind: 'fill', pieceMs }
  }

  #nextPiece(quietMs: number): number {
    const leftMs = this.#limits.silenceFillMaxMs - this.#filledMs
    if (this.#leadLeftMs === 0) return quietMs < KEEP_INTERVAL_MS ? 0 : Math.min(KEEP_PIECE_MS, leftMs)
    const isStart = this.#leadLeftMs === LEAD_MS
    if (quietMs < (isStart ? GRACE_MS : KEEP_PIECE_MS)) return 0
    const pieceMs = Math.min(Math.floor(quietMs), MAX_PIECE_MS, this.#leadLeftMs, leftMs)
    this.#leadLeftMs -= pieceMs
    return pieceMs
  }
}
