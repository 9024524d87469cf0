/** The first twelve bytes of a message, both ways: its two lengths, their limits and their CRC. */
import { crc32OfWord } from './crc32.ts'
import { EventStreamError } from './errors.ts'
import {
  HEADERS_LENGTH_OFFSET,
  MAX_HEADERS_BYTES,
  MAX_MESSAGE_BYTES,
  OVERHEAD_BYTES,
  PRELUDE_CRC_OFFSET,
  TOTAL_LENGTH_OFFSET,
  WORD_BYTES,
} from './layout.ts'

/** Returns `totalBytes`, or throws `too_big`. */
export function checkTotalLength(totalBytes: number): number {
  if (totalBytes > MAX_MESSAGE_BYTES) {
    throw new EventStreamError(
      'too_big',
      `The message has ${totalBytes} bytes; the limit is ${MAX_MESSAGE_BYTES}.`,
    )
  }
  return totalBytes
}

/** Writes both lengths and their CRC to the start of `target`. */
export function writePrelude(target: Buffer, totalBytes: number, headersBytes: number): void {
  target.writeUInt32BE(totalBytes, TOTAL_LENGTH_OFFSET)
  target.writeUInt32BE(headersBytes, HEADERS_LENGTH_OFFSET)
  target.writeUInt32BE(preludeCrc(totalBytes, headersBytes), PRELUDE_CRC_OFFSET)
}

/**
 * The length of the message at the start of `bytes`, all of which is there. Throws `bad_length`, `too_big` or
 * `truncated`. The CRC is not checked yet: a caller may cut by this length, not trust it.
 */
export function readTotalLength(bytes: Buffer): number {
  if (bytes.length < WORD_BYTES) throw truncated(WORD_BYTES, bytes.length)
  const totalBytes = bytes.readUInt32BE(TOTAL_LENGTH_OFFSET)
  if (totalBytes < OVERHEAD_BYTES) {
    throw new EventStreamError(
      'bad_length',
      `The message says ${totalBytes} bytes; the smallest has ${OVERHEAD_BYTES}.`,
    )
  }
  checkTotalLength(totalBytes)
  if (totalBytes > bytes.length) throw truncated(totalBytes, bytes.length)
  return totalBytes
}

/**
 * The length of the headers of `message`, which has the length that it says. Throws `bad_headers_length` or
 * `bad_prelude_crc`.
 */
export function readHeadersLength(message: Buffer): number {
  const headersBytes = message.readUInt32BE(HEADERS_LENGTH_OFFSET)
  const roomBytes = Math.min(message.length - OVERHEAD_BYTES, MAX_HEADERS_BYTES)
  if (headersBytes > roomBytes) {
    throw new EventStreamError(
      'bad_headers_length',
      `The message says ${headersBytes} bytes of headers; there is room for ${roomBytes}.`,
    )
  }
  if (preludeCrc(message.length, headersBytes) !== message.readUInt32BE(PRELUDE_CRC_OFFSET)) {
    throw new EventStreamError('bad_prelude_crc', 'The checksum of the lengths does not match.')
  }
  return headersBytes
}

function preludeCrc(totalBytes: number, headersBytes: number): number {
  return crc32OfWord(headersBytes, crc32OfWord(totalBytes))
}

function truncated(neededBytes: number, thereBytes: number): EventStreamError {
  return new EventStreamError(
    'truncated',
    `The message needs at least ${neededBytes} bytes; there are ${thereBytes}.`,
  )
}
