/**
 * The checksum of the event stream: CRC-32 as in gzip (polynomial 0xEDB88320, reflected). This file is the one place
 * that chooses an implementation: zlib's, native and several bytes at a time, but for single words.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'

/**
 * CRC-32 of `bytes`, unsigned. To go on after earlier bytes, give their CRC as `previousCrc`:
 * `crc32(b, crc32(a))` is the CRC of `a` followed by `b`.
 */
export function crc32(bytes: Uint8Array, previousCrc = 0): number {
  return zlibCrc32(bytes, previousCrc)
}

/**
 * As `crc32` of the four bytes of `word`, big-endian. A word needs no bytes in memory this way, and four steps of a
 * table take a fraction of a call of zlib: see the "word CRC" rows of bench/micro/framing.ts.
 */
export function crc32OfWord(word: number, previousCrc = 0): number {
  let crc = ~previousCrc
  crc = (crc >>> 8) ^ tableEntry((crc ^ (word >>> 24)) & 0xff)
  crc = (crc >>> 8) ^ tableEntry((crc ^ (word >>> 16)) & 0xff)
  crc = (crc >>> 8) ^ tableEntry((crc ^ (word >>> 8)) & 0xff)
  crc = (crc >>> 8) ^ tableEntry((crc ^ word) & 0xff)
  return ~crc >>> 0
}

/** What a byte makes of a CRC: entry `b` is `b` after eight steps of the division by the polynomial. */
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let entry = byte
  for (let bit = 0; bit < 8; bit += 1) entry = (entry & 1) === 1 ? (entry >>> 1) ^ 0xedb88320 : entry >>> 1
  return entry
})

function tableEntry(byte: number): number {
  return TABLE[byte] ?? 0
}
