/**
 * What can be wrong with an event-stream message. The codes are a closed list, because they are metric labels.
 * Texts give lengths, offsets and rules; they never quote a payload or a header's value.
 */

export const EVENT_STREAM_ERROR_CODES = Object.freeze([
  /** There are fewer bytes than the message claims. */
  'truncated',
  /** The total length is below the smallest message, or is not the number of bytes there are. */
  'bad_length',
  /** The total length is above `MAX_MESSAGE_BYTES`. */
  'too_big',
  /** The headers do not fit into the message, or are above `MAX_HEADERS_BYTES`. */
  'bad_headers_length',
  /** The checksum of the two lengths is wrong. */
  'bad_prelude_crc',
  /** The checksum of the message is wrong. */
  'bad_message_crc',
  /** A header is malformed, is out of range, or occurs twice. */
  'bad_header',
] as const)

export type EventStreamErrorCode = (typeof EVENT_STREAM_ERROR_CODES)[number]

/** A message that cannot be decoded, or that must not be encoded. Match on `code`. */
export class EventStreamError extends Error {
  override readonly name = 'EventStreamError'
  readonly code: EventStreamErrorCode

  constructor(code: EventStreamErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
