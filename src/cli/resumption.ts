/**
 * What the thin client remembers so that it can come back: the token, the last message it saw, and the audio that the
 * relay has not acknowledged. One connection loss is one series of attempts, with growing waits, until the window that
 * the relay named is over.
 */
import type { ServerMessage } from './server-message.ts'

/** Ours: audio that is kept; beyond it no more is read until some is acknowledged. 8 minutes at 16 kHz mono. */
export const MAX_KEPT_BYTES = 16 * 1024 * 1024
/** Ours: the wait before the n-th attempt is random, up to this much, doubled with each attempt. */
export const FIRST_WAIT_MS = 200
export const MAX_WAIT_MS = 4_000
/** Ours: on top of what the relay asks for where another process of it has the session. */
export const ELSEWHERE_JITTER_MS = 100

const MS_PER_SECOND = 1000

export class Resumption {
  readonly #random: () => number
  readonly #kept: Uint8Array[] = []
  #keptBytes = 0
  /** Position of the first kept byte in all audio. */
  #keptFrom = 0
  #token: string | null = null
  #windowMs = 0
  #seq = 0
  #attempts = 0
  #lostAtMs: number | null = null

  /** `random`: in [0, 1). */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Whether the relay gave what is needed to come back. */
  get isPossible(): boolean {
    return this.#token !== null
  }

  get isAway(): boolean {
    return this.#lostAtMs !== null
  }

  get isFull(): boolean {
    return this.#keptBytes >= MAX_KEPT_BYTES
  }

  keep(chunk: Uint8Array): void {
    this.#kept.push(chunk)
    this.#keptBytes += chunk.length
  }

  /** Learns from a message. False: it was seen before, and is not to be shown again. */
  read(message: ServerMessage): boolean {
    const { audio_bytes: audioBytes, resume_seconds: windowSeconds, resume_token: token, seq } = message
    if (typeof token === 'string') this.#token = token
    if (typeof windowSeconds === 'number') this.#windowMs = windowSeconds * MS_PER_SECOND
    if (typeof audioBytes === 'number') this.#release(audioBytes)
    if (typeof seq !== 'number') return true
    if (seq <= this.#seq) return false
    this.#seq = seq
    return true
  }

  /** The URL to come back with: the one of before, and the two parameters that matter. */
  urlOf(url: string): string {
    const built = new URL(url)
    built.searchParams.set('resume_token', this.#token ?? '')
    built.searchParams.set('seq', String(this.#seq))
    return built.href
  }

  /** The connection is lost, or an attempt failed. The wait before the next attempt; `null`: the window is over. */
  nextWaitMs(nowMs: number, leastMs = 0): number | null {
    this.#lostAtMs ??= nowMs
    const longestMs = Math.min(MAX_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#attempts)
    this.#attempts += 1
    return this.#withinWindow(nowMs, Math.max(leastMs, this.#random() * longestMs))
  }

  /**
   * Another process of the relay answered. Nothing is overloaded, and chance decides who answers next: many attempts are
   * needed, and these waits do not grow. `null`: the window is over.
   */
  elsewhereWaitMs(nowMs: number, leastMs: number): number | null {
    return this.#withinWindow(nowMs, leastMs + this.#random() * ELSEWHERE_JITTER_MS)
  }

  /** The relay has everything up to the position it named; returns what it has not, to be sent again. */
  resumed(): readonly Uint8Array[] {
    this.#lostAtMs = null
    this.#attempts = 0
    return this.#kept
  }

  #withinWindow(nowMs: number, waitMs: number): number | null {
    return nowMs + waitMs - (this.#lostAtMs ?? nowMs) >= this.#windowMs ? null : waitMs
  }

  /** The relay has the audio up to here. It may end within a message. */
  #release(untilByte: number): void {
    let first = this.#kept[0]
    while (first !== undefined && this.#keptFrom < untilByte) {
      const bytes = Math.min(first.length, untilByte - this.#keptFrom)
      this.#keptFrom += bytes
      this.#keptBytes -= bytes
      if (bytes < first.length) {
        this.#kept[0] = first.subarray(bytes)
        return
      }
      this.#kept.shift()
      first = this.#kept[0]
    }
  }
}
