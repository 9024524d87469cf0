/**
 * The client port: one WebSocket route on uWebSockets.js, and an answer for everything else.
 *
 * Owns the native app and its listen socket. What a request becomes is in `upgrade.ts`, what a socket does in
 * `client-socket.ts`; here the native handlers are wired to them, in one place.
 */
import type {
  HttpRequest,
  HttpResponse,
  us_listen_socket,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js'
import { RelayError } from '../errors.ts'
import type { SessionHost } from '../session/host.ts'
import { ABNORMAL_CLOSE_CODE } from './client-end.ts'
import { EndedSockets } from './ended-sockets.ts'
import type { Handshake } from './handshake.ts'
import { checkHandshake, readHandshake, STREAM_PATH } from './handshake.ts'
import type { ClientServerOptions, ClientServerSettings } from './options.ts'
import { resolveClientServerOptions } from './options.ts'
import { answerAlone, httpRefusal, RefusedSocket, writeRefusal } from './refusal.ts'
import { TlsFiles } from './tls-files.ts'
import { createTlsApp } from './tls-app.ts'
import { TokenRequest, TOKENS_PATH } from './token-endpoint.ts'
import type { SocketData, UpgradeAnswer, UpgradeContext } from './upgrade.ts'
import { reportHandshake, SESSION_ID_HEADER, UpgradeAttempt } from './upgrade.ts'
import type { Uws, UwsApp, UwsBuild } from './uws.ts'
import { loadUws } from './uws.ts'

/**
 * How much above `maxMessageBytes` the native limit lies. Past it the native socket drops the connection without a Close
 * frame, so the room between is where a client is told what it did.
 */
const NATIVE_MESSAGE_FACTOR = 4

/** No flag: the native library sets SO_REUSEPORT, unless the port is 0. */
const SHARED_PORT = 0

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface ClientServer {
  /** Loads the native build and binds the port. Call it once. @throws UwsLoadError, ListenError, AuthFileError */
  listen(): Promise<ListenAddress>
  /** Refuses new connections, and new sessions on old connections. Sessions go on. */
  stopListening(): void
  /** Ends everything at once: clients see 1006. The last step of a shutdown. */
  close(): void
  /** TCP connections now, sessions included. */
  readonly connectionCount: number
  /**
   * Resolves when no WebSocket is open, and the last client has had a second to read its last messages. A session ends
   * before its socket does: the last message and the Close frame of a slow client are still on their way.
   */
  whenSocketsClosed(): Promise<void>
  /** The native build in use; `null` before `listen`. */
  readonly build: UwsBuild | null
}

/** The port cannot be bound. The native library does not say why. */
export class ListenError extends Error {
  override readonly name = 'ListenError'

  constructor({ host, port }: ListenAddress) {
    super(
      `Cannot listen on ${host}:${port}: the port is taken or not permitted, or the host is not an address of this machine.`,
    )
  }
}

/** @throws RangeError naming the option, its value and the rule. */
export function createClientServer(options: ClientServerOptions, host: SessionHost): ClientServer {
  return new UwsClientServer(resolveClientServerOptions(options), host)
}

class UwsClientServer implements ClientServer {
  readonly #settings: ClientServerSettings
  readonly #host: SessionHost
  #build: UwsBuild | null = null
  /** The first one listens. With each certificate comes another; connections stay with the app that took them. */
  readonly #apps: UwsApp[] = []
  #tlsFiles: TlsFiles | null = null
  #listenSocket: us_listen_socket | null = null
  #connectionCount = 0
  #socketCount = 0
  readonly #socketsClosedWaiters: (() => void)[] = []
  readonly #ended = new EndedSockets()
  #isStopping = false
  #isUpgrading = false
  /** What the native `open` was called with, until `#upgrade` takes it. A map, as to set a property may change hidden classes. */
  readonly #opening = new Map<'socket', WebSocket<SocketData> | null>([['socket', null]])

  constructor(settings: ClientServerSettings, host: SessionHost) {
    this.#settings = settings
    this.#host = host
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  get build(): UwsBuild | null {
    return this.#build
  }

  async whenSocketsClosed(): Promise<void> {
    const { clock } = this.#settings
    while (this.#socketCount > 0) await new Promise<void>(resolve => this.#socketsClosedWaiters.push(resolve))
    const lingerMs = this.#ended.lingerMs(clock.monotonicMs())
    if (lingerMs > 0) await new Promise<void>(resolve => clock.setTimer(lingerMs, resolve))
  }

  async listen(): Promise<ListenAddress> {
    this.#build = await loadUws()
    const { uws } = this.#build
    await this.#startTls(uws)
    return this.#bind(uws, this.#addApp(uws))
  }

  async #startTls(uws: Uws): Promise<void> {
    const { clock, tls, tlsLog: log } = this.#settings
    if (tls === null) return
    this.#tlsFiles = new TlsFiles(tls, { clock, log, onPair: () => this.#renewTls(uws) })
    await this.#tlsFiles.start()
  }

  /** The listening socket stays, so that no connection is refused; what it accepts goes to the newest app. */
  #renewTls(uws: Uws): void {
    const [listening, ...later] = this.#apps
    if (listening === undefined) return
    const next = this.#addApp(uws)
    listening.addChildAppDescriptor(next.getDescriptor())
    const before = later.at(-1)
    if (before !== undefined) listening.removeChildAppDescriptor(before.getDescriptor())
  }

  #addApp(uws: Uws): UwsApp {
    const { tls } = this.#settings
    const app = tls === null ? uws.App() : createTlsApp(uws, tls)
    this.#apps.push(app)
    app.filter((response, change) => this.#socketOnCount(response, Number(change)))
    app.ws<SocketData>(STREAM_PATH, this.#behavior(uws))
    this.#offerTokens(app)
    app.any('/*', (response, request) => this.#clientOnRequest(response, request))
    return app
  }

  stopListening(): void {
    this.#isStopping = true
    if (this.#listenSocket === null) return
    this.#build?.uws.us_listen_socket_close(this.#listenSocket)
    this.#listenSocket = null
  }

  close(): void {
    this.stopListening()
    this.#tlsFiles?.close()
    for (const app of this.#apps.splice(0)) app.close()
  }

  #offerTokens(app: UwsApp): void {
    const { guard } = this.#settings
    if (guard?.issuesTokens !== true) return
    app.post(TOKENS_PATH, (response, request) =>
      this.#guard(response, () =>
        new TokenRequest(this.#settings, guard, response, request).start(this.#refusalOfServer()),
      ),
    )
  }

  #bind(uws: Uws, app: UwsApp): ListenAddress {
    const { host, port, sharePort } = this.#settings
    // Without EXCLUSIVE_PORT two processes share a port, and each gets half of the clients.
    app.listen(host, port, sharePort ? SHARED_PORT : uws.LIBUS_LISTEN_EXCLUSIVE_PORT, socket => {
      if (socket !== false) this.#listenSocket = socket
    })
    if (this.#listenSocket === null) {
      this.close()
      throw new ListenError({ host, port })
    }
    return { host, port: uws.us_socket_local_port(this.#listenSocket) }
  }

  #behavior(uws: Uws): WebSocketBehavior<SocketData> {
    const { maxMessageBytes, clientHardBufferBytes, idleTimeoutSeconds } = this.#settings
    const upgradeContext: UpgradeContext = {
      settings: this.#settings,
      host: this.#host,
      refusalOfServer: () => this.#refusalOfServer(),
      upgrade: (response, data, answer) => this.#upgrade(response, data, answer),
    }
    return {
      compression: uws.DISABLED,
      maxPayloadLength: maxMessageBytes * NATIVE_MESSAGE_FACTOR,
      maxBackpressure: clientHardBufferBytes,
      // A close by the library looks like a client that went away; the session closes slow clients itself.
      closeOnBackpressureLimit: false,
      idleTimeout: idleTimeoutSeconds,
      sendPingsAutomatically: true,
      // The session knows its age, and can deliver its last results before the end.
      maxLifetime: 0,
      upgrade: (response, request, socketContext) =>
        this.#guard(response, () =>
          new UpgradeAttempt(upgradeContext, response, request, socketContext).start(),
        ),
      open: Map.prototype.set.bind(this.#opening, 'socket') as (socket: WebSocket<SocketData>) => void,
      message: (socket, message, isBinary) =>
        socket.getUserData().handlers.socketOnMessage(message, isBinary),
      // The library has answered it already.
      ping: socket => socket.getUserData().handlers.socketOnPing(),
      pong: socket => socket.getUserData().handlers.socketOnPing(),
      drain: socket => socket.getUserData().handlers.socketOnDrain(),
      close: (socket, closeCode, reason) => this.#socketOnClose(socket, closeCode, reason),
    }
  }

  #refusalOfServer(): RelayError | null {
    return this.#isStopping ? new RelayError('draining') : null
  }

  /**
   * Where something was waited for, no JavaScript may run between the upgrade and the end of the cork. The native `cork`
   * looks at the memory of the response once more when its callback is over, and the upgrade has freed that: whatever
   * was given the memory meanwhile, a session or a function that V8 compiles, may read as "close this connection". Of a
   * thousand clients one or two saw 1006 right behind their 101 (uWebSockets pull request 1929; no published build has
   * it). So the callback and `open` are functions of the engine itself that allocate nothing, and the session begins when
   * the cork is off. What is left is a garbage collection in that very moment: of 120,000 none was closed.
   */
  #upgrade(response: HttpResponse, data: SocketData, answer: UpgradeAnswer): void {
    const { key, subprotocol, socketContext } = answer
    response.cork(() => {
      response.writeStatus('101 Switching Protocols')
      response.writeHeader(SESSION_ID_HEADER, answer.sessionId)
    })
    this.#isUpgrading = true
    response.cork(response.upgrade.bind(response, data, key, subprotocol, '', socketContext))
    this.#isUpgrading = false
    const socket = this.#opening.get('socket') ?? null
    this.#opening.set('socket', null)
    this.#socketCount += 1
    // The library has closed it after all: what was admitted has to begin, and to hear of it.
    if (socket === null) this.#settleClosed(data, ABNORMAL_CLOSE_CODE, new ArrayBuffer(0))
    data.handlers.socketOnOpen(socket)
  }

  #socketOnClose(socket: WebSocket<SocketData>, closeCode: number, reason: ArrayBuffer): void {
    this.#connectionCount -= 1
    if (this.#opening.get('socket') === socket) this.#opening.set('socket', null)
    else this.#settleClosed(socket.getUserData(), closeCode, reason)
  }

  #settleClosed({ handlers }: SocketData, closeCode: number, reason: ArrayBuffer): void {
    this.#socketCount -= 1
    const nowMs = this.#settings.clock.monotonicMs()
    if (closeCode !== ABNORMAL_CLOSE_CODE) this.#ended.ended(nowMs)
    if (handlers instanceof RefusedSocket) this.#ended.refused(nowMs)
    handlers.socketOnClose(closeCode, reason)
    if (this.#socketCount === 0) for (const resolve of this.#socketsClosedWaiters.splice(0)) resolve()
  }

  /** Called with 1 for a new connection and -1 for a closed one, as long as it is not upgraded. */
  #socketOnCount(response: HttpResponse, change: number): void {
    // An upgraded connection stays, it only changes its kind. Builds differ in whether the filter hears of that.
    if (this.#isUpgrading) return
    this.#connectionCount += change
    const { clock, maxConnections, metrics } = this.#settings
    if (change < 0 || maxConnections === null) return
    if (this.#connectionCount + this.#ended.heldByRefused(clock.monotonicMs()) <= maxConnections) return
    metrics.countConnectionRefused()
    response.close()
  }

  /** Whatever did not upgrade. Every way through here answers: the native library ends the process otherwise. */
  #clientOnRequest(response: HttpResponse, request: HttpRequest): void {
    this.#guard(response, () => {
      const { addresses } = this.#settings
      const handshake = readHandshake(response, request, addresses)
      const { error, status } = this.#refuseRequest(handshake)
      reportHandshake(this.#settings, 'rejected', error.code, null)
      const refusal = httpRefusal(error, handshake.sessionId, status)
      if (addresses.isOneRequest) answerAlone(response, refusal, handshake.method !== 'head')
      else writeRefusal(response, refusal, handshake.method !== 'head')
    })
  }

  /**
   * A throw in a native handler ends the process, and so does a request without an answer. Only a bug comes to the second
   * half, so the connection is ended without one; the library wants to see an abort handler for that.
   */
  #guard(response: HttpResponse, handler: () => void): void {
    try {
      handler()
    } catch (error) {
      this.#settings.onFailure(error)
      response.onAborted(() => {})
      response.close()
    }
  }

  #refuseRequest(handshake: Handshake): { error: RelayError; status?: number } {
    const draining = this.#refusalOfServer()
    if (draining !== null) return { error: draining }
    if (handshake.path !== STREAM_PATH) return { error: new RelayError('not_found') }
    const error = checkHandshake(handshake) ?? new RelayError('upgrade_required')
    return handshake.method === 'get' ? { error } : { error: new RelayError('upgrade_required'), status: 405 }
  }
}
