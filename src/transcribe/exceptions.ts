/**
 * The exceptions of the service: how to read one, which error of the catalogue it is, and what of it may be shown.
 *
 * An exception comes inside the stream (after a 101) or as the answer to the handshake. It is classified by its name; the
 * text, which is free and unstable, decides only where one name stands for several causes. No text of the service is
 * passed on unless it is one of the known sentences, because it may quote the request: see `safeDetail`.
 *
 * Source: API Reference, "StartStreamTranscription" and "Common errors"; Developer Guide, "Setting up a WebSocket stream" and
 * "Handling LimitExceededException errors"; texts as users of the service report them.
 */
import type { ErrorCode } from '../errors.ts'

export interface ServiceException {
  /** Name without name space, letters only: fit to be logged. `UnknownException` when there is none. */
  readonly name: string
  /** Free text of the service, possibly empty. Not to be shown: see `safeDetail`. */
  readonly message: string
}

/** A header of an event-stream message by name; `undefined` when it is missing or not text. */
export type HeaderLookup = (name: string) => string | undefined

const CODES_BY_NAME = {
  BadRequestException: 'upstream_bad_request',
  ValidationException: 'upstream_bad_request',
  ValidationError: 'upstream_bad_request',
  SerializationException: 'upstream_bad_request',

  LimitExceededException: 'upstream_throttled',
  ThrottlingException: 'upstream_throttled',
  Throttling: 'upstream_throttled',
  TooManyRequestsException: 'upstream_throttled',
  RequestLimitExceeded: 'upstream_throttled',

  ConflictException: 'session_conflict',

  InternalFailureException: 'upstream_error',
  InternalFailure: 'upstream_error',
  InternalServerException: 'upstream_error',
  ResourceNotFoundException: 'upstream_error',

  ServiceUnavailableException: 'upstream_unavailable',
  ServiceUnavailable: 'upstream_unavailable',

  UnrecognizedClientException: 'upstream_auth',
  InvalidClientTokenId: 'upstream_auth',
  AccessDeniedException: 'upstream_auth',
  AccessDenied: 'upstream_auth',
  NotAuthorized: 'upstream_auth',
  OptInRequired: 'upstream_auth',
  InvalidSignatureException: 'upstream_auth',
  SignatureDoesNotMatch: 'upstream_auth',
  IncompleteSignature: 'upstream_auth',
  IncompleteSignatureException: 'upstream_auth',
  MissingAuthenticationToken: 'upstream_auth',
  MissingAuthenticationTokenException: 'upstream_auth',
  ExpiredToken: 'upstream_auth',
  ExpiredTokenException: 'upstream_auth',
  RequestExpired: 'upstream_auth',
} as const satisfies Record<string, ErrorCode>

type ExceptionLabel = keyof typeof CODES_BY_NAME | 'other'

/** The closed list of values of a metric's label `exception`. */
export const EXCEPTION_LABELS: readonly ExceptionLabel[] = Object.freeze([
  ...(Object.keys(CODES_BY_NAME) as (keyof typeof CODES_BY_NAME)[]),
  'other' as const,
])

const UNKNOWN_EXCEPTION = 'UnknownException'

/**
 * The sentences of the service that hold nothing of the request but a number. `code` replaces the code of the names in
 * `names`; without it the sentence changes nothing.
 */
interface KnownMessage {
  readonly pattern: RegExp
  readonly names?: readonly string[]
  readonly code?: ErrorCode
}

const BAD_REQUEST = ['BadRequestException', 'ValidationException', 'ValidationError'] as const

const KNOWN_MESSAGES: readonly KnownMessage[] = [
  {
    pattern: /Your request timed out because no new audio was received(?: for \d{1,6} seconds)?/i,
    names: BAD_REQUEST,
    code: 'audio_timeout',
  },
  { pattern: /You have reached your limit of concurrent streams(?:, \d{1,6})?/i },
  // The relay cuts the audio and closes the stream, so these are its fault, and a client may well try again.
  { pattern: /Your stream is too big/i, names: BAD_REQUEST, code: 'upstream_error' },
  { pattern: /The chunk is too big/i, names: BAD_REQUEST, code: 'upstream_error' },
  { pattern: /Unexpected WebSocket frame received/i, names: BAD_REQUEST, code: 'upstream_error' },
  {
    pattern: /A complete signal was sent without the preceding empty frame/i,
    names: BAD_REQUEST,
    code: 'upstream_error',
  },
  { pattern: /Could not decode the audio stream that you provided/i },
  { pattern: /Signature expired/i, names: BAD_REQUEST, code: 'upstream_auth' },
  {
    pattern: /The request signature we calculated does not match the signature you provided/i,
    names: BAD_REQUEST,
    code: 'upstream_auth',
  },
  {
    pattern: /The security token included in the request is (?:expired|invalid)/i,
    names: BAD_REQUEST,
    code: 'upstream_auth',
  },
  // One name for a full quota and for a stream that is too old; the exact wording of the latter is not known.
  {
    pattern: /maximum (?:session |stream |streaming )?duration/i,
    names: ['LimitExceededException'],
    code: 'session_expired',
  },
]

/**
 * Reads an event-stream message whose `:message-type` is `exception` or `error`. Never throws. The name is looked for in
 * `:exception-type`, `:event-type` and the body's `__type`, the text in the body's `Message` and `message`; for `error` they
 * are `:error-code` and `:error-message`. A refused handshake reads the same way, with `x-amzn-errortype` looked up for
 * `:exception-type`.
 */
export function readException(header: HeaderLookup, payload: Uint8Array | string): ServiceException {
  if (header(':message-type') === 'error') {
    return { name: exceptionName(header(':error-code')), message: header(':error-message') ?? '' }
  }
  const body = readBody(payload)
  return {
    name: exceptionName(header(':exception-type') ?? header(':event-type') ?? body.type),
    message: body.message,
  }
}

/**
 * The bare name out of a header or body of the service (`x-amzn-errortype`, `__type`):
 * `com.amazonaws.transcribe#BadRequestException:http://…` → `BadRequestException`. What does not look like the name of an
 * error becomes `UnknownException`.
 */
export function exceptionName(text: string | null | undefined): string {
  const name = (text ?? '').replace(/:.*$/s, '').replace(/^.*#/s, '')
  const looksRight = /^[A-Z][A-Za-z]{2,60}(?:Exception|Error|Failure|Fault)$/.test(name)
  return isKnownName(name) || looksRight ? name : UNKNOWN_EXCEPTION
}

/** The error of the catalogue for an exception in the stream. */
export function classifyException(name: string, message: string): ErrorCode {
  if (!isKnownName(name)) return 'upstream_error'
  const known = KNOWN_MESSAGES.find(
    ({ pattern, names }) => names?.includes(name) === true && pattern.test(message),
  )
  return known?.code ?? CODES_BY_NAME[name]
}

/**
 * The error of the catalogue for a handshake that was answered with anything but 101. A known error name (header
 * `x-amzn-errortype`) outweighs the status.
 */
export function classifyHandshakeStatus(
  status: number,
  errorName: string | null = null,
  message = '',
): ErrorCode {
  const name = exceptionName(errorName)
  if (isKnownName(name)) return classifyException(name, message)
  switch (status) {
    case 400:
      return 'upstream_bad_request'
    case 401:
    case 403:
      return 'upstream_auth'
    case 409:
      return 'session_conflict'
    case 429:
      return 'upstream_throttled'
    case 502:
    case 503:
    case 504:
      return 'upstream_unavailable'
    default:
      // 2xx and 3xx come from something else than the service, such as a proxy's login page.
      return status >= 200 && status < 400 ? 'upstream_protocol' : 'upstream_error'
  }
}

/**
 * What may be logged and shown of an exception: the part of its text that is a known sentence, else its name. Everything
 * else could quote a key, a token or the URL.
 */
export function safeDetail(name: string, message: string): string {
  for (const { pattern } of KNOWN_MESSAGES) {
    const sentence = pattern.exec(message)?.[0]
    if (sentence !== undefined) return sentence
  }
  return exceptionName(name)
}

function readBody(payload: Uint8Array | string): { type: string | null; message: string } {
  const text = typeof payload === 'string' ? payload : new TextDecoder().decode(payload)
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    // An exception without a readable text is still an exception: its name counts.
    body = null
  }
  if (typeof body !== 'object' || body === null) return { type: null, message: '' }
  const { __type: type, Message, message } = body as Readonly<Record<string, unknown>>
  const sentence = Message ?? message
  return {
    type: typeof type === 'string' ? type : null,
    message: typeof sentence === 'string' ? sentence : '',
  }
}

function isKnownName(name: string): name is keyof typeof CODES_BY_NAME {
  return Object.hasOwn(CODES_BY_NAME, name)
}
