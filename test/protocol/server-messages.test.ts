/** The shapes of what the relay says: a contract, so every member is written out. */
import t from 'tap'
import { ERROR_CODES, ERRORS, RelayError } from '../../src/errors.ts'
import {
  beginMessage,
  drainingMessage,
  endMessage,
  errorMessage,
  rolloverMessage,
  roundMs,
  warningMessage,
  WARNINGS,
  type WarningCode,
} from '../../src/protocol/server-messages.ts'

t.test('Begin, Draining and End', async t => {
  t.equal(
    beginMessage({
      sessionId: 's',
      parameters: { 'sample-rate': '16000' },
      format: 'aws',
      region: 'eu-west-1',
      expiresAtMs: Date.UTC(2026, 0, 1, 4),
      maxMessageBytes: 65_536,
      audioTimeoutMs: 14_000,
    }),
    '{"type":"Begin","session_id":"s","region":"eu-west-1","format":"aws","parameters":{"sample-rate":"16000"},"expires_at":"2026-01-01T04:00:00.000Z","limits":{"max_message_bytes":65536,"audio_timeout_ms":14000}}',
  )
  t.equal(drainingMessage(1999.6), '{"type":"Draining","reconnect_in_ms":2000}')
  t.equal(
    endMessage({ sessionId: 's', audioSeconds: 0.1 + 0.2, billedSeconds: 15, finals: 3, rollovers: 0 }),
    '{"type":"End","session_id":"s","audio_seconds":0.3,"billed_seconds":15,"finals":3,"rollovers":0}',
  )
  t.equal(
    rolloverMessage({
      reason: 'upstream_closed',
      region: 'us-east-1',
      replayedSeconds: 1.23456,
      lostSeconds: 0,
      gapMs: 99.6,
      rollovers: 2,
    }),
    '{"type":"Rollover","reason":"upstream_closed","region":"us-east-1","replayed_seconds":1.235,"lost_seconds":0,"gap_ms":100,"rollovers":2}',
  )
})

t.test('Warning: each kind has its sentence', async t => {
  for (const code of Object.keys(WARNINGS) as WarningCode[]) {
    t.strictSame(JSON.parse(warningMessage(code)), { type: 'Warning', code, message: WARNINGS[code] })
  }
  t.match(JSON.parse(warningMessage('parameter', 'x: y')), { message: 'x: y' })
})

t.test('Error: every code, with what the client needs to know', async t => {
  for (const code of ERROR_CODES) {
    const { message, retryable, retryAfterMs } = { retryAfterMs: undefined, ...ERRORS[code] }
    t.strictSame(JSON.parse(errorMessage(new RelayError(code, { detail: 'for the log' }), 'r')), {
      type: 'Error',
      code,
      message,
      retryable,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
      request_id: 'r',
    })
  }
  const error = new RelayError('overloaded', { message: 'Full.', retryAfterMs: 7, cause: new Error('x') })
  t.match(JSON.parse(errorMessage(error, 'r')), { message: 'Full.', retry_after_ms: 7 })
})

t.test('times have whole milliseconds', async t => {
  t.equal(roundMs(0.1 + 0.2), 0.3)
  t.equal(roundMs(1.2345678), 1.235)
  t.equal(roundMs(0), 0)
})
