/**
 * Bytes from a peer to messages. Nothing is buffered and nothing is copied: a payload is a view of the bytes given,
 * and a message that is not wholly there is an error.
 *
 * The order of the checks: the total length against its limit before anything else, then against the bytes at hand,
 * the headers' length, the prelude CRC, the message CRC, and only then the headers. A claimed size is compared, never
 * allocated.
 */
import { asBuffer } from './as-buffer.ts'
import { crc32, crc32OfWord } from './crc32.ts'
import { EventStreamError } from './errors.ts'
import { decodeHeadersAt } from './headers-memo.ts'
import type { MessageHeaders } from './headers.ts'
import { HEADERS_OFFSET, WORD_BYTES } from './layout.ts'
import { readHeadersLength, readTotalLength } from './prelude.ts'

export interface DecodedMessage {
  /** By name, in the order of the wire. Cannot be changed. */
  readonly headers: MessageHeaders
  /** A view of the bytes that were decoded: valid as long as they are. */
  readonly payload: Buffer
}

/** Decodes bytes that are exactly one message. Throws `EventStreamError`; every code of the list can occur. */
export function decodeMessage(bytes: Uint8Array): DecodedMessage {
  const message = asBuffer(bytes)
  const totalBytes = readTotalLength(message)
  if (totalBytes !== message.length) {
    throw new EventStreamError(
      'bad_length',
      `The message says ${totalBytes} bytes; there are ${message.length}.`,
    )
  }
  return decodeWhole(message)
}

/**
 * Decodes bytes that are any number of whole messages, one after the other: a WebSocket message normally holds one,
 * but nothing promises it. Calls `onMessage` in order and returns how often. Throws as `decodeMessage`; the messages
 * before the bad one have been delivered by then.
 */
export function decodeMessages(bytes: Uint8Array, onMessage: (message: DecodedMessage) => void): number {
  let rest = asBuffer(bytes)
  let messageCount = 0
  while (rest.length > 0) {
    const totalBytes = readTotalLength(rest)
    const isLast = totalBytes === rest.length
    onMessage(decodeWhole(isLast ? rest : rest.subarray(0, totalBytes)))
    messageCount++
    if (isLast) break
    rest = rest.subarray(totalBytes)
  }
  return messageCount
}

/** `message` has the length that it says. */
function decodeWhole(message: Buffer): DecodedMessage {
  const payloadOffset = HEADERS_OFFSET + readHeadersLength(message)
  const crcOffset = message.length - WORD_BYTES
  // Over the whole message, its CRC included, because that needs no view: the sums are equal if and only if the CRCs
  // before the last word are. See the "message CRC" rows of bench/micro/framing.ts.
  const messageCrc = message.readUInt32BE(crcOffset)
  if (crc32(message) !== crc32OfWord(messageCrc, messageCrc)) {
    throw new EventStreamError('bad_message_crc', 'The checksum of the message does not match.')
  }
  return {
    headers: decodeHeadersAt(message, HEADERS_OFFSET, payloadOffset),
    payload: message.subarray(payloadOffset, crcOffset),
  }
}
