/**
 * A client's side of the HTTP/2 service, by hand: signs the request and each message from the specification alone, so that
 * every part of it can be made wrong.
 */
import { createHash, createHmac } from 'node:crypto'
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2'
import { crc32 } from 'node:zlib'
import { decodeMessages, stringHeader } from '../../src/eventstream/index.ts'
import { EXAMPLE_KEY } from './transcribe-client.ts'

export interface Http2Options {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent, but not signed. */
  readonly unsignedHeaders?: Readonly<Record<string, string>>
  readonly path?: string
  readonly secretAccessKey?: string
  readonly accessKeyId?: string
  readonly nowMs?: number
  readonly authorization?: string | null
  readonly leaveOut?: readonly string[]
}

export interface EventSeen {
  readonly type: string
  readonly payload: string
}

const PCM_16K_HEADERS = {
  'x-amzn-transcribe-language-code': 'en-US',
  'x-amzn-transcribe-media-encoding': 'pcm',
  'x-amzn-transcribe-sample-rate': '16000',
}
const EVENTS_HASH = 'STREAMING-AWS4-HMAC-SHA256-EVENTS'

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function stampOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
}

function keyOf(secret: string, scope: string): Buffer {
  return scope
    .split('/')
    .reduce((key, part) => createHmac('sha256', key).update(part).digest(), Buffer.from(`AWS4${secret}`))
}

/** `:date` as it stands in a message. */
function dateHeader(ms: number): Buffer {
  const value = Buffer.alloc(8)
  value.writeBigInt64BE(BigInt(ms))
  return Buffer.concat([Buffer.from([5]), Buffer.from(':date'), Buffer.from([8]), value])
}

export function message(headers: Buffer, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(16 + headers.length + payload.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.writeUInt32BE(headers.length, 4)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8)
  bytes.set(headers, 12)
  bytes.set(payload, 12 + headers.length)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, bytes.length - 4)), bytes.length - 4)
  return bytes
}

export class ChunkSigner {
  readonly #key: Buffer
  readonly #scope: string
  #previous: string

  constructor(secret: string, scope: string, seed: string) {
    this.#key = keyOf(secret, scope)
    this.#scope = scope
    this.#previous = seed
  }

  sign(payload: Uint8Array, ms: number): Buffer {
    const date = dateHeader(ms)
    const text = `AWS4-HMAC-SHA256-PAYLOAD\n${stampOf(ms)}\n${this.#scope}\n${this.#previous}\n${sha256(date)}\n${sha256(payload)}`
    const signature = createHmac('sha256', this.#key).update(text).digest()
    this.#previous = signature.toString('hex')
    const name = Buffer.from([16, ...Buffer.from(':chunk-signature'), 6, 0, 32])
    return message(Buffer.concat([date, name, signature]), payload)
  }
}

/** One request and its stream. */
export class Http2Client {
  readonly signer: ChunkSigner
  readonly stream: ClientHttp2Stream
  readonly session: ClientHttp2Session
  readonly response: Promise<IncomingHttpHeaders>
  readonly #events: EventSeen[] = []
  readonly #chunks: Buffer[] = []
  readonly ended: Promise<void>

  constructor(options: Http2Options) {
    const { host } = new URL(options.url)
    const nowMs = options.nowMs ?? Date.now()
    const stamp = stampOf(nowMs)
    const scope = `${stamp.slice(0, 8)}/us-east-1/transcribe/aws4_request`
    const secret = options.secretAccessKey ?? EXAMPLE_KEY.secretAccessKey
    const path = options.path ?? '/stream-transcription'
    const all: Record<string, string> = {
      host,
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amz-content-sha256': EVENTS_HASH,
      'x-amz-date': stamp,
      ...PCM_16K_HEADERS,
      ...options.headers,
    }
    for (const name of options.leaveOut ?? []) delete all[name]
    const names = Object.keys(all).sort()
    const [pathname = '', query = ''] = path.split('?')
    const canonical = [
      'POST',
      pathname,
      query,
      ...names.map(name => `${name}:${all[name]?.trim()}`),
      '',
      names.join(';'),
      EVENTS_HASH,
    ].join('\n')
    const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`
    const signature = createHmac('sha256', keyOf(secret, scope)).update(toSign).digest('hex')
    const accessKeyId = options.accessKeyId ?? EXAMPLE_KEY.accessKeyId
    const authorization =
      options.authorization === undefined
        ? `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
        : options.authorization
    this.signer = new ChunkSigner(secret, scope, signature)
    this.session = connect(options.url)
    this.session.on('error', () => undefined)
    this.stream = this.session.request({
      ...all,
      ...options.unsignedHeaders,
      ...(authorization === null ? {} : { authorization }),
      ':method': 'POST',
      ':path': path,
    })
    this.stream.on('error', () => undefined)
    this.response = new Promise((resolve, reject) => {
      this.stream.once('response', resolve)
      this.stream.once('close', () => reject(new Error('closed without an answer')))
    })
    this.response.catch(() => undefined)
    // What a client does when the service has said all.
    this.stream.once('end', () => this.stream.end())
    this.stream.on('data', (bytes: Buffer) => this.#chunks.push(bytes))
    this.ended = new Promise(resolve => {
      this.stream.once('close', () => {
        this.session.destroy()
        resolve()
      })
    })
  }

  /** Signs and sends an inner message. */
  send(inner: Uint8Array, ms = Date.now()): void {
    this.stream.write(this.signer.sign(inner, ms))
  }

  sendRaw(bytes: Uint8Array): void {
    this.stream.write(bytes)
  }

  finish(ms = Date.now()): void {
    this.stream.end(this.signer.sign(new Uint8Array(0), ms))
  }

  body(): string {
    return Buffer.concat(this.#chunks).toString('utf8')
  }

  /** What the service said, whole messages only. */
  events(): readonly EventSeen[] {
    this.#events.length = 0
    decodeMessages(Buffer.concat(this.#chunks), ({ headers, payload }) => {
      const type = stringHeader(headers, ':exception-type') ?? stringHeader(headers, ':event-type') ?? 'error'
      this.#events.push({ type, payload: payload.toString('utf8') })
    })
    return this.#events
  }
}
