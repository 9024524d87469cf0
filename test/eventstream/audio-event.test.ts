import * as fc from 'fast-check'
import t from 'tap'
import {
  AUDIO_OVERHEAD_BYTES,
  AUDIO_PAYLOAD_OFFSET,
  MAX_MESSAGE_BYTES,
  allocateAudioEvent,
  decodeMessage,
  encodeAudioEvent,
  encodeEndOfStream,
  encodeMessage,
  sealAudioEvent,
} from '../../src/eventstream/index.ts'
import { writeAudioEvent } from '../../src/eventstream/audio-event.ts'
import { chooseSeed } from './arbitraries.ts'
import { AUDIO_EVENT_HEADERS, VECTORS } from './vectors.ts'

const headers = new Map(AUDIO_EVENT_HEADERS)
const maxAudioBytes = MAX_MESSAGE_BYTES - AUDIO_OVERHEAD_BYTES

t.test('encodes the vectors of the audio', t => {
  t.equal(encodeAudioEvent(Buffer.from('0100ff7f', 'hex')).toString('hex'), VECTORS[0]?.hex)
  t.equal(encodeAudioEvent(new Uint8Array(0)).toString('hex'), VECTORS[1]?.hex)
  const tenthOfASecond = encodeAudioEvent(new Uint8Array(3200))
  t.equal(tenthOfASecond.length, 3304)
  t.equal(tenthOfASecond.toString('hex', 0, 12), '00000ce8000000586ff44aca')
  t.equal(tenthOfASecond.toString('hex', 3300), '74e7029d')
  t.equal(AUDIO_PAYLOAD_OFFSET, 100)
  t.equal(AUDIO_OVERHEAD_BYTES, 104)
  t.end()
})

t.test('ends the stream with a fresh copy each time', t => {
  const first = encodeEndOfStream()
  first.fill(0)
  t.equal(encodeEndOfStream().toString('hex'), VECTORS[1]?.hex)
  t.end()
})

t.test('is the general encoder for any audio, in any order of lengths, copied or in place', t => {
  // Lengths in a narrow range meet in the slots of the kept heads; those in a wide one replace each other.
  const audioBytes = fc.oneof(fc.nat(40), fc.nat(9000))
  fc.assert(
    fc.property(audioBytes, fc.nat(64), fc.nat(255), (payloadBytes, spareBytes, start) => {
      const pcm = Uint8Array.from({ length: payloadBytes }, (_, i) => start + i * 7)
      const expected = encodeMessage(headers, pcm)

      const frame = allocateAudioEvent(payloadBytes + spareBytes)
      frame.fill(0xee)
      frame.set(pcm, AUDIO_PAYLOAD_OFFSET)
      const sealed = sealAudioEvent(frame, payloadBytes)

      const isTailUntouched = frame.subarray(expected.length).every(byte => byte === 0xee)
      return encodeAudioEvent(pcm).equals(expected) && sealed.equals(expected) && isTailUntouched
    }),
    { seed: chooseSeed(t), numRuns: 5000 },
  )
  t.end()
})

t.test('writes into memory that held another event, of exactly its length', t => {
  const frame = encodeAudioEvent(Buffer.alloc(640, 1))
  const pcm = Buffer.alloc(640, 2)
  t.equal(writeAudioEvent(frame, pcm), frame)
  t.same(frame, encodeAudioEvent(pcm))
  t.throws(() => writeAudioEvent(frame, Buffer.alloc(641)), {
    name: 'RangeError',
    message: 'frame has 744 bytes; it must have 745 for this audio.',
  })
  t.end()
})

t.test('copies the audio, so that its bytes may be used again', t => {
  const pcm = Buffer.alloc(320, 1)
  const frame = encodeAudioEvent(pcm)
  pcm.fill(2)
  t.same(decodeMessage(frame).payload, Buffer.alloc(320, 1))
  t.end()
})

t.test('seals a full frame as it is and a part of one as a view', t => {
  const frame = allocateAudioEvent(320)
  frame.fill(1, AUDIO_PAYLOAD_OFFSET)
  t.equal(sealAudioEvent(frame, 320), frame)
  frame.fill(1, AUDIO_PAYLOAD_OFFSET)
  const part = sealAudioEvent(frame, 100)
  t.equal(part.length, AUDIO_OVERHEAD_BYTES + 100)
  t.equal(part.buffer, frame.buffer)
  t.same(decodeMessage(part).payload, Buffer.alloc(100, 1))
  t.equal(sealAudioEvent(allocateAudioEvent(0), 0).toString('hex'), VECTORS[1]?.hex)
  t.end()
})

t.test('seals no more than the frame holds', t => {
  const frame = allocateAudioEvent(320)
  for (const payloadBytes of [321, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => sealAudioEvent(frame, payloadBytes), {
      name: 'RangeError',
      message: `payloadBytes is ${payloadBytes}; it must be a whole number from 0 to 320, the room in the frame.`,
    })
  }
  t.throws(() => sealAudioEvent(Buffer.alloc(103), 0), RangeError)
  for (const capacity of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.throws(() => allocateAudioEvent(capacity), RangeError)
  }
  t.end()
})

t.test('encodes up to the limit of a message and refuses one byte more', t => {
  const pcm = Buffer.alloc(maxAudioBytes)
  t.equal(decodeMessage(encodeAudioEvent(pcm)).payload.length, maxAudioBytes)
  t.equal(sealAudioEvent(allocateAudioEvent(maxAudioBytes), maxAudioBytes).length, MAX_MESSAGE_BYTES)
  t.throws(() => encodeAudioEvent(Buffer.alloc(maxAudioBytes + 1)), { code: 'too_big' })
  t.throws(() => allocateAudioEvent(maxAudioBytes + 1), { code: 'too_big' })
  const foreign = Buffer.alloc(MAX_MESSAGE_BYTES + 1)
  t.throws(() => sealAudioEvent(foreign, maxAudioBytes + 1), { code: 'too_big' })
  t.end()
})
