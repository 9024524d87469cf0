/**
 * What to do while a client sends no audio: wait, send silence, or end.
 *
 * The service gives up after 15 s without audio, and bills every second it gets. So silence is sent in real time only
 * at first, which lets the service end the open segment, and then just often enough to keep the stream.
 */
import type { SessionLimits } from './limits.ts'

/** Silence in real time after the last audio: longer than the pause that ends a segment. */
export const LEAD_MS = 2_000
/** Afterwards one short piece in each interval; two may get lost before the service gives up. */
export const KEEP_INTERVAL_MS = 4_000
export const KEEP_PIECE_MS = 100
/** Audio that is late by less than this is jitter, not silence. */
export const GRACE_MS = 400
/** Longest piece in one AudioEvent. */
const MAX_PIECE_MS = 200

export type SilenceDecision =
  | { readonly kind: 'wait' }
  | { readonly kind: 'fill'; readonly pieceMs: number }
  | { readonly kind: 'timeout' }

const WAIT: SilenceDecision = { kind: 'wait' }
const TIMEOUT: SilenceDecision = { kind: 'timeout' }

type SilenceLimits = Pick<SessionLimits, 'audioTimeoutMs' | 'silence' | 'silenceFillMaxMs'>

export class SilencePolicy {
  readonly #limits: SilenceLimits
  /** Compressed audio cannot be filled: its frames depend on each other. */
  readonly #canFill: boolean
  #quietSinceMs: number
  #lastSentMs: number
  #keptAliveUntilMs = -Infinity
  #leadLeftMs = LEAD_MS
  #filledMs = 0

  constructor(limits: SilenceLimits, canFill: boolean, nowMs: number) {
    this.#limits = limits
    this.#canFill = canFill
    this.#quietSinceMs = nowMs
    this.#lastSentMs = nowMs
  }

  audioArrived(nowMs: number): void {
    this.#quietSinceMs = nowMs
    this.#lastSentMs = nowMs
    this.#leadLeftMs = LEAD_MS
  }

  /** The client says that nobody speaks: its silence is filled for as long as it would otherwise have timed out. */
  keepAlive(nowMs: number): void {
    this.#keptAliveUntilMs = nowMs + this.#limits.audioTimeoutMs
  }

  decide(nowMs: number): SilenceDecision {
    const { audioTimeoutMs, silence, silenceFillMaxMs } = this.#limits
    const mayFill = this.#canFill && (silence === 'fill' || nowMs < this.#keptAliveUntilMs)
    if (!mayFill || this.#filledMs >= silenceFillMaxMs) {
      return nowMs - Math.max(this.#quietSinceMs, this.#lastSentMs) >= audioTimeoutMs ? TIMEOUT : WAIT
    }
    const pieceMs = this.#nextPiece(nowMs - this.#lastSentMs)
    if (pieceMs === 0) return WAIT
    this.#lastSentMs = nowMs
    this.#filledMs += pieceMs
    return { kind: 'fill', pieceMs }
  }

  #nextPiece(quietMs: number): number {
    if (this.#leadLeftMs <= 0) return quietMs < KEEP_INTERVAL_MS ? 0 : KEEP_PIECE_MS
    const isStart = this.#leadLeftMs === LEAD_MS
    if (quietMs < (isStart ? GRACE_MS : KEEP_PIECE_MS)) return 0
    const pieceMs = Math.min(quietMs, MAX_PIECE_MS, this.#leadLeftMs)
    this.#leadLeftMs -= pieceMs
    return pieceMs
  }
}
