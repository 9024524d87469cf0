import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import t from 'tap'
import {
  EventStreamError,
  MAX_HEADERS_BYTES,
  decodeHeaders,
  decodeMessage,
  encodeHeaders,
  encodeMessage,
  stringHeader,
  type HeaderValue,
} from '../../src/eventstream/index.ts'

t.test('encodes the date header to the bytes that its signature covers', t => {
  const block = encodeHeaders(new Map([[':date', { type: 'timestamp', value: 1_735_787_045_678n }]]))
  t.equal(block.toString('hex'), '053a64617465080000019424f8632e')
  t.equal(
    createHash('sha256').update(block).digest('hex'),
    '22548394f12a85c70fddfe3af05d477fb14c9d6eb22171595b87185e7a90e217',
  )
  t.end()
})

t.test('carries the bounds of every type both ways', t => {
  const values: readonly (readonly [hex: string, value: HeaderValue])[] = [
    ['00', { type: 'boolean', value: true }],
    ['01', { type: 'boolean', value: false }],
    ['0280', { type: 'byte', value: -128 }],
    ['027f', { type: 'byte', value: 127 }],
    ['038000', { type: 'short', value: -32_768 }],
    ['037fff', { type: 'short', value: 32_767 }],
    ['0480000000', { type: 'integer', value: -(2 ** 31) }],
    ['047fffffff', { type: 'integer', value: 2 ** 31 - 1 }],
    ['058000000000000000', { type: 'long', value: -(2n ** 63n) }],
    ['057fffffffffffffff', { type: 'long', value: 2n ** 63n - 1n }],
    ['060000', { type: 'byteArray', value: Buffer.alloc(0) }],
    ['06000200ff', { type: 'byteArray', value: Buffer.from([0, 255]) }],
    ['070000', { type: 'string', value: '' }],
    ['070007efbbbff09f9982', { type: 'string', value: '\u{feff}🙂' }],
    ['08ffffffffffffffff', { type: 'timestamp', value: -1n }],
    ['0900112233445566778899aabbccddeeff', { type: 'uuid', value: '00112233-4455-6677-8899-aabbccddeeff' }],
  ]
  for (const [hex, value] of values) {
    const block = `0178${hex}`
    t.equal(encodeHeaders(new Map([['x', value]])).toString('hex'), block)
    t.same([...decodeHeaders(Buffer.from(block, 'hex'))], [['x', value]])
  }
  t.end()
})

t.test('carries the longest name and the longest value', t => {
  const headers = new Map<string, HeaderValue>([
    ['ü'.repeat(127) + 'x', { type: 'string', value: 'v'.repeat(32_767) }],
  ])
  t.same([...decodeHeaders(encodeHeaders(headers))], [...headers])
  t.end()
})

t.test('refuses every malformed header block, with the rule', t => {
  const table: readonly (readonly [hex: string, rule: RegExp])[] = [
    ['00', /name at offset 0 is empty/],
    ['0000', /name at offset 0 is empty/],
    ['05', /name at offset 1 needs 5 bytes; 0 are left/],
    ['ff3a', /name at offset 1 needs 255 bytes; 1 are left/],
    ['0178', /value type at offset 2 needs 1 bytes; 0 are left/],
    ['01ff00', /name at offset 1 is not UTF-8/],
    ['02c08000', /name at offset 1 is not UTF-8/],
    ['01780701', /value length at offset 3 needs 2 bytes; 1 are left/],
    ['017806', /value length at offset 3 needs 2 bytes; 0 are left/],
    ['01780700036161', /value at offset 5 needs 3 bytes; 2 are left/],
    ['0178060001', /value at offset 5 needs 1 bytes; 0 are left/],
    ['0178077fff', /value at offset 5 needs 32767 bytes; 0 are left/],
    ['0178078000' + '61'.repeat(32_768), /value of "x" has 32768 bytes; the limit is 32767/],
    ['017806ffff' + '61'.repeat(65_535), /value of "x" has 65535 bytes; the limit is 32767/],
    ['0178070003eda080', /value at offset 5 is not UTF-8/],
    ['017802', /value at offset 3 needs 1 bytes; 0 are left/],
    ['01780300', /value at offset 3 needs 2 bytes; 1 are left/],
    ['017804000000', /value at offset 3 needs 4 bytes; 3 are left/],
    ['017805' + '00'.repeat(7), /value at offset 3 needs 8 bytes; 7 are left/],
    ['017808' + '00'.repeat(7), /value at offset 3 needs 8 bytes; 7 are left/],
    ['017809' + '00'.repeat(15), /value at offset 3 needs 16 bytes; 15 are left/],
    ['017800017801', /name "x" occurs twice/],
  ]
  for (const [hex, rule] of table) {
    const block = Buffer.from(hex, 'hex')
    t.match(
      errorOf(() => decodeHeaders(block)),
      { code: 'bad_header', message: rule },
      hex.slice(0, 40),
    )
    t.match(
      errorOf(() => decodeMessage(messageWith(block))),
      { code: 'bad_header', message: rule },
    )
  }
  for (let type = 10; type <= 255; type++) {
    const error = errorOf(() => decodeHeaders(Buffer.from([1, 0x78, type, 0, 0])))
    t.match(error, { code: 'bad_header', message: `Header value type ${type} at offset 2 does not exist.` })
  }
  t.equal(errorOf(() => decodeHeaders(Buffer.alloc(MAX_HEADERS_BYTES + 1))).code, 'bad_headers_length')
  t.end()
})

t.test('refuses to encode what could not be decoded, with the rule', t => {
  const flag: HeaderValue = { type: 'boolean', value: true }
  const table: readonly (readonly [headers: Map<string, HeaderValue>, rule: RegExp])[] = [
    [new Map([['', flag]]), /name "" has 0 bytes; it must have 1 to 255/],
    [new Map([['n'.repeat(256), flag]]), /name "n{64}…" has 256 bytes/],
    [new Map([['ü'.repeat(128), flag]]), /has 256 bytes/],
    [new Map([['\u{d800}', flag]]), /name .* has a lone surrogate/],
    [x({ type: 'string', value: 'a\u{dfff}' }), /value of "x" has a lone surrogate/],
    [x({ type: 'string', value: 'ü'.repeat(16_384) }), /has 32768 bytes; the limit is 32767/],
    [x({ type: 'byteArray', value: Buffer.alloc(32_768) }), /has 32768 bytes; the limit is 32767/],
    [x({ type: 'byte', value: 128 }), /value 128 of "x" is no byte: -128 to 127, whole/],
    [x({ type: 'byte', value: -129 }), /is no byte/],
    [x({ type: 'short', value: 32_768 }), /is no short/],
    [x({ type: 'integer', value: 2 ** 31 }), /is no integer/],
    [x({ type: 'integer', value: 0.5 }), /is no integer/],
    [x({ type: 'integer', value: Number.NaN }), /is no integer/],
    [x({ type: 'long', value: 2n ** 63n }), /is no long: it needs more than 64 bits/],
    [x({ type: 'timestamp', value: -(2n ** 63n) - 1n }), /is no timestamp/],
    [x({ type: 'uuid', value: '00112233445566778899aabbccddeeff' }), /value of "x" is not a UUID/],
  ]
  for (const [headers, rule] of table) {
    t.match(
      errorOf(() => encodeHeaders(headers)),
      { code: 'bad_header', message: rule },
    )
    t.match(
      errorOf(() => encodeMessage(headers, Buffer.alloc(0))),
      { code: 'bad_header', message: rule },
    )
  }
  t.end()
})

t.test('finds a string by name and takes no other type for one', t => {
  const headers = decodeHeaders(Buffer.from('016107000162016200', 'hex'))
  t.equal(stringHeader(headers, 'a'), 'b')
  t.equal(stringHeader(headers, 'b'), null)
  t.equal(stringHeader(headers, 'c'), null)
  t.end()
})

t.test('hands out headers that nobody can change, and the same ones for the same block', t => {
  const headers = new Map<string, HeaderValue>([['a', { type: 'string', value: 'one' }]])
  const first = decodeMessage(encodeMessage(headers, Buffer.from('1'))).headers
  const second = decodeMessage(encodeMessage(headers, Buffer.from('2'))).headers
  t.equal(first, second)
  const asMap = first as Map<string, HeaderValue>
  t.throws(() => asMap.set('a', { type: 'boolean', value: true }), TypeError)
  t.throws(() => asMap.delete('a'), TypeError)
  t.throws(() => asMap.clear(), TypeError)
  t.throws(() => Object.assign(first.get('a') ?? {}, { value: 'changed' }), TypeError)
  t.same([...first], [...headers])
  t.end()
})

t.test('never mixes up blocks of the same length, nor shares a view of another message', t => {
  for (const value of ['one', 'two', 'one', 'six']) {
    t.equal(
      stringHeader(decodeMessage(encodeMessage(stringUnderA(value), Buffer.alloc(0))).headers, 'a'),
      value,
    )
  }
  const reused = encodeMessage(stringUnderA('old'), Buffer.alloc(0))
  t.equal(stringHeader(decodeMessage(reused).headers, 'a'), 'old')
  reused.set(encodeMessage(stringUnderA('new'), Buffer.alloc(0)))
  t.equal(stringHeader(decodeMessage(reused).headers, 'a'), 'new')

  const bytes = new Map<string, HeaderValue>([['a', { type: 'byteArray', value: Buffer.from('key') }]])
  const sent = [encodeMessage(bytes, Buffer.alloc(0)), encodeMessage(bytes, Buffer.alloc(0))]
  const received = sent.map(message => decodeMessage(message).headers)
  sent[0]?.fill(0)
  t.same(received[1]?.get('a'), { type: 'byteArray', value: Buffer.from('key') })

  const long = stringUnderA('x'.repeat(300))
  t.not(
    decodeMessage(encodeMessage(long, Buffer.alloc(0))).headers,
    decodeMessage(encodeMessage(long, Buffer.alloc(0))).headers,
    'long blocks are not kept',
  )
  t.end()
})

function x(value: HeaderValue): Map<string, HeaderValue> {
  return new Map([['x', value]])
}

function stringUnderA(value: string): Map<string, HeaderValue> {
  return new Map([['a', { type: 'string', value }]])
}

function errorOf(action: () => unknown): EventStreamError {
  try {
    action()
  } catch (error) {
    if (error instanceof EventStreamError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** A message with this header block and right checksums: encoded as a payload, then the boundary is moved. */
function messageWith(block: Buffer): Buffer {
  const message = encodeMessage(new Map(), block)
  message.writeUInt32BE(block.length, 4)
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8)
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4)
  return message
}
