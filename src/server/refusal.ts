/**
 * How a request is refused: as an HTTP answer, or, for a browser, as an `Error` message and a Close frame on a socket that
 * was opened for nothing else.
 */
import { STATUS_CODES } from 'node:http'
import type { HttpResponse } from 'uWebSockets.js'
import type { ErrorCode, RelayError } from '../errors.ts'
import { errorMessage } from '../protocol/server-messages.ts'
import type { NativeSocket, SocketHandlers } from './client-socket.ts'

const CHALLENGE = 'Bearer realm="transcribe-relay"'

export interface HttpRefusal {
  /** Status line: code and phrase. */
  readonly status: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** JSON, the `Error` message of the protocol. */
  readonly body: string
  /** Whether the connection ends with this answer. */
  readonly mustClose: boolean
}

/** `status` replaces that of the catalogue. */
export function httpRefusal(error: RelayError, requestId: string, status = httpStatusOf(error)): HttpRefusal {
  const headers: [string, string][] = [
    ['Content-Type', 'application/json'],
    ['Cache-Control', 'no-store'],
  ]
  if (error.retryAfterMs !== null) {
    // Whole seconds (RFC 9110 §10.2.3), never less than what was asked for.
    headers.push(['Retry-After', String(Math.ceil(error.retryAfterMs / 1000))])
  }
  if (status === 426) headers.push(['Upgrade', 'websocket'], ['Sec-WebSocket-Version', '13'])
  if (status === 405) headers.push(['Allow', 'GET'])
  const challenge = challengeOf(error.code)
  if (challenge !== null && status === 401) headers.push(['WWW-Authenticate', challenge])
  return {
    status: `${status} ${STATUS_CODES[status]}`,
    headers,
    body: errorMessage(error, requestId),
    mustClose: error.code === 'draining',
  }
}

/** What the answer 401 has to say (RFC 6750 §3): without an error where nothing was presented. */
function challengeOf(code: ErrorCode): string | null {
  switch (code) {
    case 'token_missing':
      return CHALLENGE
    case 'token_invalid':
      return `${CHALLENGE}, error="invalid_token"`
    case 'token_expired':
      return `${CHALLENGE}, error="invalid_token", error_description="The token has expired"`
    default:
      return null
  }
}

/** The response must not have been answered or aborted. */
export function writeRefusal(response: HttpResponse, refusal: HttpRefusal, hasBody = true): void {
  response.cork(() => {
    response.writeStatus(refusal.status)
    for (const [name, value] of refusal.headers) response.writeHeader(name, value)
    if (hasBody) return response.end(refusal.body, refusal.mustClose)
    // To write the header would be a word only: the library closes when it is told so here.
    if (refusal.mustClose) return response.end('', true)
    // Without arguments: any length given here, `undefined` too, counts as promised and not sent, and for a response that
    // is not complete when the handler returns the native library ends the process.
    return response.endWithoutBody()
  })
}

/**
 * The same, as the only answer of its connection. Not within the handler of the request: until it is answered the native
 * library takes no other, also of those that came in the same packet.
 */
export function answerAlone(response: HttpResponse, refusal: HttpRefusal, hasBody = true): void {
  let isAborted = false
  response.onAborted(() => {
    isAborted = true
  })
  setImmediate(() => {
    if (!isAborted) writeRefusal(response, { ...refusal, mustClose: true }, hasBody)
  })
}

/** Whether the error has a Close frame at all. One without is told by HTTP, whoever asks. */
export function canRefuseBySocket(error: RelayError): boolean {
  return error.definition.closeCode !== null
}

/** The handlers of a socket that was opened to be told why not. Whatever the client says is not heard. */
export class RefusedSocket implements SocketHandlers {
  readonly #error: RelayError
  readonly #requestId: string

  constructor(error: RelayError, requestId: string) {
    this.#error = error
    this.#requestId = requestId
  }

  socketOnOpen(socket: NativeSocket | null): void {
    // Both fit into the empty socket buffer, so the Close frame cannot be dropped.
    socket?.send(errorMessage(this.#error, this.#requestId), false, false)
    socket?.end(this.#error.definition.closeCode ?? 1011, this.#error.code)
  }

  socketOnMessage(): void {}
  socketOnPing(): void {}
  socketOnDrain(): void {}
  socketOnClose(): void {}
}

/** An error that the catalogue does not foresee before the upgrade still has to be answered. */
function httpStatusOf(error: RelayError): number {
  const { httpStatus, class: errorClass } = error.definition
  return httpStatus ?? (errorClass === 'client_error' ? 400 : 503)
}
