/**
 * The event-stream message (`application/vnd.amazon.eventstream`): every offset, length and limit, named once.
 *
 *     0        4          8          12          12+H       T-4        T
 *     | total  | headers  | prelude  | headers   | payload  | message  |
 *     | length | length   | CRC      |           |          | CRC      |
 *     | T      | H        |          | H bytes   |          |          |
 *
 * Integers are big-endian. T counts itself and the last CRC. The prelude CRC covers bytes 0..8, the message CRC bytes
 * 0..T-4 (the prelude CRC included); both are the CRC-32 of gzip, not CRC-32C.
 *
 * A header is
 *
 *     | name length, 1 byte | name, UTF-8 | value type, 1 byte | value |
 *
 * and the value of a byte array or a string starts with its own length, two bytes.
 *
 * Source: Amazon Transcribe Developer Guide, "Event stream encoding".
 */

// Law: the format cannot be read otherwise.

export const TOTAL_LENGTH_OFFSET = 0
export const HEADERS_LENGTH_OFFSET = 4
export const PRELUDE_CRC_OFFSET = 8
export const HEADERS_OFFSET = 12

/** A length or a CRC. */
export const WORD_BYTES = 4
/** What a message costs beside its headers and its payload; so also the smallest message. */
export const OVERHEAD_BYTES = HEADERS_OFFSET + WORD_BYTES
/** Header names are 1–255 bytes of UTF-8, each at most once in a message. */
export const MAX_HEADER_NAME_BYTES = 255

/** The byte that says what kind of value a header has. */
export const HEADER_TYPE = {
  true: 0,
  false: 1,
  byte: 2,
  short: 3,
  integer: 4,
  long: 5,
  byteArray: 6,
  string: 7,
  timestamp: 8,
  uuid: 9,
} as const

export const UUID_BYTES = 16

// Custom: the fields could carry more, but the AWS SDKs refuse it, so no peer sends or takes it.

/** All headers of one message. */
export const MAX_HEADERS_BYTES = 128 * 1024
/** One byte array or string. Its length field could say 65,535. */
export const MAX_HEADER_VALUE_BYTES = 32_767

// Ours: the format allows more.

/** A whole message, both ways. The SDKs stop at 16 MiB; an event of Amazon Transcribe is a few KiB. */
export const MAX_MESSAGE_BYTES = 1024 * 1024
