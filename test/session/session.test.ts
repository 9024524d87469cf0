/** Whole sessions from start to end: the order of what a client hears, the ways to end, the figures and the records. */
import t from 'tap'
import { ERRORS, RelayError } from '../../src/errors.ts'
import { MemoryClient, resultOf, transcriptMessage } from '../support/memory-ports.ts'
import {
  audioOf,
  LIMITS,
  NO_ROLLOVER,
  queryOf,
  SESSION_ID,
  speak,
  startSession,
} from '../support/session-harness.ts'

const CLOSE = '{"type":"CloseStream"}'

t.test('Begin first, then what waited for it, then results, then End and 1000', async t => {
  const harness = startSession('language-code=xx-XX')
  const { client, dial, session } = harness
  t.strictSame(dial.request, {
    sessionId: SESSION_ID,
    parameters: {
      'session-id': SESSION_ID,
      'language-code': 'xx-XX',
      'media-encoding': 'pcm',
      'sample-rate': '16000',
    },
    isContinuation: false,
    principal: '192.0.2.1',
    regions: null,
    throttledIn: null,
  })
  session.announceDrain(1234.5)
  speak(harness, 20_000)
  t.strictSame(client.messages, [])
  dial.open({ connectMs: 250 })
  speak(harness, 1000)
  dial.receive(transcriptMessage([resultOf('hel', 0.1, 0.5, true)]))
  dial.receive(transcriptMessage([resultOf('hello', 0.1, 0.6)]))
  session.clientOnText(CLOSE)
  t.equal(session.state, 'finishing')
  dial.receive(transcriptMessage([resultOf('world', 0.7, 21)]))
  dial.close(1000, 'Streaming completed successfully')

  t.strictSame(client.types, [
    'Begin',
    'Warning',
    'Draining',
    'Transcript',
    'Transcript',
    'Transcript',
    'End',
  ])
  t.strictSame(client.messages[0], {
    type: 'Begin',
    session_id: SESSION_ID,
    region: 'eu-central-1',
    format: 'simple',
    parameters: { 'language-code': 'xx-XX', 'media-encoding': 'pcm', 'sample-rate': '16000' },
    expires_at: new Date(Date.UTC(2026, 0, 1) + LIMITS.maxSessionMs).toISOString(),
    limits: { max_message_bytes: 65_536, audio_timeout_ms: 14_000 },
  })
  t.match(client.messages[1], { code: 'parameter', message: /^language-code: / })
  t.strictSame(client.messages[2], { type: 'Draining', reconnect_in_ms: 1235 })
  t.strictSame(client.last, {
    type: 'End',
    session_id: SESSION_ID,
    audio_seconds: 21,
    billed_seconds: 21,
    finals: 2,
    rollovers: 0,
  })
  t.strictSame(client.closed, { code: 1000, reason: 'normal' })
  t.ok(dial.upstream.audio.equals(Buffer.concat(Array.from({ length: 210 }, () => audioOf(100)))))
})

t.test('what the region of the stream may not have is a warning, once it is known which one it is', t => {
  const query = 'content-redaction-type=PII'
  for (const [region, types] of [
    ['us-east-1', ['Begin']],
    ['sa-east-1', ['Begin', 'Warning']],
  ] as const) {
    const { client, dial } = startSession(query)
    dial.open({ region })
    t.strictSame(client.types, types, region)
  }
  t.end()
})

t.test('figures and the two records of a session: no speech, no secret', async t => {
  const harness = startSession('vocabulary-name=names').opened()
  const { client, dial, metrics, log, session } = harness
  speak(harness, 1000)
  harness.clock.advance(300)
  dial.receive(transcriptMessage([resultOf('SPEECH', 0, 0.5, true)]))
  dial.receive(transcriptMessage([resultOf('SPEECH', 0, 1)]))
  session.clientOnText(CLOSE)
  dial.close()
  t.match(metrics, {
    started: 1,
    clientAudioBytes: 32_000,
    clientAudioMessages: 10,
    upstreamAudioBytes: 32_000,
    upstreamFrames: 11,
    audioDroppedBytes: 0,
    resultsPartial: 1,
    resultsFinal: 1,
    connectSeconds: [0.04],
    partialLagSeconds: [0.8],
    finalLagSeconds: [0.3],
    ended: [{ code: 'normal', durationSeconds: 1.3 }],
  })
  t.ok(Math.abs(metrics.clientAudioSeconds - 1) < 1e-9)
  t.equal(metrics.clientSentBytes, Buffer.byteLength(client.texts.join('')))
  t.strictSame(log.starts, [
    {
      session_id: SESSION_ID,
      client_address: '192.0.2.1',
      parameters: {
        'vocabulary-name': 'names',
        'language-code': 'en-US',
        'media-encoding': 'pcm',
        'sample-rate': '16000',
      },
      format: 'simple',
    },
  ])
  t.strictSame(log.ends, [
    {
      session_id: SESSION_ID,
      reason: 'normal',
      class: 'ok',
      duration_seconds: 1.3,
      audio_bytes: 32_000,
      audio_seconds: 1,
      silence_seconds: 0,
      billed_seconds: 15,
      frames: 11,
      finals: 1,
      streams: 1,
      rollovers: 0,
      replayed_seconds: 0,
      lost_seconds: 0,
      parked_seconds: 0,
      region: 'eu-central-1',
      upstream_session_id: 'upstream-session',
      request_id: 'request-1',
      connect_ms: 40,
      attempts: 1,
    },
  ])
  t.notMatch(JSON.stringify([log.starts, log.ends]), /SPEECH/)
})

t.test('seconds are billed whole, and sums of fractions do not make one more', async t => {
  const harness = startSession('', { paceRate: 1000 }).opened()
  speak(harness, 20_000)
  harness.session.clientOnText(CLOSE)
  harness.dial.close()
  t.match(harness.client.last, { audio_seconds: 20, billed_seconds: 20 })

  const flac = startSession('media-encoding=flac').opened()
  flac.session.clientOnAudio(Buffer.from('fLaC and so on'))
  flac.dial.receive(transcriptMessage([resultOf('long words', 0, 17.2)]))
  flac.session.clientOnText(CLOSE)
  flac.dial.close()
  t.match(flac.client.last, { audio_seconds: 17.2, billed_seconds: 18 })
  t.strictSame(flac.metrics.finalLagSeconds, [], 'no lag without a position')
})

t.test('CloseStream before the upstream opens: the audio goes first, and every final comes', async t => {
  for (const close of ['empty binary', CLOSE]) {
    const harness = startSession()
    harness.session.clientOnAudio(audioOf(250))
    if (close === CLOSE) harness.session.clientOnText(close)
    else harness.session.clientOnAudio(new Uint8Array(0))
    harness.session.clientOnAudio(audioOf(100))
    t.equal(harness.session.state, 'dialling')
    harness.dial.open()
    t.equal(harness.session.state, 'finishing')
    t.ok(harness.dial.upstream.audio.equals(audioOf(250)))
    t.ok(harness.dial.upstream.hasEnd)
    harness.dial.receive(transcriptMessage([resultOf('short', 0, 0.25)]))
    harness.dial.close()
    t.strictSame(harness.client.types, ['Begin', 'Warning', 'Transcript', 'End'])
    t.strictSame(harness.client.warnings, ['audio_after_end'])
    t.equal(harness.metrics.audioDroppedBytes, 3200)
  }
})

t.test('CloseStream without audio opens no stream, and costs nothing', async t => {
  for (const query of ['', 'configure=true']) {
    for (const close of [CLOSE, 'END_OF_STREAM', '{"eof":1}', '{"type":"Terminate"}', '']) {
      const harness = startSession(query)
      if (close === '') harness.session.clientOnAudio(new Uint8Array(0))
      else harness.session.clientOnText(close)
      t.match(harness.client.last, { type: 'End', audio_seconds: 0, billed_seconds: 0, finals: 0 })
      t.strictSame(harness.client.closed, { code: 1000, reason: 'normal' })
      if (query === '') t.ok(harness.dial.isCanceled)
      else t.equal(harness.dialer.dials.length, 0)
      t.equal(harness.log.ends[0]?.['billed_seconds'], 0)
    }
  }
})

t.test('Configure completes the query, once, and its mistakes are all told', async t => {
  const harness = startSession('configure=true&language-code=de-DE&format=aws')
  t.match(harness.log.starts[0], { configure: true })
  harness.session.clientOnText(
    '{"type":"Configure","sample-rate":8000,"show-speaker-label":true,"words":true}',
  )
  t.equal(harness.session.state, 'dialling')
  harness.dial.open()
  t.match(harness.client.messages[0], {
    format: 'aws',
    parameters: { 'language-code': 'de-DE', 'sample-rate': '8000', 'show-speaker-label': 'true' },
  })
  const wrong = startSession('configure=true')
  wrong.session.clientOnText('{"type":"Configure","sample-rate":1,"colour":"red","format":"xml"}')
  t.match(wrong.client.last, { code: 'invalid_request', message: /format .*sample-rate .*colour /s })
  t.strictSame(wrong.client.closed, { code: 4400, reason: 'invalid_request' })
})

t.test('the longest session: warned, then the finals, then session_expired', async t => {
  const harness = startSession('', { maxSessionMs: 120_000 }).opened()
  speak(harness, 59_900)
  t.strictSame(harness.client.warnings, [])
  speak(harness, 200)
  t.strictSame(harness.client.warnings, ['session_expiring'])
  speak(harness, 59_800)
  harness.clock.advance(100)
  t.equal(harness.session.state, 'finishing')
  t.ok(harness.dial.upstream.hasEnd)
  harness.dial.receive(transcriptMessage([resultOf('the end', 119, 120)]))
  harness.dial.close()
  t.strictSame(harness.client.types, ['Begin', 'Warning', 'Transcript', 'Error'])
  t.match(harness.client.last, { code: 'session_expired', retryable: true })
  t.strictSame(harness.client.closed, { code: 4440, reason: 'session_expired' })
})

t.test('the last results are waited for as long as the service needs for the audio', async t => {
  const prompt = startSession('', NO_ROLLOVER).opened()
  speak(prompt, 20_000)
  prompt.session.clientOnText(CLOSE)
  prompt.clock.advance(9900)
  t.equal(prompt.session.state, 'finishing')
  prompt.clock.advance(200)
  t.match(prompt.client.last, { code: 'flush_timeout' })
  t.strictSame(prompt.client.closed, { code: 4504, reason: 'flush_timeout' })

  // Twelve seconds were recorded while the upstream was dialled: the service gets them all at once.
  const late = startSession('', NO_ROLLOVER)
  speak(late, 12_000)
  late.session.clientOnText(CLOSE)
  late.dial.open()
  late.clock.advance(21_900)
  t.equal(late.session.state, 'finishing')
  late.clock.advance(200)
  t.match(late.client.last, { code: 'flush_timeout' })

  const draining = startSession('', NO_ROLLOVER).opened()
  speak(draining, 500)
  draining.session.finishWith('drain_deadline')
  draining.clock.advance(LIMITS.flushTimeoutMs + 1000)
  t.match(draining.client.last, { code: 'drain_deadline' }, 'the reason it was ended for')
})

t.test(
  'without another stream, one that ends early is an error, 1000 too, and the finals before it are kept',
  async t => {
    const cases = [
      [
        1000,
        'Streaming completed successfully',
        null,
        'upstream_closed',
        'close 1000 Streaming completed successfully',
      ],
      [1011, '', null, 'upstream_closed', 'close 1011'],
      [
        1006,
        '',
        new RelayError('upstream_closed', { detail: 'ECONNRESET' }),
        'upstream_closed',
        'ECONNRESET',
      ],
      [
        1006,
        '',
        new RelayError('upstream_timeout', { detail: 'ETIMEDOUT' }),
        'upstream_timeout',
        'ETIMEDOUT',
      ],
    ] as const
    for (const [closeCode, reason, error, code, detail] of cases) {
      const harness = startSession('', NO_ROLLOVER).opened()
      speak(harness, 500)
      harness.dial.receive(transcriptMessage([resultOf('kept', 0, 0.4)]))
      harness.dial.close(closeCode, reason, error)
      t.strictSame(harness.client.types, ['Begin', 'Transcript', 'Error'])
      t.strictSame(harness.client.closed, { code: ERRORS[code].closeCode, reason: code })
      t.match(harness.log.ends[0], { reason: code, class: 'upstream_error', detail })
      t.notMatch(harness.client.texts.join(), detail, 'details are for the log')
    }
  },
)

t.test('a client that goes away ends its stream politely, in every state', async t => {
  for (const code of ['client_closed', 'tcp_fin', 'tcp_reset', 'ping_timeout', 'invalid_frame'] as const) {
    const harness = startSession().opened()
    harness.session.clientOnAudio(audioOf(120).subarray(0, 3841))
    harness.session.clientOnAudio(audioOf(20))
    harness.session.clientOnClose({ code, closeCode: 1006 })
    t.ok(harness.dial.upstream.hasEnd)
    t.equal(harness.dial.upstream.ended, 'close')
    t.notOk(harness.dial.isCanceled, 'that would hang up')
    t.strictSame(harness.client.types, ['Begin'])
    t.match(harness.log.ends[0], { reason: code, class: ERRORS[code].class })
    const { clientAudioBytes, upstreamAudioBytes, audioDroppedBytes } = harness.metrics
    t.equal(upstreamAudioBytes + audioDroppedBytes, clientAudioBytes)
  }
})

t.test('the registry lets in, counts, drains and empties', async t => {
  const harness = startSession()
  const { registry, clock } = harness
  let isEmpty = false
  const waitForEmpty = async () => {
    await registry.whenEmpty()
    isEmpty = true
  }
  const empty = waitForEmpty()
  t.equal(registry.admit(), null)
  t.equal(registry.activeCount, 1)
  const idle = new MemoryClient()
  registry.open(idle, { sessionId: 'b', query: queryOf('configure=true'), remoteAddress: '192.0.2.2' })
  for (let index = 2; index < 10; index += 1) {
    registry.open(new MemoryClient(), {
      sessionId: `${index}`,
      query: queryOf(''),
      remoteAddress: '192.0.2.3',
    })
  }
  t.equal(registry.admit()?.code, 'overloaded')
  t.notOk(registry.isDraining)
  harness.dialer.dials[0]?.open()
  speak(harness, 500)
  registry.announceDrain()
  registry.announceDrain()
  t.ok(registry.isDraining)
  t.equal(registry.admit()?.code, 'draining')
  t.strictSame(harness.client.ofType('Draining'), [{ type: 'Draining', reconnect_in_ms: 2000 }])

  const late = new MemoryClient()
  registry.open(late, { sessionId: 'late', query: queryOf(''), remoteAddress: '192.0.2.4' })
  harness.dial.open()
  t.strictSame(late.types, ['Begin', 'Draining'], 'let in before the drain, opened after')

  registry.finishAll(0)
  t.strictSame(idle.closed, { code: 1012, reason: 'drain_deadline' })
  t.equal(registry.activeCount, 2, 'those with a stream wait for their finals')
  harness.dialer.dials[0]?.close()
  t.strictSame(harness.client.closed, { code: 1012, reason: 'drain_deadline' })
  t.notOk(isEmpty)
  registry.abortAll()
  t.strictSame(late.closed, { code: 1012, reason: 'drain_deadline' })
  await empty
  await registry.whenEmpty()
  t.strictSame(registry.buffered('client'), { sum: 0, max: 0 })
  registry.close()
  registry.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('past the deadline of a drain sessions are ended one after the other over the spread', t => {
  const harness = startSession()
  const { clock, registry } = harness
  const clients = [harness.client]
  for (let index = 1; index < 10; index += 1) {
    const client = new MemoryClient()
    registry.open(client, {
      sessionId: `${index}`,
      query: queryOf('configure=true'),
      remoteAddress: '192.0.2.2',
    })
    clients.push(client)
  }
  const closedCount = (): number => clients.filter(({ closed }) => closed !== null).length
  registry.announceDrain()
  registry.finishAll(4000)
  t.equal(closedCount(), 0, 'nobody at once')
  for (let count = 1; count <= 10; count += 1) {
    clock.advance(400)
    t.equal(closedCount(), count, 'each in a slot of its own')
  }
  for (const { closed } of clients) t.strictSame(closed, { code: 1012, reason: 'drain_deadline' })
  const late = new MemoryClient()
  registry.open(late, { sessionId: 'late', query: queryOf('configure=true'), remoteAddress: '192.0.2.3' })
  t.strictSame(
    late.closed,
    { code: 1012, reason: 'drain_deadline' },
    'let in before, opened past the deadline',
  )
  registry.close()
  t.end()
})
