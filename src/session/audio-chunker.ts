/**
 * Re-cuts the client's messages into AudioEvents of equal length, on sample boundaries.
 *
 * The service wants 50–200 ms a chunk, all of one size, never a broken sample and never more than a second; clients
 * send what their audio stack gives them. A message that is already in range is framed as it is, without waiting.
 * Anything else is copied once, straight into the frame under construction. What is left over waits for more audio,
 * at most one chunk long (`flushAfter`).
 *
 * Bytes in: views, valid during the call. Bytes out: whole event-stream messages that belong to the receiver, in memory
 * that was taken from `memory`, exactly as it was taken.
 */
import {
  AUDIO_OVERHEAD_BYTES,
  AUDIO_PAYLOAD_OFFSET,
  sealAudioEvent,
  writeAudioEvent,
} from '../eventstream/audio-event.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'

export interface ChunkSizes {
  /** Length of one sample over all channels; 1 for compressed audio, which has no boundaries. */
  readonly frameBytes: number
  readonly chunkBytes: number
  readonly minBytes: number
  readonly maxBytes: number
}

/** Receives each frame and the number of audio bytes in it. */
export type EmitFrame = (frame: Buffer, audioBytes: number) => void

/** Compressed audio is passed on in the client's own pieces, up to this size. */
const COMPRESSED_MAX_BYTES = 16 * 1024

/** How many times longer a piece below the least length waits for more. */
const SMALL_PATIENCE = 4

/** Sizes for audio of `bytesPerSecond`; every size is a whole number of samples. */
export function chunkSizes(
  audio: { readonly isPcm: boolean; readonly bytesPerSecond: number; readonly frameBytes: number },
  limits: { readonly chunkMs: number; readonly minChunkMs: number; readonly maxChunkMs: number },
): ChunkSizes {
  if (!audio.isPcm) {
    return { frameBytes: 1, chunkBytes: COMPRESSED_MAX_BYTES, minBytes: 1, maxBytes: COMPRESSED_MAX_BYTES }
  }
  const bytesOf = (ms: number) => wholeFrames((audio.bytesPerSecond * ms) / 1000, audio.frameBytes)
  return {
    frameBytes: audio.frameBytes,
    chunkBytes: bytesOf(limits.chunkMs),
    minBytes: bytesOf(limits.minChunkMs),
    maxBytes: bytesOf(limits.maxChunkMs),
  }
}

export class AudioChunker {
  readonly #sizes: ChunkSizes
  readonly #memory: RecycledBuffers
  readonly #emit: EmitFrame
  #pending: Buffer | null = null
  #pendingBytes = 0
  #pendingSinceMs = 0

  constructor(sizes: ChunkSizes, memory: RecycledBuffers, emit: EmitFrame) {
    this.#sizes = sizes
    this.#memory = memory
    this.#emit = emit
  }

  /** Audio bytes that wait for more. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  push(audio: Uint8Array, nowMs: number): void {
    const { frameBytes, minBytes, maxBytes } = this.#sizes
    const isWhole = audio.length % frameBytes === 0
    if (this.#pendingBytes === 0 && isWhole && audio.length >= minBytes && audio.length <= maxBytes) {
      this.#emit(this.#copy(audio), audio.length)
      return
    }
    this.#append(audio, nowMs)
  }

  /**
   * Sends what waits since `waitMs` or longer; less than the service likes waits longer, because more is probably on
   * its way. Bytes of a broken sample go on waiting.
   */
  flushAfter(waitMs: number, nowMs: number): void {
    const { frameBytes, minBytes } = this.#sizes
    if (this.#pendingBytes < frameBytes) return
    const patienceMs = this.#pendingBytes < minBytes ? waitMs * SMALL_PATIENCE : waitMs
    if (nowMs - this.#pendingSinceMs >= patienceMs) this.flush(nowMs)
  }

  /** Sends everything but the bytes of a broken sample. Returns how many of those there are. */
  flush(nowMs: number): number {
    const frame = this.#pending
    const whole = wholeFrames(this.#pendingBytes, this.#sizes.frameBytes)
    if (frame === null || whole === 0) return this.#pendingBytes
    const end = AUDIO_PAYLOAD_OFFSET + this.#pendingBytes
    const brokenBytes = this.#pendingBytes - whole
    // A copy, because memory comes in lengths, and this is shorter than a chunk. It happens when somebody falls silent.
    const message = this.#copy(frame.subarray(AUDIO_PAYLOAD_OFFSET, AUDIO_PAYLOAD_OFFSET + whole))
    frame.copyWithin(AUDIO_PAYLOAD_OFFSET, end - brokenBytes, end)
    this.#pendingBytes = brokenBytes
    this.#pendingSinceMs = nowMs
    if (brokenBytes === 0) this.clear()
    this.#emit(message, whole)
    return brokenBytes
  }

  /** Forgets what waits for more, and gives its memory back. */
  clear(): void {
    const frame = this.#pending
    this.#pending = null
    this.#pendingBytes = 0
    if (frame !== null) this.#memory.give(frame)
  }

  #append(audio: Uint8Array, nowMs: number): void {
    const { chunkBytes } = this.#sizes
    let offset = 0
    while (offset < audio.length) {
      const frame = (this.#pending ??= this.#memory.take(AUDIO_OVERHEAD_BYTES + chunkBytes))
      if (this.#pendingBytes === 0) this.#pendingSinceMs = nowMs
      const part = Math.min(chunkBytes - this.#pendingBytes, audio.length - offset)
      frame.set(audio.subarray(offset, offset + part), AUDIO_PAYLOAD_OFFSET + this.#pendingBytes)
      this.#pendingBytes += part
      offset += part
      if (this.#pendingBytes === chunkBytes) this.#emitPending(frame, chunkBytes)
    }
  }

  #emitPending(frame: Buffer, audioBytes: number): void {
    this.#pending = null
    this.#pendingBytes = 0
    this.#emit(sealAudioEvent(frame, audioBytes), audioBytes)
  }

  // One copy, into memory that is used again: see the "recycled" rows of bench/micro/framing.ts.
  #copy(audio: Uint8Array): Buffer {
    return writeAudioEvent(this.#memory.take(AUDIO_OVERHEAD_BYTES + audio.length), audio)
  }
}

function wholeFrames(bytes: number, frameBytes: number): number {
  return Math.floor(bytes / frameBytes) * frameBytes
}
