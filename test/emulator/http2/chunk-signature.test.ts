/** The published form of chunk signatures, against vectors made with AWS's own signer. */
import t from 'tap'
import { chunkSignature, ChunkVerifier } from '../../../src/emulator/http2/chunk-signature.ts'
import { signingKey } from '../../../src/emulator/signature-rules.ts'
import { EXAMPLE_ACCOUNT } from '../../../src/emulator/index.ts'
import { decodeMessage, encodeMessage } from '../../../src/eventstream/index.ts'

const NOW_MS = Date.parse('2025-01-02T03:04:05.678Z')
const SCOPE = '20250102/us-east-1/transcribe/aws4_request'
/** Signature of the request that opened the stream. */
const SEED = '33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a'
const INNER = Buffer.from(
  '0000006c000000585c509ce30d3a636f6e74656e742d747970650700186170706c69636174696f6e2f6f637465742d73747265616d0b3a6576656e742d7479706507000a417564696f4576656e740d3a6d6573736167652d747970650700056576656e740100ff7f08165021',
  'hex',
)
const FIRST = '693d29ce0756942e3db7affd0a6122a5ecc09d0facfc46bc3b3edd0a35b37353'
const SECOND = 'ee6751e2385e54758d1f56abe68040f4420c094cea28d2589e0364b9555cc52e'
const END = Buffer.from(
  '0000005300000043f5447a58053a64617465080000019424f8632e103a6368756e6b2d7369676e6174757265060020ee6751e2385e54758d1f56abe68040f4420c094cea28d2589e0364b9555cc52e2f70a862',
  'hex',
)

const seed = { signingKey: signingKey(EXAMPLE_ACCOUNT, SCOPE.split('/')), scope: SCOPE, signature: SEED }

function chunk(payload: Uint8Array, signatureHex: string, dateMs = NOW_MS) {
  return decodeMessage(
    encodeMessage(
      new Map([
        [':date', { type: 'timestamp', value: BigInt(dateMs) }],
        [':chunk-signature', { type: 'byteArray', value: Buffer.from(signatureHex, 'hex') }],
      ]),
      payload,
    ),
  )
}

t.test('signatures of the vectors come out, the second chained to the first', async t => {
  t.equal(chunkSignature(seed, SEED, NOW_MS, INNER).toString('hex'), FIRST)
  t.equal(chunkSignature(seed, FIRST, NOW_MS, new Uint8Array(0)).toString('hex'), SECOND)
})

t.test('the chain of the vectors is accepted once, in order, and up to five minutes off', async t => {
  const verifier = new ChunkVerifier(seed)
  t.match(verifier.verify(decodeMessage(END), NOW_MS), { name: 'BadRequestException' }, 'the second first')
  t.equal(verifier.verify(chunk(INNER, FIRST), NOW_MS + 300_000), null)
  t.match(verifier.verify(chunk(INNER, FIRST), NOW_MS), { name: 'BadRequestException' }, 'the first again')
  t.match(verifier.verify(decodeMessage(END), NOW_MS + 300_001), { message: /expired/ })
  t.equal(verifier.verify(decodeMessage(END), NOW_MS - 300_000), null)
})

t.test('a signature of the wrong size is no signature', async t => {
  t.match(new ChunkVerifier(seed).verify(chunk(INNER, FIRST.slice(2)), NOW_MS), {
    name: 'BadRequestException',
  })
})
