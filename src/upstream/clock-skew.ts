/**
 * Finds out from a refusal that the clock of this machine is wrong, and by how much.
 *
 * Amazon refuses a signature dated more than five minutes off. The `Date` header of the refusal says what time it is
 * there; the AWS SDKs correct themselves by it, but none of them for a WebSocket.
 */

/** From here on the clock is to blame for a refusal. One minute under the limit of the service, as in the AWS SDKs. */
export const SKEW_THRESHOLD_MS = 4 * 60_000

/** A slower answer says too little about the time. Twice the bound of the default connect time-out, and more. */
const MAX_ROUND_TRIP_MS = 30_000

export interface ServerTime {
  /** `Date` header (RFC 9110 §6.6.1), or `null`. */
  readonly date: string | null
  /** `Age` header, or `null`. Present: the answer came from a cache, its date is old. */
  readonly age: string | null
  /** Wall clock at which the answer arrived, ms since 1970. */
  readonly receivedAtMs: number
  readonly roundTripMs: number
}

/** Milliseconds to add to the clock of this machine to get the server's, or `null` if the answer does not tell. */
export function measureClockOffset({ date, age, receivedAtMs, roundTripMs }: ServerTime): number | null {
  if (date === null || age !== null || roundTripMs > MAX_ROUND_TRIP_MS) return null
  const serverMs = Date.parse(date)
  if (Number.isNaN(serverMs)) return null
  return Math.round(serverMs - (receivedAtMs - roundTripMs / 2))
}

/** The correction in force. One for all dials of a process. */
export class ClockSkew {
  #offsetMs = 0

  /** Milliseconds to add to the wall clock before signing. */
  get offsetMs(): number {
    return this.#offsetMs
  }

  /**
   * Takes the time of a refusal into account.
   *
   * @returns whether the time used for the refused signature was wrong and has been corrected: sign again.
   */
  correct(time: ServerTime, usedOffsetMs: number): boolean {
    const measuredMs = measureClockOffset(time)
    if (measuredMs === null || Math.abs(measuredMs - usedOffsetMs) < SKEW_THRESHOLD_MS) return false
    this.#offsetMs = measuredMs
    return true
  }
}
