/**
 * A client of Amazon Transcribe's WebSocket that shares no code with the product: it signs with the reference signer
 * and builds its frames by hand.
 */
import { crc32 } from 'node:zlib'
import { WebSocket, type ClientOptions } from 'ws'
import type { WireResult } from '../../src/emulator/index.ts'
import { decodeMessage, stringHeader } from '../../src/eventstream/index.ts'
import { presignReference } from './sigv4.ts'

export const STREAM_PATH = '/stream-transcription-websocket'
export const EXAMPLE_KEY = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}
export const PCM_16K = { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' }

export interface SigningOptions {
  readonly host: string
  readonly parameters?: Readonly<Record<string, string>>
  readonly path?: string
  readonly region?: string
  readonly service?: string
  readonly accessKeyId?: string
  readonly secretAccessKey?: string
  readonly sessionToken?: string
  readonly nowMs?: number
  readonly expiresSeconds?: number
}

/** Path and query of a signed request. */
export function signedTarget(options: SigningOptions): string {
  const path = options.path ?? STREAM_PATH
  const { canonicalQuery, signature } = presignReference({
    host: options.host,
    path,
    region: options.region ?? 'us-east-1',
    service: options.service ?? 'transcribe',
    parameters: options.parameters ?? PCM_16K,
    accessKeyId: options.accessKeyId ?? EXAMPLE_KEY.accessKeyId,
    secretAccessKey: options.secretAccessKey ?? EXAMPLE_KEY.secretAccessKey,
    ...(options.sessionToken === undefined ? {} : { sessionToken: options.sessionToken }),
    signingDateMs: options.nowMs ?? Date.now(),
    expiresSeconds: options.expiresSeconds ?? 60,
  })
  return `${path}?${canonicalQuery}&X-Amz-Signature=${signature}`
}

/** A message with string headers, by hand. */
export function frame(headers: Readonly<Record<string, string>>, payload: Uint8Array): Buffer {
  const block = Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const length = Buffer.alloc(2)
      length.writeUInt16BE(Buffer.byteLength(value))
      return Buffer.concat([
        Buffer.from([name.length]),
        Buffer.from(name),
        Buffer.from([7]),
        length,
        Buffer.from(value),
      ])
    }),
  )
  const message = Buffer.alloc(16 + block.length + payload.length)
  message.writeUInt32BE(message.length, 0)
  message.writeUInt32BE(block.length, 4)
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8)
  message.set(block, 12)
  message.set(payload, 12 + block.length)
  message.writeUInt32BE(crc32(message.subarray(0, message.length - 4)), message.length - 4)
  return message
}

export function audioFrame(pcm: Uint8Array): Buffer {
  return frame(
    { ':content-type': 'application/octet-stream', ':event-type': 'AudioEvent', ':message-type': 'event' },
    pcm,
  )
}

/** The HTTP answer of a refused upgrade. */
export class Refused extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string

  constructor(status: number, headers: Refused['headers'], body: string) {
    super(`refused with ${status}`)
    this.status = status
    this.headers = headers
    this.body = body
  }
}

export interface Closed {
  readonly code: number
  readonly reason: string
}

export class TranscribeClient {
  readonly webSocket: WebSocket
  /** Headers of the 101. */
  headers: Readonly<Record<string, string | string[] | undefined>> = {}
  readonly messages: Buffer[] = []
  readonly texts: string[] = []
  readonly results: WireResult[] = []
  emptyEvents = 0
  exception: { readonly name: string; readonly message: string } | null = null
  readonly closed: Promise<Closed>
  /** What `ws` complained about. */
  error: Error | null = null
  /** What the TCP or TLS socket said after the 101. */
  socketError: Error | null = null
  #wake: () => void = () => undefined

  constructor(url: string, options: ClientOptions = {}) {
    this.webSocket = new WebSocket(url, { perMessageDeflate: false, ...options })
    this.webSocket.on('upgrade', response => {
      this.headers = response.headers
      // `ws` keeps the errors of an open socket to itself.
      response.socket.on('error', error => (this.socketError = error))
    })
    this.webSocket.on('error', error => (this.error = error))
    this.webSocket.on('message', (data, isBinary) => {
      if (isBinary) this.#read(data as Buffer)
      else this.texts.push((data as Buffer).toString())
      this.#wake()
    })
    this.closed = new Promise(resolve =>
      this.webSocket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    )
  }

  get finals(): readonly WireResult[] {
    return this.results.filter(({ IsPartial }) => !IsPartial)
  }

  get text(): string {
    return this.finals.map(({ Alternatives }) => Alternatives[0]?.Transcript).join(' ')
  }

  /** Rejects with `Refused` when the server answers with anything but 101. */
  async opened(): Promise<this> {
    await new Promise<void>((resolve, reject) => {
      this.webSocket.once('open', resolve)
      this.webSocket.once('error', reject)
      this.webSocket.once('unexpected-response', (_request, response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (text: string) => (body += text))
        response.on('end', () => reject(new Refused(response.statusCode ?? 0, response.headers, body)))
      })
    })
    return this
  }

  /** Resolves when the condition holds, which is looked at after every message. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>(resolve => (this.#wake = resolve))
  }

  send(bytes: Uint8Array): void {
    this.webSocket.send(bytes)
  }

  sendAudio(pcm: Uint8Array, chunkBytes = 3200): void {
    for (let offset = 0; offset < pcm.length; offset += chunkBytes) {
      this.send(audioFrame(pcm.subarray(offset, offset + chunkBytes)))
    }
  }

  end(): Promise<Closed> {
    this.send(audioFrame(new Uint8Array(0)))
    return this.closed
  }

  #read(message: Buffer): void {
    this.messages.push(message)
    let decoded: ReturnType<typeof decodeMessage>
    try {
      decoded = decodeMessage(message)
    } catch {
      // Broken on purpose: the test looks at `messages`.
      return
    }
    const { headers, payload } = decoded
    if (stringHeader(headers, ':message-type') === 'exception') {
      const body = JSON.parse(payload.toString()) as { Message: string }
      this.exception = { name: stringHeader(headers, ':exception-type') ?? '', message: body.Message }
    } else if (stringHeader(headers, ':event-type') === 'TranscriptEvent') {
      const body = JSON.parse(payload.toString()) as { Transcript: { Results: WireResult[] } }
      if (body.Transcript.Results.length === 0) this.emptyEvents++
      this.results.push(...body.Transcript.Results)
    }
  }
}

export interface OpenOptions extends Omit<SigningOptions, 'host'> {
  readonly port: number
  readonly secure?: boolean
  readonly headers?: Readonly<Record<string, string>>
  readonly ca?: string
}

/** Signs, connects and waits for the 101. */
export function openStream(options: OpenOptions): Promise<TranscribeClient> {
  const host = `127.0.0.1:${options.port}`
  const url = `${options.secure === true ? 'wss' : 'ws'}://${host}${signedTarget({ ...options, host })}`
  return new TranscribeClient(url, {
    ...(options.headers === undefined ? {} : { headers: options.headers }),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  }).opened()
}
