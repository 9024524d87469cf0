/** The AWS SDK's codec as the second implementation: random messages, both ways. */
import { isDeepStrictEqual } from 'node:util'
import { EventStreamCodec, Int64 } from '@smithy/eventstream-codec'
import * as fc from 'fast-check'
import t from 'tap'
import { decodeMessage, encodeMessage, type HeaderValue } from '../../src/eventstream/index.ts'
import { chooseSeed, sample } from './arbitraries.ts'

type OracleHeaders = Parameters<EventStreamCodec['encode']>[0]['headers']
type OracleValue = OracleHeaders[string]

const RUNS = 10_000

const oracle = new EventStreamCodec(
  bytes => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
  text => Buffer.from(text, 'utf8'),
)

t.test('encodes random messages to the bytes of the AWS codec, and each reads the other', t => {
  const seed = chooseSeed(t)
  let messageCount = 0
  fc.assert(
    fc.property(sample, ({ headers, payload }) => {
      messageCount++
      const ours = encodeMessage(headers, payload)
      const theirs = oracle.encode({ headers: toOracle(headers), body: payload })
      if (!ours.equals(theirs)) throw new Error('the bytes differ')

      const read = decodeMessage(theirs)
      if (!read.payload.equals(payload)) throw new Error('our payload differs')
      assertSame([...read.headers], [...headers])

      const theirsRead = oracle.decode(ours)
      if (!Buffer.from(theirsRead.body).equals(payload)) throw new Error('their payload differs')
      assertSame(
        Object.entries(theirsRead.headers).map(([name, value]) => [name, fromOracle(value)]),
        [...headers],
      )
    }),
    { seed, numRuns: RUNS },
  )
  t.equal(messageCount, RUNS)
  t.end()
})

type Entry = readonly [name: string, header: HeaderValue]

function assertSame(actual: readonly Entry[], expected: readonly Entry[]): void {
  const [a, b] = [actual.map(describe), expected.map(describe)]
  if (!isDeepStrictEqual(a, b)) throw new Error(`headers differ: ${JSON.stringify([a, b])}`)
}

/** Byte arrays come as different classes; all else is text without a loss. */
function describe([name, { type, value }]: Entry): readonly string[] {
  return [name, type, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value)]
}

function toOracle(headers: ReadonlyMap<string, HeaderValue>): OracleHeaders {
  const plainHeaders: OracleHeaders = {}
  for (const [name, value] of headers) plainHeaders[name] = toOracleValue(value)
  return plainHeaders
}

function toOracleValue(header: HeaderValue): OracleValue {
  switch (header.type) {
    case 'long': {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(header.value)
      return { type: 'long', value: new Int64(bytes) }
    }
    case 'timestamp':
      return { type: 'timestamp', value: new Date(Number(header.value)) }
    case 'byteArray':
      return { type: 'binary', value: header.value }
    default:
      return header
  }
}

function fromOracle(header: OracleValue): HeaderValue {
  switch (header.type) {
    case 'long':
      return { type: 'long', value: Buffer.from(header.value.bytes).readBigInt64BE(0) }
    case 'timestamp':
      return { type: 'timestamp', value: BigInt(header.value.getTime()) }
    case 'binary':
      return { type: 'byteArray', value: header.value }
    default:
      return header
  }
}
