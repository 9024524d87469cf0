/**
 * The port at which the service speaks HTTP/2: with TLS by ALPN, without it to clients that know beforehand.
 *
 * One request is one stream, as over the WebSocket. AWS's SDK opens a connection for each, and says GOAWAY as soon as it
 * has the headers of the answer; the stream goes on until it has ended.
 */
import { randomUUID } from 'node:crypto'
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Acceptance, AnswerIdentity, Door, DoorListener } from '../door.ts'
import type { HttpAnswer } from '../http-answer.ts'
import type { ResolvedOptions } from '../options.ts'
import { resetTcp } from '../stream-socket.ts'
import { listen, TcpSockets } from '../tcp-sockets.ts'
import { ChunkVerifier } from './chunk-signature.ts'
import { EVENT_STREAM_TYPE, judgeHttp2Request, PARAMETER_PREFIX, type Http2Verdict } from './http2-request.ts'
import { Http2StreamSocket, readHttp2Stream } from './http2-socket.ts'
import { hostOf } from './request-signature.ts'

type Options = Pick<ResolvedOptions, 'tls' | 'region' | 'accounts' | 'badParameters' | 'clock'>

export class Http2Listener implements DoorListener {
  readonly #options: Options
  readonly #onRequest: (door: Door) => void
  readonly #server: Http2Server | Http2SecureServer
  readonly #tcpSockets = new TcpSockets()

  constructor(options: Options, onRequest: (door: Door) => void) {
    this.#options = options
    this.#onRequest = onRequest
    this.#server = options.tls === null ? createServer() : createSecureServer({ ...options.tls })
    this.#tcpSockets.watch(this.#server)
    this.#server.on('session', serverOnSession)
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) =>
      this.#serverOnStream(stream, headers),
    )
  }

  listen(host: string, port: number): Promise<number> {
    return listen(this.#server, host, port)
  }

  close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    this.#tcpSockets.destroyAll()
    return closed
  }

  #serverOnStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // An error is always followed by 'close', which is where a stream ends.
    stream.on('error', () => undefined)
    const { socket } = stream.session ?? {}
    if (socket === undefined) return
    const tcpSocket = this.#tcpSockets.below(socket)
    const { clock } = this.#options
    let seed: Http2Verdict['seed'] = null
    this.#onRequest({
      host: hostOf(headers),
      origin: headers.origin ?? null,
      get isGone() {
        return stream.destroyed
      },
      judge: nowMs => {
        const judged = judgeHttp2Request({ ...this.#options, headers, nowMs, newSessionId: randomUUID() })
        seed = judged.seed
        return judged.verdict
      },
      answer: (answer, identity) => writeAnswer(stream, answer, identity),
      reset: () => resetTcp(stream, tcpSocket),
      accept: (acceptance, identity, open) => {
        if (seed === null || stream.destroyed) return
        stream.respond(headersOf(acceptance, identity))
        const listener = open(new Http2StreamSocket(stream, tcpSocket))
        const skewMs = identity.nowMs - clock.now()
        readHttp2Stream(stream, listener, new ChunkVerifier(seed), () => clock.now() + skewMs)
      },
    })
  }
}

/**
 * Node answers a GOAWAY by closing its own side too, which cuts the streams that are still open. Here the one who says it
 * hangs up when it has everything.
 */
function serverOnSession(session: ServerHttp2Session): void {
  session.close = () => undefined
  session.on('error', () => undefined)
}

function writeAnswer(
  stream: ServerHttp2Stream,
  answer: HttpAnswer,
  { nowMs, requestId }: AnswerIdentity,
): void {
  if (stream.destroyed) return
  const headers: OutgoingHttpHeaders = { date: new Date(nowMs).toUTCString(), 'x-amzn-requestid': requestId }
  for (const [name, value] of Object.entries(answer.headers)) headers[name.toLowerCase()] = value
  stream.respond({ ...headers, ':status': answer.status })
  stream.end(answer.body)
  // What the client has begun to send is read and dropped, so that its window does not hold up the answer.
  stream.resume()
}

function headersOf(
  { query, sessionId }: Acceptance,
  { nowMs, requestId }: AnswerIdentity,
): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {
    ':status': 200,
    date: new Date(nowMs).toUTCString(),
    'content-type': EVENT_STREAM_TYPE,
    'x-amzn-request-id': requestId,
  }
  for (const [name, value] of Object.entries({ ...query, 'session-id': sessionId })) {
    headers[`${PARAMETER_PREFIX}${name}`] = value
  }
  return headers
}
