/**
 * The world of a session, in memory: a client, a dialer with upstreams that the test plays, figures and a log that can be
 * read. Like the real sockets, a closed one calls back before `close` returns, and takes nothing afterwards.
 */
import { readFileSync } from 'node:fs'
import type { ErrorCode, RelayError } from '../../src/errors.ts'
import { decodeMessage } from '../../src/eventstream/decode.ts'
import { encodeMessage } from '../../src/eventstream/encode.ts'
import { stringHeader, type HeaderValue } from '../../src/eventstream/headers.ts'
import type {
  ClientListener,
  ClientPort,
  Dial,
  DialRequest,
  SendResult,
  SessionLog,
  SessionMetrics,
  UpstreamDialer,
  UpstreamListener,
  UpstreamOpening,
  UpstreamPort,
} from '../../src/session/ports.ts'
import type { RolloverReason } from '../../src/session/rollover-policy.ts'

export type Message = Readonly<Record<string, unknown>> & { readonly type: string }

export class MemoryClient implements ClientPort {
  /** As sent on the wire. */
  readonly texts: string[] = []
  readonly messages: Message[] = []
  closed: { readonly code: number; readonly reason: string } | null = null
  /** What `bufferedBytes` answers. */
  buffered = 0
  /** What `sendText` answers. */
  sendResult: SendResult = 'sent'
  /** Thrown instead of the next message: a bug of the port. */
  sendFailure: Error | null = null
  listener: ClientListener | null = null

  sendText(message: string): SendResult {
    if (this.closed !== null) throw new Error('the session spoke after the close')
    if (this.sendFailure !== null) {
      const failure = this.sendFailure
      this.sendFailure = null
      throw failure
    }
    if (this.sendResult !== 'dropped') {
      this.texts.push(message)
      this.messages.push(JSON.parse(message) as Message)
    }
    return this.sendResult
  }

  /** How many messages left together, for each time that there were several. */
  readonly together: number[] = []

  sendTexts(messages: readonly string[]): SendResult {
    this.together.push(messages.length)
    for (const message of messages) if (this.sendText(message) === 'dropped') return 'dropped'
    return this.sendResult
  }

  bufferedBytes(): number {
    return this.buffered
  }

  close(code: number, reason: string): void {
    if (this.closed !== null) throw new Error('the session closed twice')
    this.closed = { code, reason }
    this.listener?.clientOnClose({ code: 'client_closed', closeCode: code })
  }

  get types(): string[] {
    return this.messages.map(({ type }) => type)
  }

  get warnings(): unknown[] {
    return this.messages.filter(({ type }) => type === 'Warning').map(({ code }) => code)
  }

  get last(): Message | undefined {
    return this.messages.at(-1)
  }

  ofType(type: string): Message[] {
    return this.messages.filter(message => message.type === type)
  }
}

export const OPENING: UpstreamOpening = {
  region: 'eu-central-1',
  upstreamSessionId: 'upstream-session',
  requestId: 'request-1',
  connectMs: 40,
  attempts: 1,
  credentialsExpireAtMs: null,
}

export class MemoryUpstream implements UpstreamPort {
  /** Audio of each AudioEvent; the empty one that ends the stream included. */
  readonly payloads: Buffer[] = []
  buffered = 0
  /** How it was ended from this side. */
  ended: 'close' | 'terminate' | null = null
  /** Like the real one, reports its own end from within `terminate`. */
  readonly #listener: UpstreamListener
  isDead = false

  constructor(listener: UpstreamListener) {
    this.#listener = listener
  }

  send(message: Uint8Array): void {
    if (this.isDead || this.ended !== null) return
    const { headers, payload } = decodeMessage(message)
    if (stringHeader(headers, ':event-type') !== 'AudioEvent') throw new Error('not an AudioEvent')
    this.payloads.push(Buffer.from(payload))
  }

  bufferedBytes(): number {
    return this.buffered
  }

  close(): void {
    this.ended ??= 'close'
  }

  terminate(): void {
    if (this.ended !== null || this.isDead) return
    this.ended = 'terminate'
    this.#listener.upstreamOnClose({ closeCode: 1006, reason: '', error: null })
  }

  get audio(): Buffer {
    return Buffer.concat(this.payloads)
  }

  /** Whether the empty AudioEvent was sent, once and last. */
  get hasEnd(): boolean {
    return this.payloads.findIndex(({ length }) => length === 0) === this.payloads.length - 1
  }
}

/** Of a stream that ended well. */
const COMPLETED_REASON = 'Streaming completed successfully'

export class MemoryDial implements Dial {
  readonly request: DialRequest
  readonly listener: UpstreamListener
  readonly upstream: MemoryUpstream
  isCanceled = false

  constructor(request: DialRequest, listener: UpstreamListener) {
    this.request = request
    this.listener = listener
    this.upstream = new MemoryUpstream(listener)
  }

  cancel(): void {
    this.isCanceled = true
  }

  open(opening: Partial<UpstreamOpening> = {}): MemoryUpstream {
    this.listener.upstreamOnOpen(this.upstream, { ...OPENING, ...opening })
    return this.upstream
  }

  fail(error: RelayError): void {
    this.listener.upstreamOnFailure(error)
  }

  receive(...messages: Uint8Array[]): void {
    this.listener.upstreamOnMessage(Buffer.concat(messages))
  }

  /** The service closes, or the connection breaks. */
  close(
    closeCode = 1000,
    reason = closeCode === 1000 ? COMPLETED_REASON : '',
    error: RelayError | null = null,
  ): void {
    this.upstream.isDead = true
    this.listener.upstreamOnClose({ closeCode, reason, error })
  }
}

export class MemoryDialer implements UpstreamDialer {
  readonly dials: MemoryDial[] = []

  dial(request: DialRequest, listener: UpstreamListener): Dial {
    const dial = new MemoryDial(request, listener)
    this.dials.push(dial)
    return dial
  }

  get last(): MemoryDial {
    const dial = this.dials.at(-1)
    if (dial === undefined) throw new Error('nothing was dialled')
    return dial
  }
}

/** An event-stream message with text headers; a body that is neither text nor bytes is written as JSON. */
export function eventMessage(headers: Readonly<Record<string, string>>, body: unknown): Buffer {
  const typed = new Map<string, HeaderValue>()
  for (const [name, value] of Object.entries(headers)) typed.set(name, { type: 'string', value })
  if (body instanceof Uint8Array) return encodeMessage(typed, body)
  return encodeMessage(typed, Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)))
}

export function transcriptMessage(results: readonly unknown[]): Buffer {
  return transcriptJson(JSON.stringify({ Transcript: { Results: results } }))
}

/** With the bytes of the payload as given. */
export function transcriptJson(json: string): Buffer {
  return eventMessage(
    {
      ':message-type': 'event',
      ':event-type': 'TranscriptEvent',
      ':content-type': 'application/json',
    },
    json,
  )
}

export function exceptionMessage(name: string, message: string): Buffer {
  return eventMessage(
    { ':message-type': 'exception', ':exception-type': name, ':content-type': 'application/json' },
    { Message: message },
  )
}

/** One result of the service. */
export function resultOf(
  text: string,
  start: number,
  end: number,
  isPartial = false,
): Record<string, unknown> {
  return {
    ResultId: `result-${start}`,
    StartTime: start,
    EndTime: end,
    IsPartial: isPartial,
    Alternatives: [
      {
        Transcript: text,
        Items: [{ Content: text, StartTime: start, EndTime: end, Type: 'pronunciation' }],
      },
    ],
  }
}

export class MemoryMetrics implements SessionMetrics {
  clientAudioBytes = 0
  clientAudioMessages = 0
  clientAudioSeconds = 0
  upstreamAudioBytes = 0
  upstreamFrames = 0
  silenceFilledSeconds = 0
  upstreamStreamsActive = 0
  replayedSeconds = 0
  rolloverLostSeconds = 0
  parkedSeconds = 0
  resultsRepeated = 0
  connectionsLost = 0
  connectionsResumed = 0
  audioDroppedBytes = 0
  resultsPartial = 0
  resultsFinal = 0
  partialsDropped = 0
  partialsWithheld = 0
  clientSentBytes = 0
  warnings = 0
  unknownEvents = 0
  readonly exceptions: string[] = []
  readonly decodeErrors: string[] = []
  readonly rollovers: RolloverReason[] = []
  readonly partialLagSeconds: number[] = []
  readonly finalLagSeconds: number[] = []
  readonly connectSeconds: number[] = []
  readonly ended: { readonly code: ErrorCode; readonly durationSeconds: number }[] = []
  started = 0

  countUpstreamException(exception: string): void {
    this.exceptions.push(exception)
  }

  countDecodeError(reason: string): void {
    this.decodeErrors.push(reason)
  }

  countRollover(reason: RolloverReason): void {
    this.rollovers.push(reason)
  }

  observePartialLagSeconds(seconds: number): void {
    this.partialLagSeconds.push(seconds)
  }

  observeFinalLagSeconds(seconds: number): void {
    this.finalLagSeconds.push(seconds)
  }

  observeUpstreamConnectSeconds(seconds: number): void {
    this.connectSeconds.push(seconds)
  }

  countSessionStarted(): void {
    this.started += 1
  }

  countSessionEnded(code: ErrorCode, durationSeconds: number): void {
    this.ended.push({ code, durationSeconds })
  }
}

type LogRecord = Readonly<Record<string, unknown>>

export class MemoryLog implements SessionLog {
  readonly starts: LogRecord[] = []
  readonly ends: LogRecord[] = []
  readonly failures: unknown[] = []

  sessionOnStart(record: LogRecord): void {
    this.starts.push(record)
  }

  sessionOnEnd(record: LogRecord): void {
    this.ends.push(record)
  }

  sessionOnFailure(_sessionId: string, error: unknown): void {
    this.failures.push(error)
  }
}

/** The samples of a WAV file with a header of 44 bytes. */
export function readSamples(path: string): Buffer {
  return readFileSync(path).subarray(44)
}
