import t from 'tap'
import { ERRORS } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import {
  classifyException,
  classifyHandshakeStatus,
  EXCEPTION_LABELS,
  exceptionName,
  readException,
  safeDetail,
} from '../../src/transcribe/exceptions.ts'

const headersOf = (headers: Record<string, string>) => (name: string) => headers[name]
const utf8 = (text: string) => new TextEncoder().encode(text)

t.test('an exception is read wherever its name and text stand', async t => {
  const rows: [Record<string, string>, Uint8Array | string, string, string][] = [
    [
      { ':exception-type': 'BadRequestException' },
      utf8('{"Message":"Example."}'),
      'BadRequestException',
      'Example.',
    ],
    [
      { ':exception-type': 'BadRequestException' },
      '{"message":"Example."}',
      'BadRequestException',
      'Example.',
    ],
    [{ ':event-type': 'ConflictException' }, '{"Message":null,"message":"x"}', 'ConflictException', 'x'],
    [
      { ':exception-type': 'LimitExceededException', ':event-type': 'TranscriptEvent' },
      '{}',
      'LimitExceededException',
      '',
    ],
    [
      {},
      '{"__type":"com.amazonaws.transcribe#AccessDeniedException","Message":"no"}',
      'AccessDeniedException',
      'no',
    ],
    [
      { ':message-type': 'error', ':error-code': 'InternalFailure', ':error-message': 'oops' },
      '',
      'InternalFailure',
      'oops',
    ],
    [{ ':message-type': 'error' }, '', 'UnknownException', ''],
    [{ ':exception-type': 'ServiceUnavailableException' }, utf8('<html>'), 'ServiceUnavailableException', ''],
    [
      { ':exception-type': 'ServiceUnavailableException' },
      Uint8Array.of(0xff),
      'ServiceUnavailableException',
      '',
    ],
    [{ ':exception-type': 'InternalFailureException' }, '"text"', 'InternalFailureException', ''],
    [
      { ':exception-type': 'InternalFailureException' },
      '{"Message":5,"__type":5}',
      'InternalFailureException',
      '',
    ],
    [{}, 'null', 'UnknownException', ''],
  ]
  for (const [headers, payload, name, message] of rows) {
    t.strictSame(readException(headersOf(headers), payload), { name, message })
  }
})

t.test('a name loses its name space, and what is no name of an error is not taken for one', async t => {
  const rows: [string | null | undefined, string][] = [
    ['com.amazonaws.transcribe#BadRequestException:http://internal/#x', 'BadRequestException'],
    ['BrandNewException', 'BrandNewException'],
    ['Throttling', 'Throttling'],
    ['AKIAIOSFODNN7EXAMPLE', 'UnknownException'],
    ['Bad\nException', 'UnknownException'],
    [`${'A'.repeat(100)}Exception`, 'UnknownException'],
    ['toString', 'UnknownException'],
    ['', 'UnknownException'],
    [null, 'UnknownException'],
    [undefined, 'UnknownException'],
  ]
  for (const [text, name] of rows) t.equal(exceptionName(text), name)
})

/** Every name the relay knows, and what it means without a known text. */
const CODES: Record<string, ErrorCode> = {
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
}

t.test('every known name has its error and its label, any other name is an error of the service', async t => {
  t.strictSame([...EXCEPTION_LABELS].sort(), [...Object.keys(CODES), 'other'].sort())
  for (const [name, code] of Object.entries(CODES)) {
    t.equal(classifyException(name, ''), code, name)
    t.equal(classifyHandshakeStatus(418, `ns#${name}:http://x`), code, 'a known name outweighs the status')
    t.equal(exceptionName(name), name)
  }
  t.equal(classifyException('BrandNewException', 'no new audio was received'), 'upstream_error')
  t.equal(classifyException('constructor', ''), 'upstream_error')
})

t.test(
  'the text decides where one name has several causes, and is shown only as far as it is known',
  async t => {
    const secret = 'AKIAIOSFODNN7EXAMPLE'
    const rows: [name: string, message: string, code: ErrorCode, shown: string][] = [
      [
        'BadRequestException',
        'Your request timed out because no new audio was received for 15 seconds.',
        'audio_timeout',
        'Your request timed out because no new audio was received for 15 seconds',
      ],
      [
        'LimitExceededException',
        'You have reached your limit of concurrent streams, 25. Try again later.',
        'upstream_throttled',
        'You have reached your limit of concurrent streams, 25',
      ],
      [
        'LimitExceededException',
        `Stream ${secret} exceeded the maximum duration.`,
        'session_expired',
        'maximum duration',
      ],
      [
        'BadRequestException',
        'Your stream is too big. Reduce the frame size and try your request again.',
        'upstream_error',
        'Your stream is too big',
      ],
      ['BadRequestException', 'The chunk is too big', 'upstream_error', 'The chunk is too big'],
      [
        'BadRequestException',
        'Unexpected WebSocket frame received.',
        'upstream_error',
        'Unexpected WebSocket frame received',
      ],
      [
        'BadRequestException',
        'A complete signal was sent without the preceding empty frame.',
        'upstream_error',
        'A complete signal was sent without the preceding empty frame',
      ],
      [
        'BadRequestException',
        `Could not decode the audio stream that you provided. ${secret}`,
        'upstream_bad_request',
        'Could not decode the audio stream that you provided',
      ],
      ['BadRequestException', `Signature expired: 2025 ${secret}`, 'upstream_auth', 'Signature expired'],
      ['InvalidSignatureException', `Signature expired: ${secret}`, 'upstream_auth', 'Signature expired'],
      [
        'BadRequestException',
        'The request signature we calculated does not match the signature you provided. Check your key.',
        'upstream_auth',
        'The request signature we calculated does not match the signature you provided',
      ],
      [
        'BadRequestException',
        'The security token included in the request is expired',
        'upstream_auth',
        'The security token included in the request is expired',
      ],
      [
        'BadRequestException',
        `Value '${secret}' at 'languageCode'`,
        'upstream_bad_request',
        'BadRequestException',
      ],
      ['InternalFailureException', 'no new audio was received', 'upstream_error', 'InternalFailureException'],
      [secret, secret, 'upstream_error', 'UnknownException'],
    ]
    for (const [name, message, code, shown] of rows) {
      t.equal(classifyException(name, message), code, message)
      t.equal(safeDetail(name, message), shown)
    }
  },
)

t.test('a refused handshake is told apart by its status, unless the name of the error says more', async t => {
  const rows: [status: number, code: ErrorCode][] = [
    [200, 'upstream_protocol'],
    [302, 'upstream_protocol'],
    [400, 'upstream_bad_request'],
    [401, 'upstream_auth'],
    [403, 'upstream_auth'],
    [404, 'upstream_error'],
    [409, 'session_conflict'],
    [418, 'upstream_error'],
    [429, 'upstream_throttled'],
    [500, 'upstream_error'],
    [502, 'upstream_unavailable'],
    [503, 'upstream_unavailable'],
    [504, 'upstream_unavailable'],
  ]
  for (const [status, code] of rows) {
    t.equal(classifyHandshakeStatus(status), code, String(status))
    t.equal(classifyHandshakeStatus(status, 'BrandNewException', 'text'), code, String(status))
    t.ok(ERRORS[code])
  }
  t.equal(classifyHandshakeStatus(400, 'ExpiredTokenException'), 'upstream_auth')
  t.equal(classifyHandshakeStatus(400, 'LimitExceededException'), 'upstream_throttled')
  t.equal(classifyHandshakeStatus(400, 'BadRequestException', 'Signature expired: 2025'), 'upstream_auth')
})
