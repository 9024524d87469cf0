/**
 * How fast a client may send: a token bucket. The socket cannot be paused, so the only honest answer to a client that
 * keeps sending too fast is a warning and then a close; the bucket says when.
 */
export interface Bucket {
  /** Tokens at the start, and the most that can be saved up. */
  readonly capacity: number
  readonly tokensPerSecond: number
}

/** `low`: less than half is left. Reported so that the client can be warned before `empty`. */
export type BucketLevel = 'full' | 'low' | 'empty'

export class TokenBucket {
  readonly #capacity: number
  readonly #tokensPerMs: number
  #tokens: number
  #filledAtMs: number
  #granted = 0

  constructor(bucket: Bucket, nowMs: number) {
    this.#capacity = bucket.capacity
    this.#tokensPerMs = bucket.tokensPerSecond / 1000
    this.#tokens = bucket.capacity
    this.#filledAtMs = nowMs
  }

  /**
   * Tokens above the capacity, taken before all others: once, not on top of what is left of the last time, and less what the
   * bucket itself was given since the last `take`, because that is of the same time.
   */
  grant(tokens: number, nowMs: number): void {
    const refilled = this.#refill(nowMs)
    this.#granted = Math.max(this.#granted, tokens - refilled)
  }

  /** Takes `tokens` whether they are there or not; a bucket below zero is `empty`. */
  take(tokens: number, nowMs: number): BucketLevel {
    this.#refill(nowMs)
    const granted = Math.min(this.#granted, tokens)
    this.#granted -= granted
    this.#tokens -= tokens - granted
    if (this.#tokens < 0) return 'empty'
    return this.#tokens < this.#capacity / 2 ? 'low' : 'full'
  }

  /** Returns how many tokens were missing and are there again. */
  #refill(nowMs: number): number {
    const before = this.#tokens
    this.#tokens = Math.min(before + (nowMs - this.#filledAtMs) * this.#tokensPerMs, this.#capacity)
    this.#filledAtMs = nowMs
    return this.#tokens - before
  }
}
