/**
 * AudioEvent, the hot path: ten times a second and session, one of these.
 *
 * Everything before the audio (the head: prelude and headers, 100 bytes) depends on the length alone. So it is kept
 * per length, with the CRC over it, from which the message CRC goes on. What remains for each frame is memory, one
 * copy of the audio and one CRC over the audio.
 *
 * Two ways in. `encodeAudioEvent` copies audio that is whole already, `writeAudioEvent` into memory of the caller. A
 * chunker that collects it from several messages takes a frame (`allocateAudioEvent`, or memory of its own), writes the
 * audio to `AUDIO_PAYLOAD_OFFSET` and on, and seals it.
 */
import { crc32 } from './crc32.ts'
import { encodeHeaders } from './headers.ts'
import { HEADERS_OFFSET, WORD_BYTES } from './layout.ts'
import { checkTotalLength, writePrelude } from './prelude.ts'

const HEADER_BLOCK = encodeHeaders(
  new Map([
    [':content-type', { type: 'string', value: 'application/octet-stream' }],
    [':event-type', { type: 'string', value: 'AudioEvent' }],
    [':message-type', { type: 'string', value: 'event' }],
  ]),
)

/** Where the audio starts in the frame of an AudioEvent. */
export const AUDIO_PAYLOAD_OFFSET = HEADERS_OFFSET + HEADER_BLOCK.length
/** What an AudioEvent has beside its audio. */
export const AUDIO_OVERHEAD_BYTES = AUDIO_PAYLOAD_OFFSET + WORD_BYTES

/** One AudioEvent with a copy of `pcm`; empty audio means the end of the stream. Throws `too_big`. */
export function encodeAudioEvent(pcm: Uint8Array): Buffer {
  const totalBytes = checkTotalLength(AUDIO_OVERHEAD_BYTES + pcm.byteLength)
  return writeAudioEvent(allocate(totalBytes), pcm)
}

/**
 * As `encodeAudioEvent`, into memory of the caller: `frame` has `AUDIO_OVERHEAD_BYTES` more than `pcm`, and may have
 * held another event before. Returns it.
 */
export function writeAudioEvent(frame: Buffer, pcm: Uint8Array): Buffer {
  const totalBytes = frame.length
  if (totalBytes !== AUDIO_OVERHEAD_BYTES + pcm.byteLength) {
    throw new RangeError(
      `frame has ${totalBytes} bytes; it must have ${AUDIO_OVERHEAD_BYTES + pcm.byteLength} for this audio.`,
    )
  }
  const head = headOf(totalBytes)
  frame.set(head.bytes)
  frame.set(pcm, AUDIO_PAYLOAD_OFFSET)
  frame.writeUInt32BE(crc32(pcm, head.crc), totalBytes - WORD_BYTES)
  return frame
}

/** The AudioEvent that says: no more audio. A fresh copy, so the caller may give it away. */
export function encodeEndOfStream(): Buffer {
  return Buffer.from(END_OF_STREAM)
}

/**
 * A frame with room for `payloadCapacityBytes` of audio. Its content is undefined until `sealAudioEvent`.
 * Throws `too_big`.
 */
export function allocateAudioEvent(payloadCapacityBytes: number): Buffer {
  if (!Number.isInteger(payloadCapacityBytes) || payloadCapacityBytes < 0) {
    throw new RangeError(`payloadCapacityBytes is ${payloadCapacityBytes}; it must be a whole number from 0.`)
  }
  return allocate(checkTotalLength(AUDIO_OVERHEAD_BYTES + payloadCapacityBytes))
}

/**
 * Makes a message of a frame whose first `payloadBytes` of audio are written, and returns exactly it: the frame, or
 * a view of its start. Sealing again with more audio behind the first is allowed as long as no one uses the message.
 */
export function sealAudioEvent(frame: Buffer, payloadBytes: number): Buffer {
  const capacityBytes = frame.length - AUDIO_OVERHEAD_BYTES
  if (!Number.isInteger(payloadBytes) || payloadBytes < 0 || payloadBytes > capacityBytes) {
    throw new RangeError(
      `payloadBytes is ${payloadBytes}; it must be a whole number from 0 to ${capacityBytes}, the room in the frame.`,
    )
  }
  const crcOffset = AUDIO_PAYLOAD_OFFSET + payloadBytes
  const totalBytes = checkTotalLength(crcOffset + WORD_BYTES)
  const head = headOf(totalBytes)
  frame.set(head.bytes)
  frame.writeUInt32BE(crc32(frame.subarray(AUDIO_PAYLOAD_OFFSET, crcOffset), head.crc), crcOffset)
  return totalBytes === frame.length ? frame : frame.subarray(0, totalBytes)
}

interface Head {
  totalBytes: number
  /** CRC over all of `bytes`. */
  crc: number
  readonly bytes: Buffer
}

/**
 * Few lengths are alive at a time: one per sample rate and channel count, the lengths of clients whose frames pass
 * uncut, and 104 for the end. A prime, because audio lengths are multiples of round numbers.
 */
const HEAD_SLOT_COUNT = 31
const heads: (Head | undefined)[] = Array.from({ length: HEAD_SLOT_COUNT })

// A miss costs about a quarter of a microsecond, half an event of 640 bytes: see the "cold head" rows of
// bench/micro/framing.ts.
function headOf(totalBytes: number): Head {
  const slot = totalBytes % HEAD_SLOT_COUNT
  let head = heads[slot]
  if (head?.totalBytes === totalBytes) return head
  if (head === undefined) {
    head = { totalBytes, crc: 0, bytes: Buffer.allocUnsafeSlow(AUDIO_PAYLOAD_OFFSET) }
    head.bytes.set(HEADER_BLOCK, HEADERS_OFFSET)
    heads[slot] = head
  }
  writePrelude(head.bytes, totalBytes, HEADER_BLOCK.length)
  head.crc = crc32(head.bytes)
  head.totalBytes = totalBytes
  return head
}

/**
 * Of frames that are given away. From Node's pool where the frame fits (up to 4 KiB): a third cheaper than memory of its own, see the "allocation"
 * rows of bench/micro/framing.ts. The price: a frame kept for replay keeps its 8 KiB slab, which it shares with one
 * to three neighbours of about the same age and the same bounded lifetime. Slabs of our own of 64 KiB would save
 * another third, but keep nineteen neighbours, of other sessions: one session that waits would hold twenty times its
 * bytes, past every limit that counts them.
 */
function allocate(totalBytes: number): Buffer {
  return Buffer.allocUnsafe(totalBytes)
}

const END_OF_STREAM = encodeAudioEvent(new Uint8Array(0))
