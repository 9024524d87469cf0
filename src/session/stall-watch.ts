/**
 * Tells an upstream that is slow from one that takes nothing: a buffer that is never quite empty is no stall as long as
 * bytes leave it.
 */
export class StallWatch {
  readonly #stallMs: number
  #takenBytes = -Infinity
  #movedAtMs = 0

  constructor(stallMs: number) {
    this.#stallMs = stallMs
  }

  /**
   * To be called often. `sentBytes` is everything ever given to the upstream, `bufferedBytes` what it has not taken
   * yet; framing may make the latter a little larger.
   */
  isStalled(sentBytes: number, bufferedBytes: number, nowMs: number): boolean {
    const takenBytes = sentBytes - bufferedBytes
    if (bufferedBytes === 0 || takenBytes > this.#takenBytes) {
      this.#takenBytes = takenBytes
      this.#movedAtMs = nowMs
      return false
    }
    return nowMs - this.#movedAtMs >= this.#stallMs
  }
}
