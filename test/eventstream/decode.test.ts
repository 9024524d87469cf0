import { crc32 } from 'node:zlib'
import t from 'tap'
import {
  EVENT_STREAM_ERROR_CODES,
  EventStreamError,
  MAX_MESSAGE_BYTES,
  decodeMessage,
  decodeMessages,
  encodeAudioEvent,
  encodeMessage,
  type EventStreamErrorCode,
} from '../../src/eventstream/index.ts'
import { VECTORS } from './vectors.ts'

const messages = VECTORS.map(vector => Buffer.from(vector.hex, 'hex'))
const [audioEvent = Buffer.alloc(0)] = messages

for (const { name, headers, payload, hex } of VECTORS) {
  t.test(`decodes the vector: ${name}`, t => {
    for (const bytes of [Buffer.from(hex, 'hex'), new Uint8Array(Buffer.from(hex, 'hex'))]) {
      const message = decodeMessage(bytes)
      t.same([...message.headers], headers)
      t.same(message.payload, payload)
      t.equal(message.payload.buffer, bytes.buffer, 'the payload is a view, not a copy')
    }
    t.end()
  })
}

t.test('refuses a message cut short at any byte as truncated', t => {
  for (const message of messages) {
    for (let length = 0; length < message.length; length++) {
      t.equal(
        codeOf(() => decodeMessage(message.subarray(0, length))),
        'truncated',
      )
    }
  }
  t.end()
})

t.test('refuses a message with anything behind it', t => {
  t.equal(
    codeOf(() => decodeMessage(Buffer.concat([audioEvent, Buffer.alloc(1)]))),
    'bad_length',
  )
  t.end()
})

t.test('refuses every message with one bit flipped', t => {
  const lengthCodes = new Set(['truncated', 'bad_length', 'too_big'])
  const headersLengthCodes = new Set(['bad_headers_length', 'bad_prelude_crc'])
  let wrongCount = 0
  for (const message of [...messages, encodeAudioEvent(Buffer.alloc(640, 7))]) {
    for (let bit = 0; bit < message.length * 8; bit++) {
      const damaged = Buffer.from(message)
      const offset = bit >> 3
      damaged[offset] = (damaged[offset] ?? 0) ^ (1 << (bit & 7))
      const code = codeOf(() => decodeMessage(damaged))
      let isRight = code === 'bad_message_crc'
      if (offset < 4) isRight = lengthCodes.has(code)
      else if (offset < 8) isRight = headersLengthCodes.has(code)
      else if (offset < 12) isRight = code === 'bad_prelude_crc'
      if (!isRight) {
        wrongCount++
        t.fail(`bit ${bit} of ${message.length} bytes: ${code}`)
      }
      // In a row of messages a shorter length is a cut in the wrong place: the CRCs have to see it.
      if (codeOf(() => decodeMessages(damaged, () => t.fail('a damaged message was delivered'))) === 'none') {
        wrongCount++
      }
    }
  }
  t.equal(wrongCount, 0)
  t.end()
})

t.test('tells what is wrong with the lengths, whatever they claim', t => {
  const table: readonly (readonly [totalBytes: number, headersBytes: number, code: EventStreamErrorCode])[] =
    [
      [0, 0, 'bad_length'],
      [1, 0, 'bad_length'],
      [15, 0, 'bad_length'],
      [audioEvent.length - 1, 88, 'bad_length'],
      [audioEvent.length + 1, 88, 'truncated'],
      [MAX_MESSAGE_BYTES, 88, 'truncated'],
      [MAX_MESSAGE_BYTES + 1, 88, 'too_big'],
      [16 * 1024 * 1024, 88, 'too_big'],
      [2 ** 31, 88, 'too_big'],
      [2 ** 32 - 1, 88, 'too_big'],
      [audioEvent.length, audioEvent.length - 15, 'bad_headers_length'],
      [audioEvent.length, 2 ** 31, 'bad_headers_length'],
      [audioEvent.length, 2 ** 32 - 1, 'bad_headers_length'],
    ]
  for (const [totalBytes, headersBytes, code] of table) {
    t.equal(
      codeOf(() => decodeMessage(withLengths(audioEvent, totalBytes, headersBytes))),
      code,
    )
  }
  t.end()
})

t.test('refuses headers above their own limit in a message that has the room', t => {
  const large = withLengths(encodeMessage(new Map(), Buffer.alloc(200_000)), 200_016, 128 * 1024 + 1)
  // Damaged too: the limit comes before the pass over all the bytes.
  large[large.length - 1] = (large[large.length - 1] ?? 0) ^ 1
  t.equal(
    codeOf(() => decodeMessage(large)),
    'bad_headers_length',
  )
  t.end()
})

t.test('allocates nothing of a size that is only claimed', t => {
  const claims = [MAX_MESSAGE_BYTES, 2 ** 31, 2 ** 32 - 1].map(bytes => withLengths(audioEvent, bytes, bytes))
  const refuse = () => {
    for (const claim of claims) codeOf(() => decodeMessage(claim))
  }
  refuse()
  const before = process.memoryUsage().arrayBuffers
  // The smallest claim taken at its word 100 times would be 100 MiB.
  for (let i = 0; i < 100; i++) refuse()
  t.ok(process.memoryUsage().arrayBuffers - before < MAX_MESSAGE_BYTES)
  t.end()
})

t.test('reports a bad header only when both checksums are right', t => {
  const damaged = Buffer.from(audioEvent)
  damaged[12] = 0
  t.equal(
    codeOf(() => decodeMessage(damaged)),
    'bad_message_crc',
  )
  t.equal(
    codeOf(() => decodeMessage(withMessageCrc(damaged))),
    'bad_header',
  )
  t.end()
})

t.test('delivers several messages in their order, wherever the bytes are cut', t => {
  const row = Buffer.concat(messages)
  const ends = messages.map((_, i) => messages.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
  for (let length = 0; length <= row.length; length++) {
    const delivered: Buffer[] = []
    const code = codeOf(() =>
      decodeMessages(row.subarray(0, length), ({ headers, payload }) =>
        delivered.push(encodeMessage(headers, payload)),
      ),
    )
    const wholeCount = ends.filter(end => end <= length).length
    const isAtEdge = length === 0 || ends.includes(length)
    if (code !== (isAtEdge ? 'none' : 'truncated')) t.fail(`cut at ${length}: ${code}`)
    if (!Buffer.concat(delivered).equals(row.subarray(0, ends[wholeCount - 1] ?? 0))) {
      t.fail(`cut at ${length}: other messages`)
    }
  }
  t.equal(
    decodeMessages(row, () => {}),
    messages.length,
  )
  t.equal(
    decodeMessages(Buffer.alloc(0), () => t.fail('there is no message')),
    0,
  )
  t.end()
})

t.test('delivers the messages before a damaged one, and none behind it', t => {
  const damaged = Buffer.from(audioEvent)
  damaged[105] = 0x55
  let deliveredCount = 0
  const row = Buffer.concat([audioEvent, damaged, audioEvent])
  t.equal(
    codeOf(() => decodeMessages(row, () => deliveredCount++)),
    'bad_message_crc',
  )
  t.equal(deliveredCount, 1)
  t.end()
})

t.test('lets an error of the receiver through', t => {
  const failure = new Error('receiver')
  t.throws(
    () =>
      decodeMessages(audioEvent, () => {
        throw failure
      }),
    failure,
  )
  t.end()
})

t.test('names each error once, and only these', t => {
  t.equal(new Set(EVENT_STREAM_ERROR_CODES).size, EVENT_STREAM_ERROR_CODES.length)
  t.ok(Object.isFrozen(EVENT_STREAM_ERROR_CODES))
  const error = new EventStreamError('truncated', 'text')
  t.match(
    { name: error.name, code: error.code, message: error.message },
    { name: 'EventStreamError', code: 'truncated' },
  )
  t.end()
})

/** The code of the error that `action` ends with; `none` without an error. Any other error is not caught. */
function codeOf(action: () => unknown): EventStreamErrorCode | 'none' {
  try {
    action()
    return 'none'
  } catch (error) {
    if (error instanceof EventStreamError) return error.code
    throw error
  }
}

/** The message with other lengths and a prelude CRC that agrees with them, so that only the lengths are wrong. */
function withLengths(message: Buffer, totalBytes: number, headersBytes: number): Buffer {
  const copy = Buffer.from(message)
  copy.writeUInt32BE(totalBytes, 0)
  copy.writeUInt32BE(headersBytes, 4)
  copy.writeUInt32BE(crc32(copy.subarray(0, 8)), 8)
  return withMessageCrc(copy)
}

function withMessageCrc(message: Buffer): Buffer {
  const copy = Buffer.from(message)
  copy.writeUInt32BE(crc32(copy.subarray(0, -4)), copy.length - 4)
  return copy
}
