/**
 * The messages of a session that can be resumed: numbered from 1, kept up to a number of bytes, oldest given up first,
 * with a cursor at the next one to be sent. The newest is always kept, whatever its size.
 */
import { numberedMessage } from '../protocol/server-messages.ts'

interface KeptMessage {
  readonly text: string
  readonly bytes: number
}

export class MessageLog {
  readonly #maxBytes: number
  /** By number, in order. */
  readonly #kept = new Map<number, KeptMessage>()
  #keptBytes = 0
  #unsentBytes = 0
  #firstSeq = 1
  #lastSeq = 0
  #nextSeq = 1

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Of the oldest message that is kept. */
  get firstSeq(): number {
    return this.#firstSeq
  }

  /** Of the newest message; 0 before the first. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  get keptBytes(): number {
    return this.#keptBytes
  }

  get unsentBytes(): number {
    return this.#unsentBytes
  }

  /** Numbers a message and keeps it. False: another one, that was not sent yet, had to be given up for it. */
  append(message: string): boolean {
    this.#lastSeq += 1
    const text = numberedMessage(message, this.#lastSeq)
    const bytes = Buffer.byteLength(text)
    this.#kept.set(this.#lastSeq, { text, bytes })
    this.#keptBytes += bytes
    this.#unsentBytes += bytes
    let isWhole = true
    while (this.#keptBytes > this.#maxBytes && this.#firstSeq < this.#lastSeq) {
      if (this.#giveUpFirst()) isWhole = false
    }
    return isWhole
  }

  /** The next message to be sent, which counts as sent from here on; `null` when there is none. */
  next(): string | null {
    const message = this.#kept.get(this.#nextSeq)
    if (message === undefined) return null
    this.#nextSeq += 1
    this.#unsentBytes -= message.bytes
    return message.text
  }

  /** Everything after `seq` is to be sent again. `seq` is from `firstSeq` - 1 to `lastSeq`. */
  rewindTo(seq: number): void {
    this.#nextSeq = seq + 1
    this.#unsentBytes = 0
    for (let at = this.#nextSeq; at <= this.#lastSeq; at += 1) {
      this.#unsentBytes += this.#kept.get(at)?.bytes ?? 0
    }
  }

  /** Whether the message was not sent yet. */
  #giveUpFirst(): boolean {
    const seq = this.#firstSeq
    const bytes = this.#kept.get(seq)?.bytes ?? 0
    this.#kept.delete(seq)
    this.#keptBytes -= bytes
    this.#firstSeq += 1
    if (seq < this.#nextSeq) return false
    this.#nextSeq = this.#firstSeq
    this.#unsentBytes -= bytes
    return true
  }
}
