/**
 * What the AWS SDK does for a message, made of its own parts: `@smithy/eventstream-codec` for the format,
 * `@smithy/signature-v4` for the chunk signature.
 *
 * The SDK's path for one audio frame is: encode the AudioEvent, sign it with the signature of the frame before, encode
 * the signed message around it (`EventSigningTransformStream` of `@aws-sdk/eventstream-handler-node`). Its two streams
 * and its async iterators are left out, in its favour.
 */
import { strictEqual } from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { Sha256 } from '@smithy/core/checksum'
import { EventStreamCodec } from '@smithy/eventstream-codec'
import { SignatureV4 } from '@smithy/signature-v4'

/** The headers of an AudioEvent, in the order of the SDK. */
const AUDIO_EVENT_HEADERS = {
  ':content-type': { type: 'string', value: 'application/octet-stream' },
  ':event-type': { type: 'string', value: 'AudioEvent' },
  ':message-type': { type: 'string', value: 'event' },
} as const

const REGION = 'us-east-1'
const SERVICE = 'transcribe'
/** Of the AWS documentation. */
const CREDENTIALS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}
const SEED_SIGNATURE = '0'.repeat(64)

export const sdkCodec = new EventStreamCodec(
  bytes => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
  text => Buffer.from(text, 'utf8'),
)

export function sdkEncodeAudioEvent(pcm: Uint8Array): Uint8Array {
  return sdkCodec.encode({ headers: AUDIO_EVENT_HEADERS, body: pcm })
}

/** The frames of one stream, each signed with the signature of the one before. */
export class SdkStream {
  readonly #signer = new SignatureV4({
    credentials: CREDENTIALS,
    region: REGION,
    service: SERVICE,
    sha256: Sha256,
  })
  #priorSignature = SEED_SIGNATURE

  async encodeFrame(pcm: Uint8Array): Promise<Uint8Array> {
    const body = sdkEncodeAudioEvent(pcm)
    const now = new Date()
    const date = { ':date': { type: 'timestamp', value: now } } as const
    const { signature } = await this.#signer.sign(
      { message: { body, headers: date }, priorSignature: this.#priorSignature },
      { signingDate: now },
    )
    this.#priorSignature = signature
    const value = new Uint8Array(Buffer.from(signature, 'hex'))
    return sdkCodec.encode({ headers: { ...date, ':chunk-signature': { type: 'binary', value } }, body })
  }
}

/** Throws unless `frame` is the first of a stream, holds `pcm`, and its signature is right: computed here by hand. */
export function checkFirstFrame(frame: Uint8Array, pcm: Uint8Array): void {
  const { headers, body } = sdkCodec.decode(frame)
  const inner = sdkCodec.decode(body)
  strictEqual(Buffer.compare(inner.body, pcm), 0, 'the audio of the inner message')
  const date = headers[':date']?.value
  const signature = headers[':chunk-signature']?.value
  if (!(date instanceof Date) || !(signature instanceof Uint8Array))
    throw new TypeError('a header is missing')
  const longDate = date.toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = `${longDate.slice(0, 8)}/${REGION}/${SERVICE}/aws4_request`
  const dateHeader = sdkCodec.formatHeaders({ ':date': { type: 'timestamp', value: date } })
  const parts = ['AWS4-HMAC-SHA256-PAYLOAD', longDate, scope, SEED_SIGNATURE, hash(dateHeader), hash(body)]
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${CREDENTIALS.secretAccessKey}`)
  strictEqual(Buffer.from(signature).toString('hex'), hmac(key, parts.join('\n')).toString('hex'))
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
