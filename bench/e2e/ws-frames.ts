/**
 * WebSocket frames by hand (RFC 6455 §5), both sides: a bench that spends its time in a library measures the library.
 * Only what benches send and get: whole messages, no fragments, no extensions.
 */
import { createHash, randomBytes } from 'node:crypto'

const OPCODES = { text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const
export type FrameKind = keyof typeof OPCODES

const FIN = 0x80
const MASKED = 0x80
const MASK_BYTES = 4
const LENGTH_16 = 126
const LENGTH_64 = 127
const ACCEPT_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** A frame of a client, masked with a random key: made once, it can be sent any number of times. */
export function clientFrame(kind: FrameKind, payload: Uint8Array): Buffer {
  const head = headOf(kind, payload.length, MASKED)
  const mask = randomBytes(MASK_BYTES)
  const frame = Buffer.concat([head, mask, payload])
  const start = head.length + MASK_BYTES
  for (let index = 0; index < payload.length; index++) {
    frame[start + index] = (frame[start + index] ?? 0) ^ (mask[index % MASK_BYTES] ?? 0)
  }
  return frame
}

/** A frame of a server. */
export function serverFrame(kind: FrameKind, payload: Uint8Array): Buffer {
  return Buffer.concat([headOf(kind, payload.length, 0), payload])
}

/** `Sec-WebSocket-Accept` for a key. */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + ACCEPT_SUFFIX)
    .digest('base64')
}

function headOf(kind: FrameKind, payloadBytes: number, maskBit: number): Buffer {
  const first = FIN | OPCODES[kind]
  if (payloadBytes < LENGTH_16) return Buffer.from([first, maskBit | payloadBytes])
  const head = Buffer.alloc(payloadBytes <= 0xffff ? 4 : 10)
  head[0] = first
  head[1] = maskBit | (head.length === 4 ? LENGTH_16 : LENGTH_64)
  if (head.length === 4) head.writeUInt16BE(payloadBytes, 2)
  else head.writeBigUInt64BE(BigInt(payloadBytes), 2)
  return head
}

export interface FrameListener {
  /** `payload`: a view, valid during the call only; empty where the reader skips payloads. Never unmasked. */
  readerOnFrame(opcode: number, payloadBytes: number, payload: Buffer): void
}

const NOTHING = Buffer.alloc(0)

/** Cuts a TCP stream into frames. */
export class FrameReader {
  readonly #listener: FrameListener
  readonly #keepsPayloads: boolean
  #rest: Buffer = NOTHING
  /** Of a frame whose payload is skipped. */
  #opcode = 0
  #payloadBytes = 0
  #skipBytes = -1

  /** Without `keepsPayloads`, payloads are counted and dropped, which costs next to nothing. */
  constructor(listener: FrameListener, keepsPayloads: boolean) {
    this.#listener = listener
    this.#keepsPayloads = keepsPayloads
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = NOTHING
    for (;;) {
      if (this.#skipBytes >= 0) {
        if (bytes.length < this.#skipBytes) {
          this.#skipBytes -= bytes.length
          return
        }
        bytes = bytes.subarray(this.#skipBytes)
        this.#skipBytes = -1
        this.#listener.readerOnFrame(this.#opcode, this.#payloadBytes, NOTHING)
      }
      const usedBytes = this.#readFrame(bytes)
      if (usedBytes === 0) break
      bytes = bytes.subarray(usedBytes)
    }
    if (bytes.length > 0) this.#rest = Buffer.from(bytes)
  }

  /** Returns how many bytes were used; 0: more must come. */
  #readFrame(bytes: Buffer): number {
    if (bytes.length < 2) return 0
    const second = bytes[1] ?? 0
    const length7 = second & 0x7f
    let offset = 2
    let payloadBytes = length7
    if (length7 === LENGTH_16) {
      if (bytes.length < 4) return 0
      payloadBytes = bytes.readUInt16BE(2)
      offset = 4
    } else if (length7 === LENGTH_64) {
      if (bytes.length < 10) return 0
      payloadBytes = Number(bytes.readBigUInt64BE(2))
      offset = 10
    }
    if ((second & MASKED) !== 0) offset += MASK_BYTES
    if (bytes.length < offset) return 0
    const opcode = (bytes[0] ?? 0) & 0x0f
    if (!this.#keepsPayloads) {
      this.#opcode = opcode
      this.#payloadBytes = payloadBytes
      this.#skipBytes = payloadBytes
      return offset
    }
    if (bytes.length < offset + payloadBytes) return 0
    this.#listener.readerOnFrame(opcode, payloadBytes, bytes.subarray(offset, offset + payloadBytes))
    return offset + payloadBytes
  }
}

export const OPCODE = OPCODES
