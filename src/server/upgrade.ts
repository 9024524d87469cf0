/**
 * From a request for `/v1/stream` to an open socket, or to a refusal.
 *
 * The checks run in one order: handshake, the guard's screen (origin, rates), admission, who it is, query, `authorize`,
 * admission again (something may have waited), what it may do. Where nothing waits, all of it happens within the native
 * handler. Else the native request is gone by the time the answer is known, so everything was copied; the client may be
 * gone too; and the native library would wait for ever, so the time is bounded here. Each attempt is settled exactly once.
 *
 * A client that comes back with a resume token is checked in the same order, but neither admitted nor counted again: it
 * has its session.
 */
import type { HttpRequest, HttpResponse, us_socket_context_t } from 'uWebSockets.js'
import type { Timer } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'
import { RelayError } from '../errors.ts'
import type { StreamQuery } from '../protocol/stream-request.ts'
import { readResumeQuery, type ResumeQuery } from '../protocol/resume-query.ts'
import { describeProblems, readStreamQuery } from '../protocol/stream-request.ts'
import { readTraceParent } from '../protocol/trace-parent.ts'
import type { Resumption, SessionHost } from '../session/host.ts'
import type { AdmittedClient, Principal } from './auth/principal.ts'
import { ownerOf } from './auth/principal.ts'
import type { SocketHandlers } from './client-socket.ts'
import { ClientSocket } from './client-socket.ts'
import type { Handshake } from './handshake.ts'
import { checkHandshake, isFromBrowser, readHandshake, selectSubprotocol } from './handshake.ts'
import type { ClientServerSettings } from './options.ts'
import { canRefuseBySocket, httpRefusal, RefusedSocket, writeRefusal } from './refusal.ts'

/** Names the session in the answer to the handshake, for clients that can read it. */
export const SESSION_ID_HEADER = 'X-Transcribe-Relay-Session-Id'

/** Refusals for who asks; the others are for how it is asked, or have nothing to do with the client. */
const ACCESS_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'token_missing',
  'token_invalid',
  'token_expired',
  'origin_denied',
  'forbidden',
  'rate_limited',
  'session_limit',
  'auth_unavailable',
])

/** What a native socket carries from the upgrade on. */
export interface SocketData {
  readonly handlers: SocketHandlers
}

export interface UpgradeContext {
  readonly settings: ClientServerSettings
  readonly host: SessionHost
  /** `draining` once the server was told to stop listening: a kept-alive connection can still ask. */
  refusalOfServer(): RelayError | null
  /** Performs the native upgrade; the socket's `open` handler is called before it returns. */
  upgrade(response: HttpResponse, data: SocketData, answer: UpgradeAnswer): void
}

export interface UpgradeAnswer {
  readonly key: string
  readonly subprotocol: string
  readonly sessionId: string
  readonly socketContext: us_socket_context_t
}

/** One request to upgrade. */
export class UpgradeAttempt {
  readonly #context: UpgradeContext
  readonly #response: HttpResponse
  readonly #socketContext: us_socket_context_t
  readonly #handshake: Handshake
  readonly #startedMs: number
  #timer: Timer | null = null
  #principal: Principal | null = null
  /** What a client that comes back asks for. */
  #claim: ResumeQuery | null = null
  #isSettled = false
  #isListening = false

  constructor(
    context: UpgradeContext,
    response: HttpResponse,
    request: HttpRequest,
    socketContext: us_socket_context_t,
  ) {
    this.#context = context
    this.#response = response
    this.#socketContext = socketContext
    this.#startedMs = context.settings.clock.monotonicMs()
    this.#handshake = readHandshake(response, request, context.settings.addresses)
  }

  /** Settles the attempt, or leaves it to `authorize`, the clock and the client. Never throws. */
  start(): void {
    // Until it is settled the native library takes no other request of this connection, also of the same packet.
    if (!this.#isOneRequest) return this.#begin()
    this.#listenForAbort()
    setImmediate(() => {
      if (!this.#isSettled) this.#begin()
    })
  }

  #begin(): void {
    try {
      this.#check()
    } catch (error) {
      this.#refuse(this.#toRelayError(error))
    }
  }

  get #isOneRequest(): boolean {
    return this.#context.settings.addresses.isOneRequest
  }

  #listenForAbort(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#response.onAborted(() => this.#clientOnAbort())
  }

  #check(): void {
    const malformed = checkHandshake(this.#handshake)
    if (malformed !== null) return this.#refuseByHttp(malformed)
    const { guard } = this.#context.settings
    guard?.screen(this.#handshake)
    this.#claim = this.#readClaim()
    this.#admit()
    if (guard === null) return this.#ask()
    const principal = guard.authenticate(this.#handshake)
    if (principal instanceof Promise) return this.#wait(principal, known => this.#guardOnKnown(known))
    this.#guardOnKnown(principal)
  }

  #guardOnKnown(principal: Principal): void {
    this.#principal = principal
    this.#ask()
  }

  #ask(): void {
    const claim = this.#claim
    const query = claim === null ? this.#readQuery() : this.#find(claim).query
    const accept = () => (claim === null ? this.#accept(query) : this.#acceptBack(this.#find(claim)))
    const { authorize } = this.#context.settings
    const pending = authorize?.(this.#handshake, query)
    if (pending === undefined) return accept()
    this.#wait(pending, accept)
  }

  #find(claim: ResumeQuery): Resumption {
    return this.#context.host.findResumable({ ...claim, owner: ownerOf(this.#principal) })
  }

  /** `next` may throw. `drop` gets what came too late to be used; a refusal waits for it, so that who comes again can. */
  #wait<Value>(
    pending: Promise<Value>,
    next: (value: Value) => void,
    drop: (value: Value) => Promise<void> | void = () => {},
  ): void {
    const { clock, handshakeTimeoutMs } = this.#context.settings
    this.#listenForAbort()
    if (this.#timer === null) {
      this.#timer = clock.setTimer(handshakeTimeoutMs, () =>
        this.#refuse(new RelayError('handshake_timeout')),
      )
    }
    this.#resume(pending, next, drop).catch(this.#context.settings.onFailure)
  }

  async #resume<Value>(
    pending: Promise<Value>,
    next: (value: Value) => void,
    drop: (value: Value) => Promise<void> | void,
  ): Promise<void> {
    try {
      const value = await pending
      const refusal = this.#isSettled ? null : this.#refusalOfAll()
      if (this.#isSettled || refusal !== null) await drop(value)
      if (refusal !== null) throw refusal
      if (!this.#isSettled) next(value)
    } catch (error) {
      this.#refuse(this.#toRelayError(error))
    }
  }

  #admit(): void {
    const refusal = this.#refusalOfAll()
    if (refusal !== null) throw refusal
  }

  /** Who comes back is there already. */
  #refusalOfAll(): RelayError | null {
    const { host } = this.#context
    return this.#context.refusalOfServer() ?? (this.#claim === null ? host.admit() : null)
  }

  #readClaim(): ResumeQuery | null {
    const result = readResumeQuery(this.#handshake.query)
    if (result.ok) return result.query
    throw new RelayError('invalid_request', { message: describeProblems(result.problems) })
  }

  #readQuery(): StreamQuery {
    const { settings } = this.#context
    const query = settings.guard?.streamQuery(this.#handshake) ?? this.#handshake.query
    const result = readStreamQuery(query, settings.streamDefaults)
    if (result.ok) return result.query
    throw new RelayError('invalid_request', { message: describeProblems(result.problems) })
  }

  #accept(query: StreamQuery): void {
    const { guard } = this.#context.settings
    const admitted =
      this.#principal === null ? null : (guard?.admit(this.#principal, this.#handshake, query) ?? null)
    if (!(admitted instanceof Promise)) return this.#open(query, admitted)
    this.#wait(
      admitted,
      access => this.#open(query, access),
      access => access.cancel(),
    )
  }

  #open(query: StreamQuery, access: AdmittedClient | null): void {
    const { settings, host } = this.#context
    const { headers, sessionId, remoteAddress } = this.#handshake
    const traceParent = readTraceParent(headers.get('traceparent'))
    const request = { sessionId, query, remoteAddress, ...(traceParent === null ? {} : { traceParent }) }
    const release = () => access?.release()
    const kept = query.resume ? { kept: { owner: ownerOf(this.#principal), onOver: release } } : {}
    const handlers = new ClientSocket(
      settings,
      client => host.open(client, { ...request, ...(access === null ? {} : { access }), ...kept }),
      // A session that may outlive the socket counts for as long as it lives.
      query.resume ? undefined : release,
    )
    this.#settle('accepted', 'normal')
    this.#upgrade(handlers, sessionId)
  }

  #acceptBack(resumption: Resumption): void {
    const handlers = new ClientSocket(this.#context.settings, client => resumption.attach(client))
    this.#settle('accepted', 'normal')
    this.#upgrade(handlers, resumption.sessionId)
  }

  #refuse(error: RelayError): void {
    if (this.#isSettled) return
    reportRefusal(this.#context.settings, this.#handshake, error, this.#principal)
    if (!this.#isToldBySocket(error)) return this.#refuseByHttp(error)
    this.#settle('rejected', error.code)
    this.#upgrade(new RefusedSocket(error, this.#handshake.sessionId), this.#handshake.sessionId)
  }

  #isToldBySocket(error: RelayError): boolean {
    const { handshakeErrors } = this.#context.settings
    if (!canRefuseBySocket(error) || handshakeErrors === 'http') return false
    if (handshakeErrors === 'websocket') return true
    // For a page that has no business here, no WebSocket is opened at all.
    return isFromBrowser(this.#handshake) && error.code !== 'origin_denied'
  }

  #refuseByHttp(error: RelayError): void {
    this.#settle('rejected', error.code)
    const refusal = httpRefusal(error, this.#handshake.sessionId)
    writeRefusal(this.#response, this.#isOneRequest ? { ...refusal, mustClose: true } : refusal)
  }

  #upgrade(handlers: SocketHandlers, sessionId: string): void {
    const { headers } = this.#handshake
    this.#context.upgrade(
      this.#response,
      { handlers },
      {
        key: headers.get('sec-websocket-key') ?? '',
        subprotocol: selectSubprotocol(this.#handshake),
        sessionId,
        socketContext: this.#socketContext,
      },
    )
  }

  #clientOnAbort(): void {
    if (this.#isSettled) return
    this.#settle('rejected', 'client_closed')
  }

  /** From here on the response belongs to whoever settled. */
  #settle(outcome: 'accepted' | 'rejected', code: ErrorCode): void {
    this.#isSettled = true
    this.#timer?.cancel()
    const { clock } = this.#context.settings
    reportHandshake(this.#context.settings, outcome, code, clock.monotonicMs() - this.#startedMs)
  }

  #toRelayError(error: unknown): RelayError {
    if (error instanceof RelayError) return error
    this.#context.settings.onFailure(error)
    return new RelayError('internal', { cause: error })
  }
}

/** Figures that fail are reported, and never cost a client its answer. `durationMs` is `null` for other requests. */
export function reportHandshake(
  { metrics, onFailure }: Pick<ClientServerSettings, 'metrics' | 'onFailure'>,
  outcome: 'accepted' | 'rejected',
  code: ErrorCode,
  durationMs: number | null,
): void {
  try {
    metrics.countHandshake(outcome, code)
    if (durationMs !== null) metrics.observeHandshakeSeconds(durationMs / 1000)
  } catch (error) {
    onFailure(error)
  }
}

/** Tells the log of a refusal for who asks; of any other it is not told. */
export function reportRefusal(
  { onAccessRefused, onFailure }: Pick<ClientServerSettings, 'onAccessRefused' | 'onFailure'>,
  { remoteAddress: clientAddress, sessionId }: Handshake,
  { code, detail }: RelayError,
  principal: Principal | null,
): void {
  if (!ACCESS_CODES.has(code)) return
  try {
    onAccessRefused({ sessionId, code, detail, principal: principal?.name ?? null, clientAddress })
  } catch (error) {
    onFailure(error)
  }
}
