/**
 * A real client server on a free port, with sessions that only record. The host echoes nothing by itself: a test says
 * what the session does by replacing a listener method of the recorded session.
 */
import { createHash } from 'node:crypto'
import { once, EventEmitter } from 'node:events'
import { RelayError, type ErrorCode } from '../../src/errors.ts'
import type { ClientServer } from '../../src/server/app.ts'
import { createClientServer } from '../../src/server/app.ts'
import type { ServerMetrics, ViolationCode } from '../../src/server/metrics.ts'
import type { ClientServerOptions } from '../../src/server/options.ts'
import type { ResumeClaim, Resumption, SessionHost, SessionRequest } from '../../src/session/host.ts'
import type { ClientEnd, ClientListener, ClientPort } from '../../src/session/ports.ts'
import { ManualClock } from './manual-clock.ts'

/** Of a stream that asks for nothing. */
export const STREAM_DEFAULTS = {
  parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
  format: 'simple',
  words: false,
  partials: true,
  extraLanguageCodes: [],
} as const

/** What a message was: its kind and size, and the digest of its bytes. */
export interface RecordedMessage {
  readonly kind: 'audio' | 'text'
  readonly bytes: number
  readonly sha256: string
}

/** A session that writes down everything. Emits `message`, `oversize`, `drain`, `close` and `failure`. */
export class RecordingSession extends EventEmitter implements ClientListener {
  readonly client: ClientPort
  readonly request: SessionRequest
  readonly messages: RecordedMessage[] = []
  readonly texts: string[] = []
  readonly audio: Buffer[] = []
  readonly oversizes: number[] = []
  readonly ends: ClientEnd[] = []
  readonly failures: unknown[] = []
  drains = 0
  /** Called with every text and audio message, after it was recorded. */
  onMessage: (message: RecordedMessage) => void = () => {}
  onClose: () => void = () => {}

  constructor(client: ClientPort, request: SessionRequest) {
    super()
    this.client = client
    this.request = request
  }

  clientOnAudio(pcm: Uint8Array): void {
    const copy = Buffer.from(pcm)
    this.audio.push(copy)
    this.#record('audio', copy)
  }

  clientOnText(message: string): void {
    this.texts.push(message)
    this.#record('text', Buffer.from(message))
  }

  clientOnOversize(messageBytes: number): void {
    this.oversizes.push(messageBytes)
    this.client.sendText(JSON.stringify({ type: 'Error', code: 'message_too_big' }))
    this.client.close(1009, 'message_too_big')
    this.emit('oversize')
  }

  clientOnDrain(): void {
    this.drains += 1
    this.emit('drain')
  }

  clientOnClose(end: ClientEnd): void {
    this.ends.push(end)
    this.emit('close', end)
    this.onClose()
  }

  clientOnFailure(error: unknown): void {
    this.failures.push(error)
    this.client.sendText(JSON.stringify({ type: 'Error', code: 'internal' }))
    this.client.close(1011, 'internal')
    this.emit('failure')
  }

  async whenClosed(): Promise<ClientEnd> {
    if (this.ends.length === 0) await once(this, 'close')
    const [end] = this.ends
    if (end === undefined) throw new Error('closed without an end')
    return end
  }

  async whenMessages(count: number): Promise<void> {
    while (this.messages.length < count) await once(this, 'message')
  }

  #record(kind: RecordedMessage['kind'], bytes: Buffer): void {
    const message = { kind, bytes: bytes.length, sha256: sha256(bytes) }
    this.messages.push(message)
    this.emit('message')
    this.onMessage(message)
  }
}

export class RecordingHost extends EventEmitter implements SessionHost {
  readonly sessions: RecordingSession[] = []
  readonly asked: SessionRequest[] = []
  refusal: RelayError | null = null
  /** Called before the listener is returned. */
  onOpen: (session: RecordingSession) => void = () => {}

  admit(): RelayError | null {
    return this.refusal
  }

  open(client: ClientPort, request: SessionRequest): ClientListener {
    const session = new RecordingSession(client, request)
    this.sessions.push(session)
    this.onOpen(session)
    this.emit('session')
    return session
  }

  /** Has none, unless a test says otherwise. */
  findResumable(_claim: ResumeClaim): Resumption {
    throw new RelayError('resume_not_found')
  }

  /** The n-th session, as soon as it is there. */
  async session(index: number): Promise<RecordingSession> {
    while (this.sessions.length <= index) await once(this, 'session')
    const session = this.sessions[index]
    if (session === undefined) throw new Error(`no session ${index}`)
    return session
  }
}

export class RecordingMetrics extends EventEmitter implements ServerMetrics {
  readonly handshakes: string[] = []
  readonly handshakeSeconds: number[] = []
  readonly violations: ViolationCode[] = []
  forcedCloses = 0
  connectionsRefused = 0

  countHandshake(outcome: 'accepted' | 'rejected', code: ErrorCode): void {
    this.handshakes.push(`${outcome} ${code}`)
    this.emit('handshake')
  }

  observeHandshakeSeconds(seconds: number): void {
    this.handshakeSeconds.push(seconds)
  }

  countViolation(code: ViolationCode): void {
    this.violations.push(code)
  }

  countForcedClose(): void {
    this.forcedCloses += 1
  }

  countConnectionRefused(): void {
    this.connectionsRefused += 1
  }
}

export interface TestServer {
  readonly server: ClientServer
  readonly port: number
  readonly host: RecordingHost
  readonly metrics: RecordingMetrics
  readonly clock: ManualClock
  /** What the server had nobody else to tell. */
  readonly failures: unknown[]
}

/** Closed by the teardown of the test. */
export async function startServer(
  t: { teardown(action: () => void): void },
  options: Partial<ClientServerOptions> = {},
): Promise<TestServer> {
  const host = new RecordingHost()
  const metrics = new RecordingMetrics()
  const clock = new ManualClock()
  const failures: unknown[] = []
  const server = createClientServer(
    {
      host: '127.0.0.1',
      port: 0,
      clock,
      metrics,
      onFailure: error => failures.push(error),
      streamDefaults: STREAM_DEFAULTS,
      ...options,
    },
    host,
  )
  const { port } = await server.listen()
  t.teardown(() => server.close())
  return { server, port, host, metrics, clock, failures }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
