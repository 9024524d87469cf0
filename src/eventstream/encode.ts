/** Any message, from its headers and its payload. Audio has a path of its own: `audio-event.ts`. */
import { crc32 } from './crc32.ts'
import { measureHeaders, writeHeaders, type MessageHeaders } from './headers.ts'
import { HEADERS_OFFSET, OVERHEAD_BYTES, WORD_BYTES } from './layout.ts'
import { checkTotalLength, writePrelude } from './prelude.ts'

/**
 * One whole message, headers in the order of the map; `payload` is copied. Throws `EventStreamError` `bad_header`,
 * `bad_headers_length` or `too_big`: what it returns, `decodeMessage` takes.
 */
export function encodeMessage(headers: MessageHeaders, payload: Uint8Array): Buffer {
  const headersBytes = measureHeaders(headers)
  const totalBytes = checkTotalLength(OVERHEAD_BYTES + headersBytes + payload.byteLength)
  const message = Buffer.allocUnsafe(totalBytes)
  writePrelude(message, totalBytes, headersBytes)
  const payloadOffset = writeHeaders(headers, message, HEADERS_OFFSET)
  message.set(payload, payloadOffset)
  const crcOffset = totalBytes - WORD_BYTES
  message.writeUInt32BE(crc32(message.subarray(0, crcOffset)), crcOffset)
  return message
}
