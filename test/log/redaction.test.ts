import { inspect } from 'node:util'
import { anything, assert, dictionary, property, string } from 'fast-check'
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { describeError, redactFields, redactText } from '../../src/log/redaction.ts'

/** What must never be seen again. */
const CANARY = 'c4n4ry-wJalrXUtnFEMI-K7MDENG'

const PRESIGNED = `wss://transcribestreaming.eu-central-1.amazonaws.com:8443/stream-transcription-websocket?X-Amz-Credential=${CANARY}&X-Amz-Signature=${CANARY}`

t.test('no secret comes through, by the name of its field or by its form', async t => {
  const hidden: Record<string, unknown>[] = [
    { authorization: CANARY },
    { Authorization: CANARY },
    { token: CANARY },
    { session_token: CANARY },
    { secretAccessKey: CANARY },
    { AWS_SECRET_ACCESS_KEY: CANARY },
    { 'x-amz-security-token': CANARY },
    { headers: { Cookie: CANARY, 'set-cookie': [CANARY] } },
    { a: { b: { c: { token: CANARY } } } },
    { a: { b: { c: { d: { e: { note: CANARY } } } } } },
    { list: [{ url: CANARY }] },
    { credentials: { accessKeyId: CANARY } },
    { note: `dial ${PRESIGNED} failed` },
    { note: `"${PRESIGNED}"` },
    { note: `GET /stream?x=1&X-Amz-Security-Token=${CANARY}&y=2` },
    { note: `https://user:${CANARY}@proxy.example/` },
    { note: `https://user:${CANARY}@@proxy.example/` },
    { note: `authorization: Bearer ${CANARY}` },
    { note: `{"X-Amz-Signature":"${CANARY}"}` },
    { [`https://host/?${CANARY}`]: 1 },
    { pcm: Buffer.from(CANARY), frame: Buffer.from(CANARY), words: new TextEncoder().encode(CANARY) },
    { text: CANARY, transcript: { words: CANARY } },
    { error: new Error(`connect ${PRESIGNED}`, { cause: new Error(CANARY) }) },
    { error: new RelayError('upstream_unavailable', { detail: PRESIGNED, cause: new Error(CANARY) }) },
    { run: () => CANARY, symbol: Symbol(CANARY) },
  ]
  for (const fields of hidden) {
    const printed = JSON.stringify(redactFields(fields))
    t.notOk(printed.includes(CANARY), inspect(fields).slice(0, 100).replaceAll(CANARY, '…'))
  }
  t.notMatch(redactText('key AKIAIOSFODNN7EXAMPLE of eyJhbGciOi.eyJzdWIi.sig'), /AKIA|eyJ/)
})

t.test('what is harmless stays as it is', async t => {
  const date = new Date(0)
  t.same(
    redactFields({
      session_id: 'a',
      bytes: 12,
      open: true,
      none: null,
      at: date,
      never: new Date(Number.NaN),
      big: 12n,
      list: ['x', { y: 1 }],
      host: 'wss://host:8443/path',
    }),
    {
      session_id: 'a',
      bytes: 12,
      open: true,
      none: null,
      at: '1970-01-01T00:00:00.000Z',
      never: null,
      big: '12',
      list: ['x', { y: 1 }],
      host: 'wss://host:8443/path',
    },
  )
  t.equal(
    redactText(`dial ${PRESIGNED} failed`).includes('/stream-transcription-websocket?[redacted] failed'),
    true,
  )
})

t.test(
  'an error of the catalogue is told by code, another by name and stack, a cause by name and code',
  async t => {
    const cause = Object.assign(new Error(`getaddrinfo ${CANARY}`), { code: 'ENOTFOUND' })
    t.same(describeError(new RelayError('upstream_unavailable', { detail: 'dns', cause })), {
      name: 'RelayError',
      code: 'upstream_unavailable',
      detail: 'dns',
      message: 'Amazon Transcribe cannot be reached.',
      cause: { name: 'Error', code: 'ENOTFOUND' },
    })
    t.same(Object.keys(describeError(new RelayError('internal'))), ['name', 'code', 'message'])
    const bug = new TypeError('x is not a function')
    t.match(describeError(bug), {
      name: 'TypeError',
      message: 'x is not a function',
      stack: /redaction\.test/,
    })
    t.notOk('code' in describeError(Object.assign(new Error('odd'), { code: 'has blanks' })))
    delete bug.stack
    t.equal(describeError(bug)['stack'], '')
  },
)

t.test('everything has a bound, whatever is logged', async t => {
  const circle: Record<string, unknown> = {}
  circle['again'] = circle
  t.ok(JSON.stringify(redactFields(circle)).length < 200)
  t.ok(redactText('x'.repeat(1e6)).length < 2100)
  const wide = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`k${index}`, index]))
  t.equal(Object.keys(redactFields(wide)).length, 64)
  assert(
    property(dictionary(string(), anything()), fields => {
      JSON.parse(JSON.stringify(redactFields(fields)))
    }),
    { numRuns: 300 },
  )
})

t.test('no text makes the patterns slow', async t => {
  const nasty = [
    'wss://'.repeat(400),
    `https://${'a?'.repeat(1200)}`,
    '@'.repeat(2000),
    `a://${'b'.repeat(2000)}`,
    'eyJ'.repeat(700),
  ]
  for (const text of nasty) {
    const startMs = performance.now()
    redactText(text)
    t.ok(performance.now() - startMs < 200)
  }
})
