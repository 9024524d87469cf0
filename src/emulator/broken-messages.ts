/** Bytes that the real service never sends. Each is a good message with exactly one thing wrong. */
import { encode, transcriptEvent } from './messages.ts'
import type { WireResult } from './wire-results.ts'

const PRELUDE_CRC_OFFSET = 8

/** Deterministic noise whose first four bytes claim a length that is not there. */
export function garbage(bytes: number): Buffer {
  const noise = Buffer.alloc(bytes)
  let state = 0x9e37_79b9
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    noise[index] = state >>> 24
  }
  return noise
}

export function badPreludeCrc(): Buffer {
  return flipByte(transcriptEvent([]), PRELUDE_CRC_OFFSET)
}

export function badMessageCrc(): Buffer {
  const message = transcriptEvent([])
  return flipByte(message, message.length - 1)
}

export function truncatedMessage(): Buffer {
  const message = transcriptEvent([])
  return message.subarray(0, message.length - 7)
}

/** Well-formed, of an event type that no client knows: clients are to ignore it. */
export function unknownEventType(): Buffer {
  return encode(
    { ':message-type': 'event', ':event-type': 'WeatherEvent', ':content-type': 'application/json' },
    '{"Sky":"grey"}',
  )
}

/** Well-formed, of a message type that the format does not have. */
export function unknownMessageType(): Buffer {
  return encode({ ':message-type': 'telegram', ':content-type': 'application/json' }, '{}')
}

/** A partial result without meaning, for floods. */
export function fillerResult(number: number): WireResult {
  return {
    ResultId: 'flood',
    StartTime: 0,
    EndTime: 0,
    IsPartial: true,
    Alternatives: [{ Transcript: `flood ${number}`, Items: [] }],
  }
}

/** A server's WebSocket frame: unmasked, at most 125 bytes. `firstByte` is FIN, the RSV bits and the opcode. */
function rawFrame(firstByte: number, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([firstByte, payload.length]), payload])
}

/** A binary frame that claims to be compressed (RSV1), though compression was never agreed on. */
export function compressedFrame(): Buffer {
  return rawFrame(0xc2, Buffer.from([0x4b, 0x04, 0x00]))
}

/** One binary message in `count` frames of one byte; it is never finished. */
export function fragmentFlood(count: number): Buffer {
  const first = rawFrame(0x02, Buffer.from([0]))
  const next = rawFrame(0x00, Buffer.from([0]))
  return Buffer.concat([first, ...Array.from({ length: count - 1 }, () => next)])
}

function flipByte(message: Buffer, offset: number): Buffer {
  const damaged = Buffer.from(message)
  damaged.writeUInt8(damaged.readUInt8(offset) ^ 0xff, offset)
  return damaged
}
