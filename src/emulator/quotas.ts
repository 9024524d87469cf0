/**
 * The quotas of the accounts: streams at once and streams started in one second, and the one rule about sessions: of
 * two live streams with the same session id the older has to go.
 *
 * Source: Amazon Transcribe Developer Guide, "Guidelines and quotas" and "Handling LimitExceededException errors";
 * API Reference, ConflictException.
 */
import { exceptions, type StreamException } from './exceptions.ts'

/** A live stream, as far as quotas are concerned. */
export interface QuotaHolder {
  readonly accessKeyId: string
  readonly sessionId: string
  /** Another stream took over the session id. */
  displace(): void
}

export interface QuotaLimits {
  readonly concurrentStreams: number
  readonly startsPerSecond: number
}

const RATE_WINDOW_MS = 1000

export class Quotas {
  readonly #limits: QuotaLimits
  readonly #holders = new Map<string, Set<QuotaHolder>>()
  /** Start times within the last second, by account, oldest first. */
  readonly #starts = new Map<string, number[]>()

  constructor(limits: QuotaLimits) {
    this.#limits = limits
  }

  /**
   * Takes a place, or says why not. A refused start counts for the rate but takes no place. Displaces an older stream of
   * the same session, which thereby gives back its own place first.
   */
  enter(holder: QuotaHolder, nowMs: number): StreamException | null {
    const { concurrentStreams, startsPerSecond } = this.#limits
    if (this.#countStart(holder.accessKeyId, nowMs) > startsPerSecond) {
      return exceptions.startRate(startsPerSecond)
    }
    const live = this.#holders.get(holder.accessKeyId) ?? new Set<QuotaHolder>()
    this.#holders.set(holder.accessKeyId, live)
    const sameSession = [...live].find(other => other.sessionId === holder.sessionId)
    if (sameSession !== undefined) {
      live.delete(sameSession)
      sameSession.displace()
    }
    if (live.size >= concurrentStreams) return exceptions.concurrentStreams(concurrentStreams)
    live.add(holder)
    return null
  }

  leave(holder: QuotaHolder): void {
    this.#holders.get(holder.accessKeyId)?.delete(holder)
  }

  #countStart(accessKeyId: string, nowMs: number): number {
    const recent = (this.#starts.get(accessKeyId) ?? []).filter(startMs => startMs > nowMs - RATE_WINDOW_MS)
    // Bounded: whoever is over the limit is counted once, not listed.
    if (recent.length <= this.#limits.startsPerSecond) recent.push(nowMs)
    this.#starts.set(accessKeyId, recent)
    return recent.length
  }
}
