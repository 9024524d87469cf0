/**
 * Verifies the chain of signatures over the messages of one HTTP/2 stream: each is signed together with the signature
 * before it, the first with that of the request.
 *
 *     AWS4-HMAC-SHA256-PAYLOAD \n time \n scope \n previous signature \n sha256(:date header) \n sha256(payload)
 *
 * Source: AWS Developer Guides, "Signing event stream messages"; Amazon Transcribe Developer Guide, "Event stream
 * encoding".
 */
import { timingSafeEqual } from 'node:crypto'
import { encodeHeaders, type DecodedMessage, type MessageHeaders } from '../../eventstream/index.ts'
import { exceptions, type StreamException } from '../exceptions.ts'
import { formatStamp, hmac, MAX_CLOCK_SKEW_MS, mismatch, sha256Hex } from '../signature-rules.ts'

/** What the signature of the request hands on to the chunks. */
export interface ChunkSigningSeed {
  readonly signingKey: Buffer
  /** `date/region/transcribe/aws4_request` */
  readonly scope: string
  /** In hex. */
  readonly signature: string
}

const ALGORITHM = 'AWS4-HMAC-SHA256-PAYLOAD'

export class ChunkVerifier {
  readonly #seed: ChunkSigningSeed
  #previousSignature: string

  constructor(seed: ChunkSigningSeed) {
    this.#seed = seed
    this.#previousSignature = seed.signature
  }

  /** `null`: this message continues the chain. Otherwise the stream has to end. */
  verify({ headers, payload }: DecodedMessage, nowMs: number): StreamException | null {
    const date = headers.get(':date')
    const signature = headers.get(':chunk-signature')
    if (date?.type !== 'timestamp' || signature?.type !== 'byteArray') return exceptions.unsignedChunk()
    const dateMs = Number(date.value)
    if (Math.abs(dateMs - nowMs) > MAX_CLOCK_SKEW_MS) return exceptions.chunkSignatureExpired()
    const expected = chunkSignature(this.#seed, this.#previousSignature, dateMs, payload)
    if (signature.value.length !== expected.length || !timingSafeEqual(signature.value, expected)) {
      return exceptions.badParameters(mismatch().message)
    }
    this.#previousSignature = expected.toString('hex')
    return null
  }
}

/** The 32 bytes that sign `payload` at `dateMs` (milliseconds since 1970) after `previousSignature` (hex). */
export function chunkSignature(
  { scope, signingKey }: Pick<ChunkSigningSeed, 'signingKey' | 'scope'>,
  previousSignature: string,
  dateMs: number,
  payload: Uint8Array,
): Buffer {
  const dateHeader: MessageHeaders = new Map([[':date', { type: 'timestamp', value: BigInt(dateMs) }]])
  const text = [
    ALGORITHM,
    formatStamp(dateMs),
    scope,
    previousSignature,
    sha256Hex(encodeHeaders(dateHeader)),
    sha256Hex(payload),
  ].join('\n')
  return hmac(signingKey, text)
}
