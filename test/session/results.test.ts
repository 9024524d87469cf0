/** The way of the results through a whole session: which go out, in which shape, and what a slow client gets. */
import t from 'tap'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import {
  eventMessage,
  exceptionMessage,
  MemoryClient,
  resultOf,
  transcriptJson,
  transcriptMessage,
} from '../support/memory-ports.ts'
import { audioOf, LIMITS, NO_ROLLOVER, queryOf, speak, startSession } from '../support/session-harness.ts'

const REDACTION = 'content-redaction-type=PII'

t.test('format=aws passes the bytes on as they came, one type added', async t => {
  const json =
    '{ "Transcript" : {"Results":[ {"IsPartial":false,"EndTime":1.50,"New":[1e2],"Alternatives":[{"Transcript":"grüß 你好 😀"}]},{"IsPartial":true}] } , "More":1}'
  const harness = startSession('format=aws').opened()
  harness.dial.receive(transcriptJson(json))
  t.equal(harness.client.texts[1], `{"type":"Transcript",${json.slice(1)}`)
  t.strictSame(harness.client.messages[1], { type: 'Transcript', ...(JSON.parse(json) as object) })
})

t.test('partial results go out when they are wanted, and safe', async t => {
  const both = [resultOf('hel', 0, 0.5, true), resultOf('hello', 0, 1), resultOf('wor', 1, 1.5, true)]
  const texts = ['hel', 'hello', 'wor']
  const cases: [query: string, allow: boolean, expected: string[], withheld: number][] = [
    ['', false, texts, 0],
    ['partials=false', false, ['hello'], 2],
    [REDACTION, false, ['hello'], 2],
    [REDACTION, true, texts, 0],
    [`${REDACTION}&partials=false`, true, ['hello'], 2],
    ['content-identification-type=PII', false, texts, 0],
  ]
  for (const [query, allowUnredactedPartials, expected, withheld] of cases) {
    const simple = startSession(query, { allowUnredactedPartials }).opened()
    simple.dial.receive(transcriptMessage(both))
    t.strictSame(
      simple.client.ofType('Transcript').map(({ text }) => text),
      expected,
      query,
    )
    t.strictSame(
      simple.client.ofType('Transcript').map(({ seq }) => seq),
      expected.map((_, index) => index + 1),
    )
    t.strictSame(simple.client.together, expected.length > 1 ? [expected.length] : [], 'in one go')
    t.equal(simple.metrics.clientSentBytes, Buffer.byteLength(simple.client.texts.join('')))
    t.equal(simple.metrics.partialsWithheld, withheld)
    t.equal(simple.metrics.resultsPartial, 2)
    t.equal(simple.metrics.resultsFinal, 1)

    const aws = startSession(`${query}&format=aws`, { allowUnredactedPartials }).opened()
    aws.dial.receive(transcriptMessage(both))
    t.strictSame(aws.client.ofType('Transcript'), [
      {
        type: 'Transcript',
        Transcript: { Results: both.filter((_, index) => expected.includes(texts[index] ?? '')) },
      },
    ])
  }
  const none = startSession('partials=false&format=aws').opened()
  none.dial.receive(transcriptMessage([resultOf('hel', 0, 0.5, true)]))
  none.dial.receive(transcriptMessage([]))
  t.strictSame(none.client.types, ['Begin'])
})

t.test('a slow client loses partials first and finals never, and is told before it is closed', async t => {
  const harness = startSession().opened()
  const { client, dial, metrics } = harness
  client.sendResult = 'buffered'
  client.buffered = LIMITS.clientPartialsBufferBytes
  dial.receive(transcriptMessage([resultOf('one', 0, 0.5, true)]))
  client.buffered += 1
  dial.receive(transcriptMessage([resultOf('two', 0, 0.6, true), resultOf('three', 0, 1)]))
  t.strictSame(
    client.ofType('Transcript').map(({ text }) => text),
    ['one', 'three'],
  )
  t.equal(metrics.partialsDropped, 1)
  client.buffered = LIMITS.clientSoftBufferBytes
  dial.receive(transcriptMessage([resultOf('four', 1, 2)]))
  t.equal(client.closed, null, 'at the limit')
  client.buffered = LIMITS.clientSoftBufferBytes + 1
  t.equal(harness.session.clientBufferedBytes, client.buffered)
  t.strictSame(harness.registry.buffered('client'), { sum: client.buffered, max: client.buffered })
  dial.receive(transcriptMessage([resultOf('five', 2, 3), resultOf('six', 3, 4)]))
  t.strictSame(
    client.messages.slice(-3).map(({ type, text, code }) => text ?? `${type} ${String(code)}`),
    ['five', 'six', 'Error slow_consumer'],
  )
  t.strictSame(client.closed, { code: 4430, reason: 'slow_consumer' })
  t.equal(dial.upstream.ended, 'close')
})

t.test('a lost message ends the session, whichever it was', async t => {
  const lose: Readonly<Record<string, (harness: ReturnType<typeof startSession>) => void>> = {
    Begin(harness) {
      harness.session.clientOnText('{"type":"KeepAlive"}')
      harness.session.announceDrain(1)
      harness.dial.open()
    },
    result: harness =>
      harness.opened().dial.receive(transcriptMessage([resultOf('a', 0, 1), resultOf('b', 1, 2)])),
    warning: harness => harness.opened().session.clientOnAudio(audioOf(4000)),
    'warning of the clock'(harness) {
      harness.opened()
      harness.client.sendResult = 'sent'
      speak(harness, 200)
      harness.client.sendResult = 'dropped'
      harness.session.tick(harness.clock.monotonicMs() + LIMITS.maxSessionMs - LIMITS.sessionWarningMs)
    },
  }
  for (const [name, action] of Object.entries(lose)) {
    const harness = startSession('', { audioTimeoutMs: LIMITS.maxSessionMs })
    harness.client.sendResult = 'dropped'
    action(harness)
    t.equal(harness.metrics.ended[0]?.code, 'slow_consumer', name)
    t.strictSame(harness.client.closed, { code: 4430, reason: 'slow_consumer' })
    t.equal(harness.registry.activeCount, 0)
  }
})

t.test(
  'exceptions of the service: the finals before them, then, without another stream, the error of the catalogue',
  async t => {
    const cases: [exception: string, message: string, code: ErrorCode][] = [
      ['BadRequestException', 'Could not decode the audio stream that you provided.', 'upstream_bad_request'],
      [
        'BadRequestException',
        'Your request timed out because no new audio was received for 15 seconds.',
        'audio_timeout',
      ],
      [
        'LimitExceededException',
        'You have reached your limit of concurrent streams, 25.',
        'upstream_throttled',
      ],
      ['InternalFailureException', 'AKIAIOSFODNN7EXAMPLE went wrong', 'upstream_error'],
      ['ConflictException', 'same session', 'session_conflict'],
      ['ServiceUnavailableException', '', 'upstream_unavailable'],
      [
        'UnrecognizedClientException',
        'The security token included in the request is invalid',
        'upstream_auth',
      ],
      ['BrandNewException', 'hm', 'upstream_error'],
    ]
    for (const [exception, message, code] of cases) {
      const harness = startSession('', NO_ROLLOVER).opened()
      const final = transcriptMessage([resultOf('the last words', 0, 1)])
      harness.dial.receive(final, exceptionMessage(exception, message), final)
      const { client, metrics, log } = harness
      t.strictSame(client.types, ['Begin', 'Transcript', 'Error'], exception)
      t.match(client.last, { code, retryable: ERRORS[code].retryable, request_id: harness.session.id })
      if (code === 'upstream_throttled') t.equal(client.last?.['retry_after_ms'], 2000)
      t.notMatch(client.texts.at(-1), /AKIA/, 'no text of the service that is not known')
      t.strictSame(client.closed, { code: ERRORS[code].closeCode, reason: code })
      t.strictSame(metrics.exceptions, [exception])
      t.match(log.ends[0], { reason: code, detail: exception, finals: 1 })
    }
    const error = startSession('', NO_ROLLOVER).opened()
    error.dial.receive(
      eventMessage(
        { ':message-type': 'error', ':error-code': 'InternalError', ':error-message': 'secret' },
        '',
      ),
    )
    t.match(error.client.last, { type: 'Error', code: 'upstream_error' })
    t.notMatch(error.client.texts.at(-1), /secret/)
  },
)

t.test('events that nobody knows are ignored and counted; what is no protocol ends the session', async t => {
  const unknown = startSession().opened()
  unknown.dial.receive(
    eventMessage({ ':message-type': 'event', ':event-type': 'FutureEvent' }, 'not even JSON'),
    eventMessage({ ':message-type': 'event' }, '{}'),
    transcriptMessage([resultOf('still here', 0, 1)]),
  )
  t.equal(unknown.metrics.unknownEvents, 2)
  t.match(unknown.client.last, { text: 'still here' })

  const latin1 = eventMessage(
    { ':message-type': 'event', ':event-type': 'TranscriptEvent' },
    Buffer.from('{"Transcript":{"Results":[]},"x":"\xe9"}', 'latin1'),
  )
  const damaged = transcriptMessage([resultOf('x', 0, 1)])
  damaged[damaged.length - 1] = (damaged[damaged.length - 1] ?? 0) ^ 1
  const cases: [bytes: Buffer, detail: string, counted: string[]][] = [
    [eventMessage({ ':message-type': 'rumour' }, '{}'), 'message-type', []],
    [eventMessage({ ':event-type': 'TranscriptEvent' }, '{}'), 'message-type', []],
    [transcriptJson('{"Transcript":'), 'not_json', []],
    [transcriptJson('{"Transcript":{}}'), 'no_results', []],
    [damaged, 'bad_message_crc', ['bad_message_crc']],
    [transcriptMessage([]).subarray(0, 60), 'truncated', ['truncated']],
    [latin1, 'not_utf8', []],
  ]
  for (const [bytes, detail, counted] of cases) {
    const harness = startSession('', { rolloverAttempts: 0 }).opened()
    harness.dial.receive(transcriptMessage([resultOf('before', 0, 1)]), bytes)
    t.strictSame(harness.client.types, ['Begin', 'Transcript', 'Error'], detail)
    t.strictSame(harness.client.closed, { code: 4502, reason: 'upstream_protocol' })
    t.equal(harness.log.ends[0]?.['detail'], detail)
    t.strictSame(harness.metrics.decodeErrors, counted)
  }
})

t.test('a bug of the relay is not blamed on the service, and ends one session only', async t => {
  const bug = new Error('a bug')
  const harness = startSession().opened()
  harness.client.sendFailure = bug
  harness.dial.receive(transcriptMessage([resultOf('a', 0, 1)]))
  t.strictSame(harness.log.failures, [bug])
  t.match(harness.client.last, { type: 'Error', code: 'internal' })
  t.strictSame(harness.client.closed, { code: 1011, reason: 'internal' })

  const ticking = startSession('', { maxSessionMs: 60_000 }).opened()
  const neighbour = new MemoryClient()
  ticking.registry.open(neighbour, { sessionId: 'neighbour', query: queryOf(''), remoteAddress: '192.0.2.2' })
  ticking.dial.open()
  ticking.client.sendFailure = bug
  ticking.clock.advance(100)
  t.strictSame(ticking.log.failures, [bug])
  t.strictSame(ticking.client.closed, { code: 1011, reason: 'internal' })
  t.strictSame(neighbour.warnings, ['session_expiring'])
  t.equal(ticking.registry.activeCount, 1)
})
