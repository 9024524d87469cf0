import t from 'tap'
import * as fc from 'fast-check'
import {
  MAX_HEADERS_BYTES,
  MAX_MESSAGE_BYTES,
  decodeMessage,
  encodeMessage,
  type HeaderValue,
} from '../../src/eventstream/index.ts'
import { chooseSeed, sample } from './arbitraries.ts'
import { VECTORS } from './vectors.ts'

for (const { name, headers, payload, hex } of VECTORS) {
  t.test(`encodes the vector: ${name}`, t => {
    t.equal(encodeMessage(new Map(headers), payload).toString('hex'), hex)
    t.end()
  })
}

t.test('wraps a message in a signed message of the documented size', t => {
  const inner = Buffer.from(VECTORS[0]?.hex ?? '', 'hex')
  const outer = encodeMessage(
    new Map<string, HeaderValue>([
      [':date', { type: 'timestamp', value: 1_735_787_045_678n }],
      [':chunk-signature', { type: 'byteArray', value: Buffer.alloc(32, 1) }],
    ]),
    inner,
  )
  t.equal(outer.length, 191)
  t.same(decodeMessage(outer).payload, inner)
  t.end()
})

t.test('gives back what it was given, for random messages', t => {
  fc.assert(
    fc.property(sample, ({ headers, payload }) => {
      const decoded = decodeMessage(encodeMessage(headers, payload))
      const again = encodeMessage(decoded.headers, decoded.payload)
      return again.equals(encodeMessage(headers, payload)) && decoded.payload.equals(payload)
    }),
    { seed: chooseSeed(t), numRuns: 2000 },
  )
  t.end()
})

t.test('encodes up to the limits and refuses one byte more', t => {
  const none = new Map<string, HeaderValue>()
  const largest = encodeMessage(none, Buffer.alloc(MAX_MESSAGE_BYTES - 16))
  t.equal(decodeMessage(largest).payload.length, MAX_MESSAGE_BYTES - 16)
  t.throws(() => encodeMessage(none, Buffer.alloc(MAX_MESSAGE_BYTES - 15)), { code: 'too_big' })

  const full = headersOf(MAX_HEADERS_BYTES)
  t.equal(decodeMessage(encodeMessage(full, Buffer.alloc(0))).headers.size, full.size)
  t.throws(() => encodeMessage(headersOf(MAX_HEADERS_BYTES + 1), Buffer.alloc(0)), {
    code: 'bad_headers_length',
  })
  t.end()
})

/** Byte arrays that take exactly `totalBytes` as headers. */
function headersOf(totalBytes: number): Map<string, HeaderValue> {
  const headers = new Map<string, HeaderValue>()
  // A header here costs 5 bytes beside its value: name length, one-letter name, type, two bytes of length.
  for (let left = totalBytes; left > 0;) {
    const bytes = Math.min(left, 32_000)
    headers.set(String.fromCodePoint(97 + headers.size), {
      type: 'byteArray',
      value: Buffer.alloc(bytes - 5),
    })
    left -= bytes
  }
  return headers
}
