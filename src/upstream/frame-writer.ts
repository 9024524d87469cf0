/**
 * Binary messages as client frames of a WebSocket (RFC 6455 §5.2), straight into the socket under it.
 *
 * `ws` allocates a frame for every message and lets the garbage collector have it; that, and the memory of the
 * AudioEvent itself, was a quarter of the CPU of a busy relay. Here header, key and masked payload are written into one
 * recycled buffer, which is one write and so one TLS record, and comes back when the socket has it. The mask is a fresh
 * random key for every frame, over TLS too (§5.3): masking costs 0.1 µs of a frame's 60, see the "mask" rows of
 * bench/micro/framing.ts and docs/adr/0008-frame-memory.md.
 *
 * Whole frames only, so that the control frames that `ws` writes to the same socket may come between any two.
 */
import bufferUtil from 'bufferutil'
import { randomFillSync } from 'node:crypto'
import type { Writable } from 'node:stream'
import { RecycledBuffers } from '../recycled-buffers.ts'

/** FIN and the opcode of a binary message (§5.2). */
const FIN_BINARY = 0x82
const MASKED = 0x80
const KEY_BYTES = 4
/** Longest payload whose length is in the second byte, and in two bytes after it (§5.2). */
const MAX_LENGTH_7 = 125
const MAX_LENGTH_16 = 0xffff
const LENGTH_16 = 126
const LENGTH_64 = 127

/** Frames that are on their way into a socket in one turn of the loop, of all sessions; a burst above that is let go. */
const MAX_FREE_BYTES = 4 * 1024 * 1024
const MAX_LENGTHS = 64

/** Keys are drawn by the thousand: a call of the random generator costs more than the masking of a frame. */
const KEY_STORE_BYTES = 8 * 1024
const keyStore = Buffer.allocUnsafeSlow(KEY_STORE_BYTES)
let keyStoreAt = KEY_STORE_BYTES
const key = Buffer.allocUnsafeSlow(KEY_BYTES)

/** Memory of the frames of one dialer. */
export function createWriteMemory(): RecycledBuffers {
  return new RecycledBuffers({ maxFreeBytes: MAX_FREE_BYTES, maxLengths: MAX_LENGTHS })
}

export class FrameWriter {
  readonly #socket: Writable
  readonly #memory: RecycledBuffers
  /** Given to the socket and not flushed, in order. */
  readonly #inFlight: Buffer[] = []
  readonly #onFlushed = (error?: Error | null): void => this.#socketOnFlushed(error)
  #isBroken = false

  constructor(socket: Writable, memory: RecycledBuffers) {
    this.#socket = socket
    this.#memory = memory
  }

  /** Frames that the socket has not flushed. */
  get pendingFrames(): number {
    return this.#inFlight.length
  }

  /**
   * Writes one binary message, a frame of its own. The bytes are read before this returns and belong to the caller.
   *
   * Not corked: a lone write goes out at once, and what else is written until the socket has reported it flushed is
   * gathered by the socket and leaves together. See "a burst" in test/upstream/frame-writer.test.ts.
   */
  write(payload: Uint8Array): void {
    const { length } = payload
    const headBytes = headBytesOf(length)
    const frame = this.#memory.take(headBytes + length)
    writeHead(frame, length, headBytes)
    bufferUtil.mask(payload, key, frame, headBytes, length)
    this.#inFlight.push(frame)
    this.#socket.write(frame, this.#onFlushed)
  }

  /** Sockets flush in order, and each write calls back once. */
  #socketOnFlushed(error?: Error | null): void {
    const frame = this.#inFlight.shift()
    // What became of the others after an error is not worth knowing: they go to the garbage collector.
    this.#isBroken ||= error != null
    if (frame !== undefined && !this.#isBroken) this.#memory.give(frame)
  }
}

function headBytesOf(length: number): number {
  if (length <= MAX_LENGTH_7) return 2 + KEY_BYTES
  return length <= MAX_LENGTH_16 ? 4 + KEY_BYTES : 10 + KEY_BYTES
}

/** The header, with a new key at its end, which is left in `key`. */
function writeHead(frame: Buffer, length: number, headBytes: number): void {
  frame[0] = FIN_BINARY
  if (length <= MAX_LENGTH_7) frame[1] = MASKED | length
  else if (length <= MAX_LENGTH_16) {
    frame[1] = MASKED | LENGTH_16
    frame.writeUInt16BE(length, 2)
  } else {
    frame[1] = MASKED | LENGTH_64
    frame.writeUInt32BE(0, 2)
    frame.writeUInt32BE(length, 6)
  }
  drawKey()
  frame.set(key, headBytes - KEY_BYTES)
}

function drawKey(): void {
  if (keyStoreAt === KEY_STORE_BYTES) {
    randomFillSync(keyStore)
    keyStoreAt = 0
  }
  for (let index = 0; index < KEY_BYTES; index += 1) key[index] = keyStore[keyStoreAt + index] ?? 0
  keyStoreAt += KEY_BYTES
}
