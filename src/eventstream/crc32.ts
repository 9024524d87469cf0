/**
 * The checksum of the event stream: CRC-32 as in gzip (polynomial 0xEDB88320, reflected). This file is the one place
 * that chooses an implementation. zlib's is native and vectorised, which no JavaScript table comes near.
 */
import { crc32 as zlibCrc32 } from 'node:zlib'

/**
 * CRC-32 of `bytes`, unsigned. To go on after earlier bytes, give their CRC as `previousCrc`:
 * `crc32(b, crc32(a))` is the CRC of `a` followed by `b`.
 */
export function crc32(bytes: Uint8Array, previousCrc = 0): number {
  return zlibCrc32(bytes, previousCrc)
}
