import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { readResumeQuery } from '../../src/protocol/resume-query.ts'
import {
  ackMessage,
  drainingMessage,
  errorMessage,
  numberedMessage,
  warningMessage,
} from '../../src/protocol/server-messages.ts'

t.test('a number takes its place after the type, whatever the message holds', async t => {
  const messages = [
    warningMessage('parameter', 'a "quoted" {"type":"Transcript","seq":1} and $1'),
    drainingMessage(12),
    errorMessage(new RelayError('internal'), 'id'),
    '{"type":"Transcript","seq":7,"text":"one \\"seq\\":2","words":[{"seq":3}]}',
    '{"type":"Transcript","Transcript":{"Results":[{"seq":4}]}}',
  ]
  for (const [index, message] of messages.entries()) {
    const text = numberedMessage(message, index + 100)
    t.strictSame(JSON.parse(text), { ...(JSON.parse(message) as object), seq: index + 100 })
    t.ok(/^\{"type":"\w+","seq":\d+,/.test(text), 'where a client finds it at once')
  }
  t.strictSame(JSON.parse(ackMessage({ bytes: 5, seconds: null })), { type: 'Ack', audio_bytes: 5 })
})

t.test('a query that resumes names a token and a message; the rest is not read', async t => {
  t.strictSame(readResumeQuery(''), { ok: true, query: null })
  t.strictSame(readResumeQuery('seq=4&words=true'), { ok: true, query: null })
  t.strictSame(readResumeQuery('x=resume_token'), { ok: true, query: null })
  t.strictSame(readResumeQuery('sample-rate=nonsense&resume_token=a.b&seq=12'), {
    ok: true,
    query: { token: 'a.b', seq: 12 },
  })
  for (const seq of ['0', '-1', '1.5', '1e3', '', 'x', '9'.repeat(16)]) {
    t.match(readResumeQuery(`resume_token=a&seq=${seq}`), {
      ok: false,
      problems: [{ parameter: 'seq', value: seq }],
    })
  }
  const secret = 's'.repeat(201)
  const refused = readResumeQuery(`resume_token=${secret}&seq=1`)
  t.match(refused, { ok: false, problems: [{ parameter: 'resume_token', value: null }] })
  t.notMatch(JSON.stringify(refused), secret, 'a token is in no message')
})
