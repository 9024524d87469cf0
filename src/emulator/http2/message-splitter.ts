/**
 * Cuts the bytes of an HTTP/2 stream into event-stream messages: DATA frames end anywhere.
 *
 * Bounded: a length that a message claims is checked before any byte of it is kept, and at most one unfinished message
 * is kept. The bytes of a message are checked by whoever decodes it.
 */
import { EventStreamError, MAX_MESSAGE_BYTES } from '../../eventstream/index.ts'

const LENGTH_BYTES = 4
/** Prelude and message CRC: no message is shorter. */
const MIN_MESSAGE_BYTES = 16

export class MessageSplitter {
  readonly #onMessage: (message: Buffer) => void
  /** The start of a message that is not whole. */
  #kept: Buffer[] = []
  #keptBytes = 0

  /** `onMessage` gets a view, valid during the call only. */
  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage
  }

  /** A message has begun that has not ended. */
  get isInsideMessage(): boolean {
    return this.#keptBytes > 0
  }

  /** Throws `EventStreamError` `bad_length` or `too_big`; nothing may be pushed after it. */
  push(bytes: Buffer): void {
    let rest = bytes
    while (rest.length > 0) {
      const neededBytes = this.#missingBytes(rest)
      if (neededBytes > rest.length) {
        // A copy: the chunk belongs to the transport.
        this.#kept.push(Buffer.from(rest))
        this.#keptBytes += rest.length
        return
      }
      const part = rest.subarray(0, neededBytes)
      rest = rest.subarray(neededBytes)
      this.#complete(part)
    }
  }

  /** How many of the coming bytes belong to the message that is under way; 4 while even its length is unknown. */
  #missingBytes(coming: Buffer): number {
    if (this.#keptBytes + coming.length < LENGTH_BYTES) return LENGTH_BYTES
    return totalBytesOf(this.#start(coming)) - this.#keptBytes
  }

  #start(coming: Buffer): Buffer {
    const first = this.#kept[0] ?? coming
    return first.length >= LENGTH_BYTES
      ? first
      : Buffer.concat([...this.#kept, coming.subarray(0, LENGTH_BYTES)])
  }

  #complete(part: Buffer): void {
    const message = this.#keptBytes === 0 ? part : Buffer.concat([...this.#kept, part])
    this.#kept = []
    this.#keptBytes = 0
    this.#onMessage(message)
  }
}

function totalBytesOf(start: Buffer): number {
  const totalBytes = start.readUInt32BE(0)
  if (totalBytes < MIN_MESSAGE_BYTES) {
    throw new EventStreamError('bad_length', `A message says ${totalBytes} bytes; the smallest has 16.`)
  }
  if (totalBytes > MAX_MESSAGE_BYTES) {
    throw new EventStreamError(
      'too_big',
      `A message says ${totalBytes} bytes; the limit is ${MAX_MESSAGE_BYTES}.`,
    )
  }
  return totalBytes
}
