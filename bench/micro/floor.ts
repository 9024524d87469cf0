/**
 * What nobody can avoid. An AudioEvent has a copy of the audio and a CRC over it; a decoded message has a CRC over all of
 * it. Two floors for encoding, because a frame needs memory, and fresh memory is cold:
 *
 * - `FLOOR`: copy and CRC, always into the same memory. No encoder whose frames outlive the call can be that fast.
 * - `FLOOR_WITH_MEMORY`: the same into a Buffer of its own for each frame, from Node's pool where it fits.
 */
import { crc32 } from 'node:zlib'

export const FLOOR = 'floor: copy and CRC'
export const FLOOR_WITH_MEMORY = 'floor with memory'

/** Copies `pcm` into `frame` and returns the CRC over `head` and `pcm`; `headCrc` is the one over `head`. */
export function copyAndCrc(frame: Buffer, pcm: Uint8Array, offset: number, headCrc: number): number {
  frame.set(pcm, offset)
  return crc32(pcm, headCrc)
}

/** Takes memory for a frame. */
export type Allocate = (bytes: number) => Buffer

export const allocateFromPool: Allocate = bytes => Buffer.allocUnsafe(bytes)

export const allocateAlone: Allocate = bytes => Buffer.allocUnsafeSlow(bytes)

/** From slabs of `slabBytes`, cut one after the other: cheap, and a slab lives as long as the last frame in it. */
export function slabAllocator(slabBytes: number): Allocate {
  let slab = Buffer.allocUnsafeSlow(slabBytes)
  let used = 0
  return bytes => {
    if (used + bytes > slabBytes) {
      slab = Buffer.allocUnsafeSlow(slabBytes)
      used = 0
    }
    const start = used
    used = start + ((bytes + 7) & ~7)
    return slab.subarray(start, start + bytes)
  }
}
