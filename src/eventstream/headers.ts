/**
 * The headers of a message: a map from name to typed value, in the order of the wire.
 *
 * Both ways are strict. A name occurs once and has 1–255 bytes; text is well-formed UTF-8; numbers are in the range
 * of their type; a value never reaches past the headers. Every breach is an `EventStreamError` `bad_header`, and
 * nothing is allocated by a length that has not been checked against the bytes at hand.
 */
import { asBuffer } from './as-buffer.ts'
import { EventStreamError } from './errors.ts'
import {
  HEADER_TYPE,
  MAX_HEADERS_BYTES,
  MAX_HEADER_NAME_BYTES,
  MAX_HEADER_VALUE_BYTES,
  UUID_BYTES,
} from './layout.ts'

/**
 * The ten value types of the format; the two booleans are one here. `timestamp` is milliseconds since 1970 and, like
 * `long`, a signed 64-bit integer. `uuid` is the usual text, in lower case when it was decoded.
 */
export type HeaderValue =
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'byte'; readonly value: number }
  | { readonly type: 'short'; readonly value: number }
  | { readonly type: 'integer'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'byteArray'; readonly value: Uint8Array }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'timestamp'; readonly value: bigint }
  | { readonly type: 'uuid'; readonly value: string }

export type MessageHeaders = ReadonlyMap<string, HeaderValue>

/** The value of a header that is there and is a string, else `null`: a peer may send any type under any name. */
export function stringHeader(headers: MessageHeaders, name: string): string | null {
  const header = headers.get(name)
  return header?.type === 'string' ? header.value : null
}

/** The header block of a message. Throws `bad_header`, or `bad_headers_length` above `MAX_HEADERS_BYTES`. */
export function encodeHeaders(headers: MessageHeaders): Buffer {
  const block = Buffer.allocUnsafe(measureHeaders(headers))
  writeHeaders(headers, block, 0)
  return block
}

/** Checks every header and returns the bytes that `writeHeaders` will need. Throws as `encodeHeaders`. */
export function measureHeaders(headers: MessageHeaders): number {
  let totalBytes = 0
  for (const [name, header] of headers) totalBytes += measureName(name) + 1 + measureValue(name, header)
  if (totalBytes > MAX_HEADERS_BYTES) {
    throw new EventStreamError(
      'bad_headers_length',
      `The headers have ${totalBytes} bytes; the limit is ${MAX_HEADERS_BYTES}.`,
    )
  }
  return totalBytes
}

/** Writes headers that `measureHeaders` has passed, and returns the offset behind them. */
export function writeHeaders(headers: MessageHeaders, target: Buffer, startOffset: number): number {
  let offset = startOffset
  for (const [name, header] of headers) {
    const nameBytes = target.write(name, offset + 1, 'utf8')
    target.writeUInt8(nameBytes, offset)
    offset = writeValue(header, target, offset + 1 + nameBytes)
  }
  return offset
}

function measureName(name: string): number {
  const nameBytes = measureText(name, `name ${quote(name)}`)
  if (nameBytes === 0 || nameBytes > MAX_HEADER_NAME_BYTES) {
    throw badHeader(`name ${quote(name)} has ${nameBytes} bytes; it must have 1 to ${MAX_HEADER_NAME_BYTES}.`)
  }
  return 1 + nameBytes
}

function measureValue(name: string, header: HeaderValue): number {
  switch (header.type) {
    case 'boolean':
      return 0
    case 'byte':
      return checkInteger(name, header, 1)
    case 'short':
      return checkInteger(name, header, 2)
    case 'integer':
      return checkInteger(name, header, 4)
    case 'long':
    case 'timestamp':
      return checkLong(name, header)
    case 'byteArray':
      return 2 + checkVariableLength(name, header.value.byteLength)
    case 'string':
      return 2 + checkVariableLength(name, measureText(header.value, `value of ${quote(name)}`))
    default:
      if (!UUID.test(header.value)) throw badHeader(`value of ${quote(name)} is not a UUID.`)
      return UUID_BYTES
  }
}

function writeValue(header: HeaderValue, target: Buffer, typeOffset: number): number {
  const offset = typeOffset + 1
  if (header.type === 'boolean') {
    return target.writeUInt8(header.value ? HEADER_TYPE.true : HEADER_TYPE.false, typeOffset)
  }
  target.writeUInt8(HEADER_TYPE[header.type], typeOffset)
  switch (header.type) {
    case 'byte':
      return target.writeInt8(header.value, offset)
    case 'short':
      return target.writeInt16BE(header.value, offset)
    case 'integer':
      return target.writeInt32BE(header.value, offset)
    case 'long':
    case 'timestamp':
      return target.writeBigInt64BE(header.value, offset)
    case 'byteArray':
      target.set(header.value, target.writeUInt16BE(header.value.byteLength, offset))
      return offset + 2 + header.value.byteLength
    case 'string': {
      const valueBytes = target.write(header.value, offset + 2, 'utf8')
      return target.writeUInt16BE(valueBytes, offset) + valueBytes
    }
    default:
      return offset + target.write(header.value.replaceAll('-', ''), offset, 'hex')
  }
}

/**
 * Reads a whole header block. The map and its values cannot be changed; a byte array is a view of `bytes`, so it is
 * valid as long as they are and keeps them alive.
 */
export function decodeHeaders(bytes: Uint8Array): MessageHeaders {
  if (bytes.byteLength > MAX_HEADERS_BYTES) {
    throw new EventStreamError(
      'bad_headers_length',
      `The headers have ${bytes.byteLength} bytes; the limit is ${MAX_HEADERS_BYTES}.`,
    )
  }
  const block = asBuffer(bytes)
  const headers = new Map<string, HeaderValue>()
  let offset = 0
  while (offset < block.length) {
    const nameOffset = offset + 1
    const nameBytes = block.readUInt8(offset)
    if (nameBytes === 0) throw badHeader(`name at offset ${offset} is empty.`)
    const typeOffset = endOf(block, nameOffset, nameBytes, 'name')
    const name = decodeText(block, nameOffset, typeOffset, 'name')
    if (headers.has(name)) throw badHeader(`name ${quote(name)} occurs twice.`)
    offset = endOf(block, typeOffset, 1, 'value type')
    const type = block.readUInt8(typeOffset)
    if (type === HEADER_TYPE.byteArray || type === HEADER_TYPE.string) {
      const valueOffset = endOf(block, offset, 2, 'value length')
      const valueBytes = checkVariableLength(name, block.readUInt16BE(offset))
      offset = endOf(block, valueOffset, valueBytes, 'value')
      headers.set(name, readVariable(block, type, valueOffset, offset))
    } else {
      const valueOffset = offset
      offset = endOf(block, valueOffset, fixedValueBytes(type, typeOffset), 'value')
      headers.set(name, readFixed(block, type, valueOffset))
    }
  }
  return lock(headers)
}

type VariableType = typeof HEADER_TYPE.byteArray | typeof HEADER_TYPE.string

function readVariable(
  block: Buffer,
  type: VariableType,
  startOffset: number,
  endOffset: number,
): HeaderValue {
  if (type === HEADER_TYPE.byteArray) {
    return { type: 'byteArray', value: block.subarray(startOffset, endOffset) }
  }
  return { type: 'string', value: decodeText(block, startOffset, endOffset, 'value') }
}

function fixedValueBytes(type: number, typeOffset: number): number {
  const valueBytes = FIXED_VALUE_BYTES[type]
  if (valueBytes === undefined) throw badHeader(`value type ${type} at offset ${typeOffset} does not exist.`)
  return valueBytes
}

const FIXED_VALUE_BYTES: Readonly<Record<number, number>> = {
  [HEADER_TYPE.true]: 0,
  [HEADER_TYPE.false]: 0,
  [HEADER_TYPE.byte]: 1,
  [HEADER_TYPE.short]: 2,
  [HEADER_TYPE.integer]: 4,
  [HEADER_TYPE.long]: 8,
  [HEADER_TYPE.timestamp]: 8,
  [HEADER_TYPE.uuid]: UUID_BYTES,
}

function readFixed(block: Buffer, type: number, offset: number): HeaderValue {
  switch (type) {
    case HEADER_TYPE.true:
    case HEADER_TYPE.false:
      return { type: 'boolean', value: type === HEADER_TYPE.true }
    case HEADER_TYPE.byte:
      return { type: 'byte', value: block.readInt8(offset) }
    case HEADER_TYPE.short:
      return { type: 'short', value: block.readInt16BE(offset) }
    case HEADER_TYPE.integer:
      return { type: 'integer', value: block.readInt32BE(offset) }
    case HEADER_TYPE.long:
      return { type: 'long', value: block.readBigInt64BE(offset) }
    case HEADER_TYPE.timestamp:
      return { type: 'timestamp', value: block.readBigInt64BE(offset) }
    default:
      return { type: 'uuid', value: readUuid(block, offset) }
  }
}

function readUuid(block: Buffer, offset: number): string {
  const hex = block.toString('hex', offset, offset + UUID_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const LONE_SURROGATE = /\p{Surrogate}/u
const INT64_MIN = -(2n ** 63n)
const INT64_MAX = 2n ** 63n - 1n

function checkInteger(name: string, header: { type: string; value: number }, valueBytes: 1 | 2 | 4): number {
  const limit = 2 ** (8 * valueBytes - 1)
  if (!Number.isInteger(header.value) || header.value < -limit || header.value >= limit) {
    throw badHeader(
      `value ${header.value} of ${quote(name)} is no ${header.type}: ${-limit} to ${limit - 1}, whole.`,
    )
  }
  return valueBytes
}

function checkLong(name: string, header: { type: string; value: bigint }): number {
  if (header.value < INT64_MIN || header.value > INT64_MAX) {
    throw badHeader(
      `value ${header.value} of ${quote(name)} is no ${header.type}: it needs more than 64 bits.`,
    )
  }
  return 8
}

function checkVariableLength(name: string, valueBytes: number): number {
  if (valueBytes > MAX_HEADER_VALUE_BYTES) {
    throw badHeader(
      `value of ${quote(name)} has ${valueBytes} bytes; the limit is ${MAX_HEADER_VALUE_BYTES}.`,
    )
  }
  return valueBytes
}

/** A lone surrogate has no UTF-8: Node would write U+FFFD, and two names could become one. */
function measureText(text: string, what: string): number {
  if (LONE_SURROGATE.test(text)) throw badHeader(`${what} has a lone surrogate, which has no UTF-8.`)
  return Buffer.byteLength(text, 'utf8')
}

// The byte order mark is a character like any other here; dropping it would let two names be one.
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeText(block: Buffer, startOffset: number, endOffset: number, what: string): string {
  try {
    return strictUtf8.decode(block.subarray(startOffset, endOffset))
  } catch {
    throw badHeader(`${what} at offset ${startOffset} is not UTF-8.`)
  }
}

function endOf(block: Buffer, offset: number, lengthBytes: number, what: string): number {
  const endOffset = offset + lengthBytes
  if (endOffset > block.length) {
    throw badHeader(
      `${what} at offset ${offset} needs ${lengthBytes} bytes; ${block.length - offset} are left.`,
    )
  }
  return endOffset
}

/** Locked, because `headers-memo.ts` hands one map to many messages. A frozen `Map` alone would still change. */
function lock(headers: Map<string, HeaderValue>): MessageHeaders {
  for (const header of headers.values()) Object.freeze(header)
  return Object.freeze(
    Object.assign(headers, { set: refuseChange, delete: refuseChange, clear: refuseChange }),
  )
}

function refuseChange(): never {
  throw new TypeError('The headers of a decoded message cannot be changed.')
}

function badHeader(rule: string): EventStreamError {
  return new EventStreamError('bad_header', `Header ${rule}`)
}

/** Names are the peer's: bounded and escaped before they enter an error text. */
function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
}
