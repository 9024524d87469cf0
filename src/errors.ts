/**
 * The catalogue of everything that can end a session or refuse a request.
 *
 * A code is a contract: it is the `code` of an `Error` message, the reason of the Close frame, the label of the
 * metrics and a heading of docs/errors.md. The rule for a client is in the close code: 44xx stop; 45xx and
 * 1001/1006/1011/1012/1013 retry with back-off; 1000 done. Nothing here ever carries a URL, a key or speech.
 */

/** Whose doing it was; the label `class` of the metrics. */
export type ErrorClass = 'ok' | 'client_gone' | 'client_error' | 'server_error' | 'upstream_error'

export interface ErrorDefinition {
  /** WebSocket close code (RFC 6455 §7.4; 44xx and 45xx mirror HTTP). `null`: the socket is gone, nothing is sent. */
  readonly closeCode: number | null
  /** HTTP status when it happens before the upgrade; `null` when it cannot. */
  readonly httpStatus: number | null
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean
  /** Least wait before a retry, milliseconds; absent where the client's own back-off is enough. */
  readonly retryAfterMs?: number
  readonly class: ErrorClass
  /** What a person reads. It may change; `code` may not. */
  readonly message: string
}

const definitions = {
  // Ordinary ends
  normal: ok(1000, 'All audio was transcribed and every final result was delivered.'),
  client_closed: ok(1000, 'The client closed the connection.'),
  session_expired: {
    closeCode: 4440,
    httpStatus: null,
    retryable: true,
    class: 'ok',
    message: 'The session reached its maximum duration. Open a new one.',
  },
  drain_deadline: {
    closeCode: 1012,
    httpStatus: null,
    retryable: true,
    class: 'ok',
    message: 'The relay is restarting. Reconnect.',
  },
  resume_taken: {
    closeCode: 4409,
    httpStatus: null,
    retryable: false,
    class: 'ok',
    message: 'The session goes on over another connection.',
  },

  // The client's socket went away
  tcp_fin: gone('The client ended the connection without a Close frame.'),
  tcp_reset: gone('The connection to the client was reset.'),
  ping_timeout: gone('The client stopped answering.'),
  invalid_frame: dropped('The client sent an invalid WebSocket frame.'),
  invalid_utf8: dropped('The client sent text that is not UTF-8.'),
  invalid_close: dropped('The client sent an invalid Close frame.'),
  too_big_native: dropped('The client sent a message above the hard limit of the socket.'),

  // The client's doing
  invalid_request: client(4400, 400, 'The request is not valid.'),
  token_missing: client(4401, 401, 'A token is needed, and there is none.'),
  token_invalid: client(4401, 401, 'The token is not valid.'),
  token_expired: client(4401, 401, 'The token has expired.'),
  token_revoked: client(4401, null, 'The key of this session is no longer valid.'),
  origin_denied: client(4403, 403, 'Pages of this origin may not connect.'),
  forbidden: client(4403, 403, 'This is not allowed with this token.'),
  not_found: client(4404, 404, 'There is nothing at this path.'),
  upgrade_required: client(4426, 426, 'This path speaks WebSocket, version 13.'),
  unsupported_data: client(
    1003,
    null,
    'Binary messages are audio and text messages are JSON; this was neither.',
  ),
  message_too_big: client(1009, null, 'The message is larger than the limit.'),
  bad_control_message: client(4400, null, 'The text message is not a valid control message.'),
  upstream_bad_request: client(4400, null, 'Amazon Transcribe refused the request or the audio.'),
  configure_timeout: client(4408, null, 'The Configure message did not arrive in time.'),
  audio_timeout: {
    ...client(4408, null, 'No audio arrived for too long. Reconnect when there is audio.'),
    retryable: true,
  },
  session_conflict: client(4409, null, 'Another stream uses the same session-id.'),
  unsupported_audio: client(4415, null, 'The audio is not what the parameters say.'),
  audio_too_fast: client(4429, null, 'Audio arrives faster than real time allows.'),
  rate_limited: {
    ...client(4429, 429, 'Messages or connections arrive too fast.'),
    retryable: true,
    retryAfterMs: 1000,
  },
  session_limit: {
    ...client(4429, 429, 'The sessions or minutes of this client are used up.'),
    retryable: true,
    retryAfterMs: 5000,
  },
  resume_not_found: client(
    4404,
    404,
    'There is no such session to resume here: it has ended, its time is over, or another relay has it.',
  ),
  resume_gap: client(4410, 410, 'Messages that the client has not seen are not kept any more.'),
  slow_consumer: client(4430, null, 'The client reads more slowly than results arrive.'),

  // The relay's doing
  internal: server(1011, 500, 'The relay failed.'),
  overloaded: { ...server(1013, 503, 'The relay is full. Retry shortly.'), retryAfterMs: 2000 },
  not_ready: { ...server(1013, 503, 'The relay is not ready. Retry shortly.'), retryAfterMs: 5000 },
  draining: { ...server(1012, 503, 'The relay is going away. Reconnect.'), retryAfterMs: 1000 },
  resume_elsewhere: {
    ...server(1013, 503, 'Another process of this relay has the session. Connect again.'),
    retryAfterMs: 100,
  },
  handshake_timeout: {
    ...server(1013, 503, 'The handshake took too long. Retry shortly.'),
    retryAfterMs: 2000,
  },
  auth_unavailable: {
    ...server(1013, 503, 'Tokens cannot be checked right now. Retry shortly.'),
    retryAfterMs: 2000,
  },

  // Amazon Transcribe's doing, or the way to it
  upstream_error: upstream(4502, 'Amazon Transcribe reported an error.'),
  upstream_protocol: upstream(4502, 'Amazon Transcribe sent something that is not its protocol.'),
  upstream_closed: upstream(4502, 'Amazon Transcribe ended the stream early.'),
  upstream_auth: upstream(4502, 'Amazon Transcribe did not accept the credentials of the relay.'),
  upstream_unavailable: upstream(4503, 'Amazon Transcribe cannot be reached.'),
  upstream_timeout: upstream(4504, 'Amazon Transcribe did not answer in time.'),
  upstream_stalled: upstream(4504, 'Amazon Transcribe stopped reading the audio.'),
  flush_timeout: upstream(4504, 'The last results did not arrive in time.'),
  upstream_throttled: {
    ...upstream(4529, 'Transcription capacity is exhausted. Retry shortly.'),
    retryAfterMs: 2000,
  },
} satisfies Record<string, ErrorDefinition>

export type ErrorCode = keyof typeof definitions

export const ERRORS: Readonly<Record<ErrorCode, ErrorDefinition>> = Object.freeze(definitions)

export const ERROR_CODES: readonly ErrorCode[] = Object.freeze(Object.keys(definitions) as ErrorCode[])

export interface RelayErrorOptions {
  /** Replaces the catalogue's message: names the field, the value and the rule. Never a secret, never speech. */
  readonly message?: string
  /** For the log only: short, bounded, no secret. The upstream's exception name, a DNS code, … */
  readonly detail?: string
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

/** An error of the catalogue. `code` is what to match on. */
export class RelayError extends Error {
  override readonly name = 'RelayError'
  readonly code: ErrorCode
  readonly detail: string | null
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, options: RelayErrorOptions = {}) {
    const definition = ERRORS[code]
    super(
      options.message ?? definition.message,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.detail = options.detail ?? null
    this.retryAfterMs = options.retryAfterMs ?? definition.retryAfterMs ?? null
  }

  get definition(): ErrorDefinition {
    return ERRORS[this.code]
  }
}

function ok(closeCode: number, message: string): ErrorDefinition {
  return { closeCode, httpStatus: null, retryable: false, class: 'ok', message }
}

function gone(message: string): ErrorDefinition {
  return { closeCode: null, httpStatus: null, retryable: true, class: 'client_gone', message }
}

/** The native socket drops the connection by itself: the client sees 1006. */
function dropped(message: string): ErrorDefinition {
  return { closeCode: null, httpStatus: null, retryable: false, class: 'client_error', message }
}

function client(closeCode: number, httpStatus: number | null, message: string): ErrorDefinition {
  return { closeCode, httpStatus, retryable: false, class: 'client_error', message }
}

function server(closeCode: number, httpStatus: number, message: string): ErrorDefinition {
  return { closeCode, httpStatus, retryable: true, class: 'server_error', message }
}

function upstream(closeCode: number, message: string): ErrorDefinition {
  return { closeCode, httpStatus: null, retryable: true, class: 'upstream_error', message }
}
