/**
 * The encoded audio of a session that may be needed (again): what was not sent yet, and what was sent but no final
 * result covers. Frames are kept in order, each with its position in the client's audio. They belong to this buffer: when one
 * falls out, for whatever reason, its memory goes back to where it was taken from.
 *
 *      released │ kept, sent          │ kept, not sent      │
 *      ─────────┼─────────────────────┼─────────────────────┼──▶ bytes of the client's audio
 *             start                 cursor                 end
 *
 * A new stream begins at the start: `rewind` makes everything kept unsent again. Bounded twice: audio that was sent is
 * kept for `replayBytes`, and for `maxBytes` until the results of a new stream have caught up; while no stream takes any,
 * everything together is kept for `maxBytes`. The oldest falls out.
 * Compressed audio cannot begin in the middle: it waits until it is sent, and is not kept (`replayBytes` is 0).
 */
import { AUDIO_OVERHEAD_BYTES, AUDIO_PAYLOAD_OFFSET, writeAudioEvent } from '../eventstream/audio-event.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import { isLoud } from './loudness.ts'

export interface KeptFrame {
  /** A whole AudioEvent. Nobody changes it until it falls out. */
  readonly frame: Buffer
  /** Position of its first byte in the client's audio. */
  readonly startByte: number
  readonly audioBytes: number
}

export interface ReplaySizes {
  /** Audio kept after it was sent. */
  readonly replayBytes: number
  /** All audio kept while it goes nowhere. */
  readonly maxBytes: number
  /** Length of a sample over all channels. */
  readonly frameBytes: number
  /** A piece shorter than this is joined to the next, because the service wants no shorter chunks. */
  readonly minBytes: number
}

/** Released entries at the head of the array are cut off once there are so many. */
const COMPACT_AT = 256

const RELEASED: KeptFrame = { frame: Buffer.alloc(0), startByte: 0, audioBytes: 0 }

export class ReplayBuffer {
  readonly #sizes: ReplaySizes
  readonly #memory: RecycledBuffers
  #frames: KeptFrame[] = []
  /** Index of the first kept frame, and of the first that is not sent. */
  #head = 0
  #cursor = 0
  #endByte = 0
  #unsentFrameBytes = 0
  #onceSentByte = 0
  /** `maxBytes` until the results have caught up: until then everything may be needed once more. */
  #keepBytes: number
  #catchUpByte = 0
  #fallenLoudBytes = 0
  #expectedBytes = 0

  /** `memory`: where the frames that are appended were taken from. */
  constructor(sizes: ReplaySizes, memory: RecycledBuffers) {
    this.#sizes = sizes
    this.#memory = memory
    this.#keepBytes = sizes.replayBytes
  }

  /** Bytes that wait to be sent, framing included. */
  get unsentFrameBytes(): number {
    return this.#unsentFrameBytes
  }

  get expectedBytes(): number {
    return this.#expectedBytes
  }

  /** So much more may be kept while it goes nowhere, until `expectNoMore`. */
  expect(bytes: number): void {
    this.#expectedBytes = Math.max(this.#expectedBytes, bytes)
  }

  expectNoMore(): void {
    this.#expectedBytes = 0
  }

  get hasUnsent(): boolean {
    return this.#cursor < this.#frames.length
  }

  get isEmpty(): boolean {
    return this.#head === this.#frames.length
  }

  /** Position of the first audio that is kept; the end when nothing is. */
  get startByte(): number {
    return this.#frames[this.#head]?.startByte ?? this.#endByte
  }

  /** Position of the first audio that is not sent. */
  get cursorByte(): number {
    return this.#frames[this.#cursor]?.startByte ?? this.#endByte
  }

  get endByte(): number {
    return this.#endByte
  }

  /** Some stream got the audio up to here. */
  get onceSentByte(): number {
    return this.#onceSentByte
  }

  /** Audio that no stream ever got. */
  get neverSentBytes(): number {
    return this.#endByte - Math.max(this.#onceSentByte, this.startByte)
  }

  /** Kept audio from here on that may hold speech. */
  loudBytesFrom(byte: number): number {
    let loudBytes = 0
    for (let index = this.#head; index < this.#frames.length; index += 1) {
      const entry = this.#frames[index]
      if (entry !== undefined && entry.startByte >= byte && isLoud(audioOf(entry)))
        loudBytes += entry.audioBytes
    }
    return loudBytes
  }

  append(frame: Buffer, audioBytes: number): void {
    this.#frames.push({ frame, startByte: this.#endByte, audioBytes })
    this.#endByte += audioBytes
    this.#unsentFrameBytes += frame.length
  }

  /**
   * The next frame to be sent, which counts as sent from here on. It is there until the next call that lets frames fall
   * out: `forgetSent`, to be called when it was sent, or any other.
   */
  next(): KeptFrame | null {
    const entry = this.#frames[this.#cursor]
    if (entry === undefined) return null
    this.#cursor += 1
    this.#unsentFrameBytes -= entry.frame.length
    this.#onceSentByte = Math.max(this.#onceSentByte, entry.startByte + entry.audioBytes)
    return entry
  }

  /** What was sent longer ago than it may be kept falls out. */
  forgetSent(): void {
    if (this.#sizes.replayBytes === 0) this.#releaseBefore(this.cursorByte)
    else this.#forgetBefore(this.cursorByte - this.#keepBytes)
  }

  /** A final result covers the audio up to here: what was sent of it is not needed again. */
  coverUpTo(byte: number): void {
    if (byte >= this.#catchUpByte) this.#keepBytes = this.#sizes.replayBytes
    this.#releaseBefore(byte)
    if (byte >= this.startByte) this.#fallenLoudBytes = 0
  }

  /** Audio that may hold speech and fell out before a final covered it; counted from here on anew. */
  takeFallenBytes(): number {
    const fallenBytes = this.#fallenLoudBytes
    this.#fallenLoudBytes = 0
    return fallenBytes
  }

  /**
   * Everything from `fromByte` on is to be sent (again): to a new stream, which begins at the returned position. That is
   * later than `fromByte` if the audio before it fell out. A frame that `fromByte` cuts is cut.
   */
  rewind(fromByte: number): number {
    this.#cursor = this.#head
    this.#unsentFrameBytes = 0
    for (let index = this.#head; index < this.#frames.length; index += 1) {
      this.#unsentFrameBytes += this.#frames[index]?.frame.length ?? 0
    }
    // Times of results are rounded: what no stream had is never covered.
    this.#cutBefore(Math.min(fromByte, this.#onceSentByte))
    this.#keepBytes = this.#sizes.maxBytes + this.#expectedBytes
    this.#catchUpByte = this.#endByte
    return this.startByte
  }

  /** To be called while no stream takes audio. Returns how many bytes fell out that no stream ever got. */
  trim(): number {
    const before = this.neverSentBytes
    const maxBytes = this.#sizes.maxBytes + this.#expectedBytes
    while (this.#endByte - this.startByte > maxBytes && !this.isEmpty) {
      this.#countFallen()
      this.#dropFirst()
    }
    return before - this.neverSentBytes
  }

  clear(): void {
    for (const { frame } of this.#frames.slice(this.#head)) this.#memory.give(frame)
    this.#frames = []
    this.#head = 0
    this.#cursor = 0
    this.#unsentFrameBytes = 0
    this.#onceSentByte = this.#endByte
  }

  /** Sent frames that end at or before `byte`. */
  #releaseBefore(byte: number): void {
    while (this.#head < this.#cursor) {
      const entry = this.#frames[this.#head]
      if (entry === undefined || entry.startByte + entry.audioBytes > byte) break
      this.#advance(entry)
    }
    this.#compact()
  }

  /** As above, but nothing covers them. */
  #forgetBefore(byte: number): void {
    while (this.#head < this.#cursor && this.#firstEndByte() <= byte) {
      this.#countFallen()
      this.#dropFirst()
    }
  }

  #countFallen(): void {
    const first = this.#frames[this.#head]
    if (first !== undefined && isLoud(audioOf(first))) this.#fallenLoudBytes += first.audioBytes
  }

  #cutBefore(fromByte: number): void {
    while (!this.isEmpty && this.#firstEndByte() <= fromByte) this.#dropFirst()
    const first = this.#frames[this.#head]
    if (first === undefined || first.startByte >= fromByte) return
    const { frameBytes, minBytes } = this.#sizes
    const cutBytes = Math.floor((fromByte - first.startByte) / frameBytes) * frameBytes
    const second = this.#frames[this.#head + 1]
    const rest = audioOf(first).subarray(cutBytes)
    const isShort = rest.length < minBytes && second !== undefined
    const audio = isShort ? Buffer.concat([rest, audioOf(second)]) : rest
    // Before what it is copied from may be used again.
    const frame = writeAudioEvent(this.#memory.take(AUDIO_OVERHEAD_BYTES + audio.length), audio)
    this.#dropFirst()
    if (isShort) this.#dropFirst()
    const startByte = first.startByte + cutBytes
    this.#frames.splice(this.#head, 0, { frame, startByte, audioBytes: audio.length })
    this.#unsentFrameBytes += frame.length
  }

  #firstEndByte(): number {
    const first = this.#frames[this.#head]
    return first === undefined ? this.#endByte : first.startByte + first.audioBytes
  }

  /** Whether it was sent or not. */
  #dropFirst(): void {
    const first = this.#frames[this.#head]
    if (first === undefined) return
    if (this.#cursor === this.#head) {
      this.#cursor += 1
      this.#unsentFrameBytes -= first.frame.length
    }
    this.#advance(first)
    this.#compact()
  }

  /** Gives up the first frame at once, and its place in the array later: a frame weighs 3 KB, a place nothing. */
  #advance(first: KeptFrame): void {
    this.#memory.give(first.frame)
    this.#frames[this.#head] = RELEASED
    this.#head += 1
  }

  #compact(): void {
    if (this.#head === this.#frames.length) {
      this.#frames = []
      this.#head = 0
      this.#cursor = 0
    } else if (this.#head >= COMPACT_AT && this.#head * 2 > this.#frames.length) {
      this.#frames.splice(0, this.#head)
      this.#cursor -= this.#head
      this.#head = 0
    }
  }
}

function audioOf({ frame, audioBytes }: KeptFrame): Buffer {
  return frame.subarray(AUDIO_PAYLOAD_OFFSET, AUDIO_PAYLOAD_OFFSET + audioBytes)
}
