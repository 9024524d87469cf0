/**
 * `POST /v1/tokens`: a server that has an API key asks for a short-lived token for one of its browsers.
 *
 *     201 {"token": "…", "expires_at": "2026-01-01T00:01:00.000Z", "expires_in_seconds": 60}
 *
 * Refused like a handshake of a client that is no browser: status, and `Error` as JSON body.
 */
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import type { Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ClientGuard } from './auth/principal.ts'
import type { Handshake } from './handshake.ts'
import { readHandshake } from './handshake.ts'
import type { ClientServerSettings } from './options.ts'
import { answerAlone, httpRefusal, writeRefusal } from './refusal.ts'
import { reportHandshake, reportRefusal } from './upgrade.ts'

export const TOKENS_PATH = '/v1/tokens'

/** Grants with every list full would be larger; a body is read into memory before anybody is known. */
const MAX_BODY_BYTES = 8 * 1024

/** One request for a token. Answered exactly once, or aborted. */
export class TokenRequest {
  readonly #settings: ClientServerSettings
  readonly #guard: ClientGuard
  readonly #response: HttpResponse
  readonly #handshake: Handshake
  readonly #pieces: Buffer[] = []
  #bytes = 0
  #timer: Timer | null = null
  #isSettled = false

  constructor(
    settings: ClientServerSettings,
    guard: ClientGuard,
    response: HttpResponse,
    request: HttpRequest,
  ) {
    this.#settings = settings
    this.#guard = guard
    this.#response = response
    this.#handshake = readHandshake(response, request, settings.addresses)
  }

  /** `refusal`: what the server says to everybody now. Never throws. */
  start(refusal: RelayError | null): void {
    const { clock, handshakeTimeoutMs } = this.#settings
    this.#response.onAborted(() => this.#settle())
    try {
      if (refusal !== null) throw refusal
      if (this.#hasTwoLengths) {
        throw new RelayError('invalid_request', { message: 'Content-Length must be given once.' })
      }
      this.#guard.screen(this.#handshake)
    } catch (error) {
      this.#refuse(error)
      return
    }
    this.#timer = clock.setTimer(handshakeTimeoutMs, () => this.#refuse(new RelayError('handshake_timeout')))
    this.#response.onData((piece, isLast) => this.#bodyOnData(piece, isLast))
  }

  #bodyOnData(piece: ArrayBuffer, isLast: boolean): void {
    if (this.#isSettled) return
    this.#bytes += piece.byteLength
    if (this.#bytes > MAX_BODY_BYTES) {
      const message = `The body may have ${MAX_BODY_BYTES} bytes.`
      this.#refuse(new RelayError('invalid_request', { message }))
      return
    }
    // The native buffer is valid during the call only.
    this.#pieces.push(Buffer.from(new Uint8Array(piece)))
    if (isLast) this.#issue().catch(this.#settings.onFailure)
  }

  async #issue(): Promise<void> {
    try {
      const body = Buffer.concat(this.#pieces).toString('utf8')
      const issued = await this.#guard.issueToken(this.#handshake, body)
      if (this.#isSettled) return
      this.#settle()
      this.#response.cork(() => {
        this.#response.writeStatus('201 Created')
        this.#response.writeHeader('Content-Type', 'application/json')
        this.#response.writeHeader('Cache-Control', 'no-store')
        this.#response.end(JSON.stringify(issued), this.#settings.addresses.isOneRequest)
      })
    } catch (error) {
      this.#refuse(error)
    }
  }

  #refuse(reason: unknown): void {
    if (this.#isSettled) return
    this.#settle()
    if (!(reason instanceof RelayError)) this.#settings.onFailure(reason)
    const error = reason instanceof RelayError ? reason : new RelayError('internal', { cause: reason })
    reportRefusal(this.#settings, this.#handshake, error, null)
    reportHandshake(this.#settings, 'rejected', error.code, null)
    const refusal = httpRefusal(error, this.#handshake.sessionId)
    if (this.#settings.addresses.isOneRequest || this.#hasTwoLengths) answerAlone(this.#response, refusal)
    else writeRefusal(this.#response, refusal)
  }

  /** A proxy in front may believe the other one, and what follows would be a request here (RFC 9112 §6.3). */
  get #hasTwoLengths(): boolean {
    return this.#handshake.headers.get('content-length')?.includes(',') ?? false
  }

  #settle(): void {
    this.#isSettled = true
    this.#timer?.cancel()
  }
}
