/**
 * One attempt to open a WebSocket to Amazon Transcribe: an open socket, or the reason why not.
 *
 * Redirects are not followed, certificates are always verified, compression is not offered, and one timer bounds
 * everything from the name look-up to the last byte of a refusal (an idle time-out would not stop a server that
 * drips). The URL is known to the socket alone: no failure carries it.
 */
import net from 'node:net'
import type { LookupFunction } from 'node:net'
import tls from 'node:tls'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { ClientOptions } from 'ws'
import type { Clock, Timer } from '../clock.ts'
import { errorCodeOf, reasonOfError, reasonOfStatus } from './connect-failure.ts'
import type { ConnectFailure, ConnectPhase, ConnectReason, RefusedUpgrade } from './connect-failure.ts'
import { readRefusal, requestIdOf, sessionIdOf } from './handshake-answer.ts'
import type { PresignedUrl } from './presigned-url.ts'
import { TlsSessions } from './tls-sessions.ts'

export interface ConnectorOptions {
  readonly clock: Clock
  /** Largest message accepted. 1 MiB unless given. */
  readonly maxMessageBytes?: number
  /** Longest wait for the peer to hang up after the closing handshake. */
  readonly closeTimeoutMs: number
  /** Idle time before TCP probes a silent connection. 15 s unless given. */
  readonly keepAliveMs?: number
  /** Certificates to trust instead of those of Node.js, PEM. */
  readonly ca?: string | undefined
  /** Name resolution, instead of the system's. */
  readonly lookup?: LookupFunction | undefined
}

export interface OpenedConnection {
  readonly webSocket: WebSocket
  /** The TCP or TLS socket under it. */
  readonly stream: net.Socket
  readonly requestId: string | null
  readonly upstreamSessionId: string | null
  readonly connectMs: number
}

/** One of the two is called, once, after `connect` has returned. */
export interface ConnectListener {
  /** Messages may follow at once: the listeners of the socket must be on before this returns. */
  connectOnOpen(opened: OpenedConnection): void
  connectOnFailure(failure: ConnectFailure): void
}

export interface ConnectTarget {
  readonly url: PresignedUrl
  /** Host header, exactly as signed. */
  readonly host: string
  readonly secure: boolean
  /** `Origin` header. The guide lists it as required, and no library for Node.js sends it by itself. */
  readonly origin: string
  readonly timeoutMs: number
}

/**
 * The list of one protocol, as ALPN has it (RFC 7301 §3.1). A DataView, because Node.js gives that memory of its own;
 * of names or bytes it keeps a slice of its pool for the life of the socket, and with it 8 KiB.
 */
const HTTP_1_1 = new DataView(Uint8Array.from(Buffer.from('\x08http/1.1', 'latin1')).buffer)

/** Ours: an event of the service comes in one frame; many tiny ones are an attack on memory. */
const MAX_FRAGMENTS = 1024
/** Ours: pieces of an unfinished frame, as TCP delivers them. */
const MAX_BUFFERED_CHUNKS = 16 * 1024

export class Connector {
  readonly options: ConnectorOptions
  readonly sessions = new TlsSessions()

  constructor(options: ConnectorOptions) {
    this.options = options
  }

  connect(target: ConnectTarget, listener: ConnectListener): { cancel(): void } {
    return new ConnectAttempt(this, target, listener)
  }
}

class ConnectAttempt {
  readonly #connector: Connector
  readonly #host: string
  readonly #secure: boolean
  readonly #listener: ConnectListener
  readonly #startedMs: number
  readonly #timer: Timer
  #webSocket: WebSocket | null = null
  #stream: net.Socket | null = null
  #phase: ConnectPhase = 'lookup'
  #answer: IncomingMessage | null = null
  /** Ends the reading of a refusal early. */
  #finishRefusal: (() => void) | null = null
  #settled = false

  constructor(connector: Connector, target: ConnectTarget, listener: ConnectListener) {
    const { clock } = connector.options
    this.#connector = connector
    this.#host = target.host
    this.#secure = target.secure
    this.#listener = listener
    this.#startedMs = clock.monotonicMs()
    this.#timer = clock.setTimer(target.timeoutMs, () => this.#clockOnTimeout())
    try {
      this.#webSocket = this.#open(target)
    } catch (error) {
      // Without the error itself: its message may quote the URL.
      const errorCode = errorCodeOf(error)
      queueMicrotask(() => this.#fail('local', errorCode, null))
    }
  }

  /** The listener is not called any more. An opened connection is the listener's. */
  cancel(): void {
    if (this.#settle()) this.#webSocket?.terminate()
  }

  #open({ url, host, origin }: ConnectTarget): WebSocket {
    const { closeTimeoutMs, maxMessageBytes = 1024 * 1024 } = this.#connector.options
    const settings: ClientOptions & { closeTimeout: number } = {
      closeTimeout: closeTimeoutMs,
      createConnection: ((to: net.TcpNetConnectOpts) => this.#createStream(to)) as typeof net.connect,
      followRedirects: false,
      headers: { Host: host },
      maxBufferedChunks: MAX_BUFFERED_CHUNKS,
      maxFragments: MAX_FRAGMENTS,
      maxPayload: maxMessageBytes,
      origin,
      perMessageDeflate: false,
    }
    const webSocket = new WebSocket(url.reveal(), settings)
    webSocket.on('error', error => this.#socketOnError(error))
    webSocket.on('upgrade', answer => {
      this.#answer = answer
    })
    webSocket.on('unexpected-response', (request, answer) => this.#serverOnRefusal(request, answer))
    webSocket.on('open', () => this.#socketOnOpen(webSocket))
    return webSocket
  }

  #createStream({ host = '', port }: net.TcpNetConnectOpts): net.Socket {
    const { ca, lookup, keepAliveMs = 15_000 } = this.#connector.options
    const options = {
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
      ...(lookup === undefined ? {} : { lookup }),
    }
    if (net.isIP(host) !== 0) this.#phase = 'connect'
    const stream = this.#secure ? this.#createTlsStream(options, ca) : net.connect(options)
    this.#stream = stream
    stream.once('lookup', (error: Error | null) => {
      if (error === null) this.#phase = 'connect'
    })
    stream.once('connect', () => {
      this.#phase = this.#secure ? 'tls' : 'upgrade'
    })
    return stream
  }

  #createTlsStream(options: net.TcpNetConnectOpts, ca: string | undefined): tls.TLSSocket {
    const session = this.#connector.sessions.get(this.#host)
    const stream = tls.connect({
      ...options,
      ALPNProtocols: HTTP_1_1,
      minVersion: 'TLSv1.2',
      // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED=0 would turn verification off without it.
      rejectUnauthorized: true,
      // A name, never an address (RFC 6066 §3).
      servername: net.isIP(options.host ?? '') === 0 ? options.host : '',
      ...(ca === undefined ? {} : { ca }),
      ...(session === undefined ? {} : { session }),
    })
    this.#connector.sessions.watch(this.#host, stream)
    stream.once('secureConnect', () => {
      this.#phase = 'upgrade'
    })
    return stream
  }

  #socketOnOpen(webSocket: WebSocket): void {
    const stream = this.#stream
    if (stream === null || !this.#settle()) return
    webSocket.removeAllListeners()
    this.#listener.connectOnOpen({
      webSocket,
      stream,
      requestId: requestIdOf(this.#answer?.headers),
      upstreamSessionId: sessionIdOf(this.#answer?.headers),
      connectMs: this.#elapsedMs(),
    })
  }

  #socketOnError(error: Error): void {
    this.#fail(reasonOfError(error, this.#phase), errorCodeOf(error), null)
  }

  #serverOnRefusal(_request: ClientRequest, answer: IncomingMessage): void {
    this.#finishRefusal = readRefusal(answer, refusal =>
      this.#fail(reasonOfStatus(refusal.status), null, refusal),
    )
  }

  #clockOnTimeout(): void {
    // A refusal that drips is still a refusal: what has come of it is enough.
    if (this.#finishRefusal !== null) this.#finishRefusal()
    else this.#fail('timeout', null, null)
  }

  #fail(reason: ConnectReason, errorCode: string | null, refusal: RefusedUpgrade | null): void {
    if (!this.#settle()) return
    this.#connector.sessions.forget(this.#host)
    this.#webSocket?.terminate()
    this.#listener.connectOnFailure({ reason, errorCode, refusal, durationMs: this.#elapsedMs() })
  }

  /** The error listener stays on: ending a socket that is still connecting makes it report that. */
  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#timer.cancel()
    return true
  }

  #elapsedMs(): number {
    return this.#connector.options.clock.monotonicMs() - this.#startedMs
  }
}
