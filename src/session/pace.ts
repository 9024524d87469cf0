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

  constructor(bucket: Bucket, nowMs: number) {
    this.#capacity = bucket.capacity
    this.#tokensPerMs = bucket.tokensPerSecond / 1000
    this.#tokens = bucket.capacity
    this.#filledAtMs = nowMs
  }

  /** Takes `tokens` whether they are there or not; a bucket below zero is `empty`. */
  take(tokens: number, nowMs: number): BucketLevel {
    const refilled = this.#tokens + (nowMs - this.#filledAtMs) * this.#tokensPerMs
    this.#filledAtMs = nowMs
    this.#tokens = Math.min(refilled, this.#capacity) - tokens
    if (this.#tokens < 0) return 'empty'
    return this.#tokens < this.#capacity / 2 ? 'low' : 'full'
  }
}
