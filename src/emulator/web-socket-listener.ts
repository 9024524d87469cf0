/**
 * The port at which the service speaks WebSocket: an HTTP server whose only page is the streaming path.
 *
 * Source: Amazon Transcribe Developer Guide, "Setting up a WebSocket stream".
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import { MAX_MESSAGE_BYTES } from '../eventstream/index.ts'
import type { Acceptance, AnswerIdentity, Door, DoorListener } from './door.ts'
import { judgeHandshake, type HandshakeVerdict } from './handshake.ts'
import { writeAnswer } from './http-answer.ts'
import type { ResolvedOptions } from './options.ts'
import { resetTcp, WsStreamSocket, type StreamSocketListener } from './stream-socket.ts'
import { listen, TcpSockets } from './tcp-sockets.ts'

type Options = Pick<ResolvedOptions, 'tls' | 'region' | 'accounts' | 'badParameters'>

export class WebSocketListener implements DoorListener {
  readonly #options: Options
  readonly #onRequest: (door: Door) => void
  readonly #server: Server
  readonly #tcpSockets = new TcpSockets()
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    clientTracking: false,
  })
  /** Headers of the `101` under way. */
  readonly #extraHeaders = new WeakMap<IncomingMessage, readonly string[]>()

  constructor(options: Options, onRequest: (door: Door) => void) {
    this.#options = options
    this.#onRequest = onRequest
    this.#server = options.tls === null ? createServer() : createTlsServer({ ...options.tls })
    this.#tcpSockets.watch(this.#server)
    this.#server.on('request', serverOnRequest)
    this.#server.on('upgrade', (request, stream, head) => this.#serverOnUpgrade(request, stream, head))
    this.#webSockets.on('headers', (headers, request) => {
      headers.push(...(this.#extraHeaders.get(request) ?? []))
    })
  }

  listen(host: string, port: number): Promise<number> {
    return listen(this.#server, host, port)
  }

  close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#tcpSockets.destroyAll()
    return closed
  }

  #serverOnUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    // Until `ws` takes over, nobody else listens for the errors of this socket; its end is all that matters.
    stream.on('error', () => stream.destroy())
    const tcpSocket = this.#tcpSockets.below(request.socket)
    const options = this.#options
    const host = request.headers.host ?? ''
    this.#onRequest({
      host,
      origin: request.headers.origin ?? null,
      get isGone() {
        return stream.destroyed
      },
      judge: nowMs => judge(request, options, nowMs),
      answer: (answer, { requestId, nowMs }) => writeAnswer(stream, answer, requestId, nowMs),
      reset: () => resetTcp(stream, tcpSocket),
      accept: (acceptance, identity, open) => {
        this.#extraHeaders.set(request, this.#headersOf(acceptance, identity, host, request.headers.origin))
        this.#webSockets.handleUpgrade(request, stream, head, webSocket => {
          // An error (a frame that breaks RFC 6455, a reset) is always followed by 'close', where a stream ends.
          webSocket.on('error', () => undefined)
          connect(webSocket, open(new WsStreamSocket(webSocket, stream, tcpSocket)))
        })
      },
    })
  }

  #headersOf(
    { location }: Acceptance,
    { requestId, nowMs }: AnswerIdentity,
    host: string,
    origin = '',
  ): readonly string[] {
    const scheme = this.#options.tls === null ? 'ws' : 'wss'
    return [
      `Date: ${new Date(nowMs).toUTCString()}`,
      `x-amzn-RequestId: ${requestId}`,
      `websocket-origin: ${origin}`,
      `websocket-location: ${scheme}://${host}${location}`,
      ...(scheme === 'wss' ? ['Strict-Transport-Security: max-age=31536000'] : []),
    ]
  }
}

function serverOnRequest(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { 'Content-Type': 'application/json', Upgrade: 'websocket', Connection: 'close' })
  response.end(JSON.stringify({ message: 'This service speaks WebSocket only.' }))
}

function judge(request: IncomingMessage, options: Options, nowMs: number): HandshakeVerdict {
  return judgeHandshake({
    url: request.url ?? '',
    host: request.headers.host ?? '',
    region: options.region,
    accounts: options.accounts,
    nowMs,
    badParameters: options.badParameters,
    newSessionId: randomUUID(),
  })
}

function connect(webSocket: WebSocket, listener: StreamSocketListener): void {
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    if (isBinary) listener.socketOnBinary(data as RawData & Buffer)
    else listener.socketOnText()
  })
  webSocket.on('close', (code: number) => listener.socketOnClose(code))
}
