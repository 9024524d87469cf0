/**
 * How many messages a client may send, and since when none had audio. A client that is heard again after a while, because
 * its socket was lost or its network stood still, may send at once what it could not send meanwhile.
 */
import { TokenBucket } from './pace.ts'

/** Messages that may come at once, in seconds of the sustained rate. */
const BURST_SECONDS = 2

export class MessageBudget {
  readonly #messagesPerSecond: number
  readonly #bucket: TokenBucket
  #heardAtMs: number

  constructor(messagesPerSecond: number, nowMs: number) {
    const capacity = messagesPerSecond * BURST_SECONDS
    this.#messagesPerSecond = messagesPerSecond
    this.#bucket = new TokenBucket({ capacity, tokensPerSecond: messagesPerSecond }, nowMs)
    this.#heardAtMs = nowMs
  }

  /** Whether one more message is within the budget; it is taken in any case. */
  take(nowMs: number): boolean {
    return this.#bucket.take(1, nowMs) !== 'empty'
  }

  /** Audio is here. Returns how long none was; before the first, since the session began. */
  audioArrived(nowMs: number): number {
    const quietMs = nowMs - this.#heardAtMs
    this.#heardAtMs = nowMs
    return quietMs
  }

  /** The messages of `awayMs` may come at once. To be called before the first of them is taken. */
  grant(awayMs: number, nowMs: number): void {
    this.#bucket.grant((this.#messagesPerSecond * awayMs) / 1000, nowMs)
  }
}
