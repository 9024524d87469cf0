/**
 * No word is lost: whatever happens to the streams of a session, its client reads what it would have read without it,
 * once, on one timeline.
 */
import t, { type Test } from 'tap'
import { FakeRecogniser, rulerOf, wordsWithin, type Word } from '../support/fake-recogniser.ts'
import { createRandom } from '../support/random.ts'
import { exceptionMessage, resultOf, transcriptMessage } from '../support/memory-ports.ts'
import {
  audioOf,
  BYTES_PER_MS,
  LIMITS,
  speak,
  startSession,
  type Harness,
} from '../support/session-harness.ts'
import { RelayError } from '../../src/errors.ts'
import type { SessionLimits } from '../../src/session/limits.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const CLOSE = '{"type":"CloseStream"}'
/** Failures come thicker here than the defaults allow. */
const PATIENT = { rolloverAttempts: 1000, rolloverGapMs: 600_000 } as const

interface Play {
  readonly harness: Harness
  readonly service: FakeRecogniser
  readonly ruler: Buffer
  readonly words: readonly Word[]
  /** Client audio sent so far, bytes. */
  sentBytes: number
}

function startPlay(seconds: number, random: () => number, limits: Partial<SessionLimits>): Play {
  const harness = startSession('words=true', { ...PATIENT, ...limits })
  const ruler = rulerOf(seconds)
  const words = wordsWithin(seconds - 1, random)
  const options = { latencyMs: 50 + random() * 1500, maxSegmentSeconds: 2 + random() * 12 }
  return {
    harness,
    service: new FakeRecogniser(harness.dialer, ruler, words, options),
    ruler,
    words,
    sentBytes: 0,
  }
}

/** Lets time go by: dials open after a while, the service hears and speaks. */
function pass(play: Play, ms: number, onDial: (play: Play) => void): void {
  const { harness, service } = play
  for (let leftMs = ms; leftMs > 0; leftMs -= 50) {
    harness.clock.advance(Math.min(50, leftMs))
    onDial(play)
    service.hear(harness.clock.monotonicMs())
  }
}

function say(play: Play, ms: number): void {
  const end = Math.min(play.sentBytes + Math.round(ms * BYTES_PER_MS), play.ruler.length)
  play.harness.session.clientOnAudio(play.ruler.subarray(play.sentBytes, end))
  play.sentBytes = end
}

/** Opens what is dialled, sometimes late and sometimes never. */
function opener(random: () => number): (play: Play) => void {
  const due = new Map<object, number>()
  return ({ harness, service }) => {
    const nowMs = harness.clock.monotonicMs()
    for (const dial of harness.dialer.dials) {
      if (dial.isCanceled || due.get(dial) === Infinity) continue
      const dueMs = due.get(dial) ?? nowMs + random() * 800
      due.set(dial, dueMs)
      if (nowMs < dueMs) continue
      due.set(dial, Infinity)
      if (dial !== harness.dialer.dials[0] && random() < 0.15)
        dial.fail(new RelayError('upstream_unavailable'))
      else service.open(dial)
    }
  }
}

const KILLS: readonly ((play: Play, random: () => number) => void)[] = [
  ({ service }) => service.live?.dial.close(1000, 'done'),
  ({ service }) => service.live?.dial.close(1011),
  ({ service }) =>
    service.live?.dial.close(1006, '', new RelayError('upstream_closed', { detail: 'ECONNRESET' })),
  ({ service }) =>
    service.live?.dial.close(1006, '', new RelayError('upstream_timeout', { detail: 'ETIMEDOUT' })),
  ({ service }) => service.fail('InternalFailureException'),
  ({ service }) => service.fail('ServiceUnavailableException'),
  ({ service }) => service.fail('LimitExceededException', 'The maximum stream duration is reached.'),
  ({ service }) =>
    service.fail('ExpiredTokenException', 'The security token included in the request is expired'),
  ({ service }) =>
    service.fail(
      'BadRequestException',
      'Your request timed out because no new audio was received for 15 seconds.',
    ),
  ({ service }) => {
    if (service.live !== undefined) service.live.isStuck = true
  },
]

function checkWords(t: Test, { harness, words, service }: Play, name: string): void {
  const finals = harness.client.ofType('Transcript').filter(message => message['is_final'] === true)
  const said = finals.flatMap(final => String(final['text']).split(' '))
  const wrong = said.findIndex((word, index) => word !== words[index]?.text)
  if (wrong !== -1 || said.length !== words.length) {
    t.fail(
      `${name}: ${said.length} of ${words.length} words; from ${wrong}: ${said.slice(wrong, wrong + 5).join(' ')}`,
    )
  }
  const heard = finals.flatMap(final => final['words'] as { text: string; start: number; end: number }[])
  for (const [index, { text: word, start, end }] of heard.entries()) {
    const place = words[index]
    if (
      Math.abs(start - (place?.startSeconds ?? 0)) > 0.003 ||
      Math.abs(end - (place?.endSeconds ?? 0)) > 0.003
    ) {
      t.fail(`${name}: ${word} is at ${start}–${end} instead of ${JSON.stringify(place)}`)
    }
  }
  let before = 0
  for (const { start, end } of finals) {
    if ((start as number) < before - 0.002 || (end as number) < (start as number))
      t.fail(`${name}: time goes back to ${String(start)}`)
    before = start as number
  }
  t.strictSame(service.violations, [], `${name}: every stream got the client's bytes`)
}

t.test(`streams die at random, and every word comes once, TEST_SEED=${seed}`, async t => {
  let rollovers = 0
  let replayed = 0
  let words = 0
  for (let round = 0; round < 60; round += 1) {
    const random = createRandom(seed + round)
    const name = `round ${round}`
    const limits = random() < 0.5 ? { maxStreamMs: 20_000, handoverLeadMs: 8000 } : {}
    const play = startPlay(30 + random() * 60, random, { ...limits, replaySeconds: 60 })
    const { harness, ruler, service } = play
    const onDial = opener(random)
    const killRate = random() * 0.02
    while (play.sentBytes < ruler.length && harness.client.closed === null) {
      const ms = 20 + random() * 300
      pass(play, ms, onDial)
      say(play, ms)
      if (random() < killRate) KILLS[Math.floor(random() * KILLS.length)]?.(play, random)
      if (random() < 0.004) harness.session.clientOnText('{"type":"Pause"}')
      if (random() < 0.002) pass(play, random() * 30_000, onDial)
    }
    // One that is stuck is noticed while there is audio; what comes of it at the end is a test of its own.
    while (service.live?.isStuck === true) pass(play, 100, onDial)
    harness.session.clientOnText(CLOSE)
    for (let waits = 0; harness.client.closed === null && waits < 2000; waits += 1) {
      pass(play, 50, onDial)
      if (waits < 200 && random() < killRate) KILLS[1 + Math.floor(random() * 5)]?.(play, random)
    }
    if (harness.client.closed?.code !== 1000) t.match(harness.client.last, { type: 'End' }, name)
    checkWords(t, play, name)
    const { missing, repeated } = service.coverage()
    t.equal(missing, 0, `${name}: no byte is missing`)
    const end: Readonly<Record<string, unknown>> = harness.client.last ?? {}
    t.ok(Math.abs(Number(end['audio_seconds']) - ruler.length / 32_000) < 0.001, name)
    t.equal(end['rollovers'], harness.client.ofType('Rollover').length)
    t.equal(end['rollovers'], harness.metrics.rollovers.length)
    t.ok(
      Math.abs(harness.metrics.replayedSeconds - repeated / 32_000) < 0.01,
      `${name}: ${harness.metrics.replayedSeconds} s replayed, ${repeated / 32_000}`,
    )
    t.ok(harness.metrics.rolloverLostSeconds === 0, `${name}: ${harness.metrics.rolloverLostSeconds} s lost`)
    t.equal(harness.metrics.upstreamStreamsActive, 0)
    t.equal(harness.metrics.audioDroppedBytes, 0)
    t.equal(harness.session.upstreamBufferedBytes, 0)
    // Spoilt as it comes back: a frame that was used afterwards is a violation above.
    t.equal(harness.frameMemory.ownedCount, 0, `${name}: the memory of every frame came back`)
    rollovers += harness.metrics.rollovers.length
    replayed += harness.metrics.replayedSeconds
    words += play.words.length
  }
  t.comment(`${words} words, ${rollovers} rollovers, ${replayed.toFixed(0)} s replayed`)
  t.ok(rollovers > 60)
})

t.test('a stream that dies while its last results are waited for is replaced too', async t => {
  const ends: Readonly<Record<string, (harness: Harness) => void>> = {
    reset: ({ dial }) => dial.close(1006),
    '1000, and a segment without a final': ({ dial }) => dial.close(1000),
    exception: ({ dial }) => dial.receive(exceptionMessage('InternalFailureException', '')),
    silence: ({ clock }) => clock.advance(LIMITS.flushTimeoutMs),
  }
  for (const [name, end] of Object.entries(ends)) {
    const harness = startSession().opened()
    speak(harness, 2000)
    harness.dial.receive(transcriptMessage([resultOf('once', 0.1, 0.5)]))
    harness.dial.receive(transcriptMessage([resultOf('and aga', 0.7, 1.5, true)]))
    harness.session.clientOnText(CLOSE)
    end(harness)
    t.equal(harness.session.state, 'rolling-over', name)
    harness.clock.advance(300)
    const { upstream } = harness.dialer.last
    harness.dialer.last.open()
    harness.clock.advance(1000)
    t.equal(harness.session.state, 'finishing')
    t.ok(upstream.hasEnd)
    t.equal(upstream.audio.length, 1.5 * 32_000)
    harness.dialer.last.receive(transcriptMessage([resultOf('and again', 0.2, 1.2)]))
    harness.dialer.last.close(1000)
    t.strictSame(
      harness.client.types,
      ['Begin', 'Transcript', 'Transcript', 'Rollover', 'Transcript', 'End'],
      name,
    )
    t.match(harness.client.ofType('Transcript').at(-1), { text: 'and again', start: 0.7, end: 1.7, seq: 3 })
    t.match(harness.client.last, { rollovers: 1, finals: 2, audio_seconds: 2, billed_seconds: 30 })
    t.match(harness.log.ends[0], {
      reason: 'normal',
      streams: 2,
      rollovers: 1,
      replayed_seconds: 1.5,
      lost_seconds: 0,
    })
  }
  const early = startSession().opened()
  speak(early, 2000)
  early.session.clientOnText(CLOSE)
  early.dial.close(1000, 'going away')
  t.equal(early.session.state, 'rolling-over', 'speech without any result, and no word that it is done')

  const stubborn = startSession().opened()
  speak(stubborn, 1000)
  stubborn.dial.receive(transcriptMessage([resultOf('never f', 0.1, 0.5, true)]))
  stubborn.session.clientOnText(CLOSE)
  stubborn.dial.close(1000)
  stubborn.clock.advance(300)
  stubborn.dial.open()
  stubborn.dial.receive(transcriptMessage([resultOf('never f', 0.1, 0.5, true)]))
  stubborn.clock.advance(100)
  stubborn.dial.close(1000)
  t.equal(stubborn.client.last?.type, 'End', 'a service that gives no final twice has none to give')

  const mute = startSession().opened()
  speak(mute, 1000)
  mute.session.clientOnText(CLOSE)
  mute.clock.advance(LIMITS.flushTimeoutMs + 300)
  mute.dial.open()
  mute.clock.advance(LIMITS.flushTimeoutMs + 1200)
  t.match(mute.client.last, { type: 'Error', code: 'flush_timeout' }, 'once more, not for ever')
})

t.test(
  'nothing is sent again that a final covers, not even within a chunk, and words are not cut',
  async t => {
    const harness = startSession('words=true').opened()
    speak(harness, 1000)
    harness.dial.receive(transcriptMessage([{ ...resultOf('first', 0.2, 0.43), EndTime: 0.9 }]))
    harness.dial.close(1011)
    harness.clock.advance(300)
    harness.dial.open()
    const audio = Buffer.concat(Array.from({ length: 10 }, () => audioOf(100)))
    t.ok(harness.dial.upstream.audio.equals(audio.subarray(0.43 * 32_000)), 'from the end of the last word')
    t.ok(
      harness.dial.upstream.payloads.every(({ length }) => length >= 50 * BYTES_PER_MS),
      'no chunk is too short for the service',
    )
    t.match(harness.client.last, {
      type: 'Rollover',
      reason: 'upstream_closed',
      replayed_seconds: 0.57,
      gap_ms: 300,
    })
    // A word that the new stream hears a little differently, and a segment that reaches back.
    const back = resultOf('first second', 0, 0.4)
    Object.assign(back, {
      Alternatives: [
        {
          Transcript: 'First, second.',
          Items: [
            { Content: 'First', StartTime: -0.2, EndTime: 0.02, Type: 'pronunciation' },
            { Content: ',', StartTime: 0.02, EndTime: 0.02, Type: 'punctuation' },
            { Content: 'second', StartTime: 0.1, EndTime: 0.4, Type: 'pronunciation' },
            { Content: '.', StartTime: 0.4, EndTime: 0.4, Type: 'punctuation' },
          ],
        },
      ],
      StartTime: -0.2,
    })
    harness.dial.receive(transcriptMessage([back, resultOf('first', -0.3, 0, true)]))
    t.match(harness.client.last, { text: 'second.', start: 0.53, end: 0.83, is_final: true })
    t.equal(harness.metrics.resultsRepeated, 1)
  },
)

t.test('audio is sent again faster than real time, and not all at once', async t => {
  const harness = startSession().opened()
  speak(harness, 20_000)
  harness.dial.close(1006)
  harness.clock.advance(300)
  const { upstream } = harness.dialer.last
  harness.dialer.last.open()
  const secondsOf = () => upstream.payloads.reduce((sum, { length }) => sum + length, 0) / 32_000
  t.ok(secondsOf() <= 1.1, `${secondsOf()} s at once`)
  speak(harness, 2000)
  t.ok(secondsOf() > 8.5 && secondsOf() < 9.3, `${secondsOf()} s after two`)
  speak(harness, 6000)
  t.equal(secondsOf(), 28, 'it has caught up')
  speak(harness, 100)
  t.equal(secondsOf(), 28.1, 'and goes on in real time')
})

t.test('speech that was not kept long enough is lost, and said so; silence is not', async t => {
  const loud = startSession('', { replaySeconds: 5 }).opened()
  speak(loud, 12_000)
  loud.dial.close(1006)
  loud.clock.advance(300)
  loud.dial.open()
  t.match(loud.client.last, { lost_seconds: 7, replayed_seconds: 5 })
  t.equal(loud.metrics.rolloverLostSeconds, 7)

  const known = startSession('', { replaySeconds: 5 }).opened()
  speak(known, 12_000)
  known.dial.receive(transcriptMessage([resultOf('not before', 9, 11, true)]))
  known.dial.close(1006)
  known.clock.advance(300)
  known.dial.open()
  t.match(known.client.last, { lost_seconds: 0 }, 'there were no words before those that were shown')

  const silent = startSession('', { replaySeconds: 5 }).opened()
  for (let ms = 0; ms < 12_000; ms += 100) {
    silent.clock.advance(100)
    silent.session.clientOnAudio(Buffer.alloc(3200))
  }
  silent.dial.close(1006)
  silent.clock.advance(300)
  silent.dial.open()
  t.match(silent.client.last, { lost_seconds: 0 })

  const quiet = startSession('', { replaySeconds: 5 }).opened()
  speak(quiet, 30_000)
  quiet.dial.receive(transcriptMessage([]))
  quiet.dial.close(1006)
  quiet.clock.advance(300)
  quiet.dial.open()
  t.match(quiet.client.last, { lost_seconds: 5 }, 'what the service was asked about it has answered')
})

t.test('failures in a row and the time without a stream are bounded; then comes the first error', async t => {
  const failing = startSession('', { rolloverAttempts: 3 }).opened()
  speak(failing, 1000)
  failing.dial.close(1006, '', new RelayError('upstream_timeout', { detail: 'ETIMEDOUT' }))
  const waits: number[] = []
  for (let failures = 0; failing.client.closed === null && failures < 10; failures += 1) {
    const dials = failing.dialer.dials.length
    const beforeMs = failing.clock.monotonicMs()
    while (failing.dialer.dials.length === dials && failing.client.closed === null) failing.clock.advance(100)
    waits.push(failing.clock.monotonicMs() - beforeMs)
    failing.dial.fail(new RelayError('upstream_unavailable'))
  }
  t.strictSame(waits, [200, 300, 500], 'longer and longer')
  t.match(failing.client.last, { type: 'Error', code: 'upstream_timeout' })
  t.equal(failing.log.ends[0]?.['detail'], 'ETIMEDOUT')

  const away = startSession('', { pendingAudioBytes: 65_536, replaySeconds: 5 }).opened()
  speak(away, 10_000)
  away.dial.close(1006)
  for (let ms = 0; ms < LIMITS.rolloverGapMs - 100; ms += 100) {
    speak(away, 100)
    const bytes = away.session.upstreamBufferedBytes
    if (bytes > 5 * 32_000 + 65_536 + 30_000) t.fail(`${bytes} bytes are kept`)
  }
  t.equal(away.session.state, 'rolling-over')
  speak(away, 200)
  t.strictSame(away.client.closed, { code: 4502, reason: 'upstream_closed' })
  t.ok(away.dial.isCanceled)
  const { clientAudioBytes, upstreamAudioBytes, audioDroppedBytes } = away.metrics
  t.equal(upstreamAudioBytes + audioDroppedBytes, clientAudioBytes, 'every byte is accounted for')

  const steady = startSession('', { rolloverAttempts: 1 }).opened()
  for (let index = 0; index < 20; index += 1) {
    speak(steady, 10_000)
    steady.dial.close(1000)
    speak(steady, 300)
    steady.dial.open()
  }
  t.equal(steady.session.state, 'open', 'a stream that lived for a while begins a new row')
})

t.test('a session that was let in once is not ended by one refusal of the next stream', async t => {
  for (const code of [
    'upstream_auth',
    'upstream_protocol',
    'internal',
    'not_ready',
    'upstream_throttled',
  ] as const) {
    const harness = startSession('', { rolloverAttempts: 3 }).opened()
    speak(harness, 1000)
    harness.dial.close(1006)
    harness.clock.advance(300)
    harness.dial.fail(new RelayError(code))
    speak(harness, 1000)
    harness.dial.open()
    t.match(harness.client.last, { type: 'Rollover', lost_seconds: 0 }, code)
    speak(harness, 2000)
    const { clientAudioBytes, replayedSeconds, upstreamAudioBytes } = harness.metrics
    t.equal(upstreamAudioBytes - replayedSeconds * 32_000, clientAudioBytes, 'nothing is missing')
  }
  const refused = startSession().opened()
  speak(refused, 1000)
  refused.dial.close(1006)
  refused.clock.advance(300)
  refused.dial.fail(new RelayError('invalid_request'))
  t.match(
    refused.client.last,
    { type: 'Error', code: 'upstream_closed' },
    'what will never be right is not tried again',
  )
})

t.test(
  'the last results are asked of so many streams and no more, however long each of them lives',
  async t => {
    const harness = startSession('', { rolloverAttempts: 3, flushTimeoutMs: 60_000 }).opened()
    speak(harness, 20_000)
    harness.session.clientOnText('{"type":"CloseStream"}')
    let streams = 1
    for (; harness.client.closed === null && streams < 20; streams += 1) {
      harness.clock.advance(12_000)
      harness.dial.close(1011)
      harness.clock.advance(1000)
      if (harness.client.closed === null) harness.dial.open()
    }
    t.strictSame(harness.client.closed, { code: 4502, reason: 'upstream_closed' })
    t.equal(harness.dialer.dials.length, 4)
  },
)

t.test('a stream that is lost for want of audio takes the one with it that was to follow', async t => {
  const limits = { silence: 'fill', silenceFillMaxMs: 0, audioTimeoutMs: 60_000 } as const
  const harness = startSession('', { ...limits, maxStreamMs: 100_000, handoverLeadMs: 60_000 }).opened()
  speak(harness, 30_000)
  harness.clock.advance(45_000)
  const [lost, next] = harness.dialer.dials
  t.ok(next, 'the next one is being dialled')
  const text = 'Your request timed out because no new audio was received for 15 seconds.'
  lost?.receive(exceptionMessage('BadRequestException', text))
  t.equal(harness.session.state, 'parked')
  t.ok(next?.isCanceled)
  speak(harness, 100)
  harness.dial.open()
  t.equal(harness.session.state, 'open')
  t.equal(harness.client.closed, null)
})

t.test('what no other stream cures ends the session at once', async t => {
  const cases = [
    ['BadRequestException', 'Could not decode the audio stream that you provided.', 'upstream_bad_request'],
    ['ConflictException', '', 'session_conflict'],
    ['AccessDeniedException', '', 'upstream_auth'],
    [
      'LimitExceededException',
      'You have reached your limit of concurrent streams, 25.',
      'upstream_throttled',
    ],
  ] as const
  for (const [exception, message, code] of cases) {
    const harness = startSession('session-id=22222222-3333-4444-8555-666666666666').opened()
    speak(harness, 500)
    harness.dial.receive(exceptionMessage(exception, message))
    t.match(harness.client.last, { type: 'Error', code })
    t.equal(harness.dialer.dials.length, 1)
  }
  const flac = startSession('media-encoding=flac').opened()
  flac.session.clientOnAudio(Buffer.from('fLaC and so on'))
  flac.dial.close(1006)
  t.match(
    flac.client.last,
    { type: 'Error', code: 'upstream_closed' },
    'compressed audio cannot begin in the middle',
  )

  const later = startSession().opened()
  speak(later, 500)
  later.dial.close(1006)
  later.clock.advance(300)
  later.dial.open()
  later.dial.receive(
    exceptionMessage('LimitExceededException', 'You have reached your limit of concurrent streams, 25.'),
  )
  t.equal(later.session.state, 'rolling-over', 'a session under way is worth another try')
})

t.test(
  'a conflict with a session id that nobody else can have is with an attempt that was given up',
  async t => {
    const cases: [query: string, attempts: number][] = [
      ['', 1],
      ['session-id=22222222-3333-4444-8555-666666666666', 2],
    ]
    for (const [query, attempts] of cases) {
      const harness = startSession(query)
      harness.dial.open({ attempts })
      speak(harness, 500)
      harness.dial.receive(exceptionMessage('ConflictException', 'same session'))
      harness.clock.advance(300)
      harness.dial.open()
      t.match(harness.client.last, { type: 'Rollover', reason: 'upstream_closed', replayed_seconds: 0.5 })
      const [first, second] = harness.dialer.dials.map(({ request }) => request.parameters['session-id'])
      t.not(first, second)
    }
  },
)

t.test('of two channels each keeps its own place', async t => {
  const harness = startSession('number-of-channels=2&enable-channel-identification=true').opened()
  const say = (text: string, start: number, end: number, ChannelId: string) =>
    harness.dial.receive(transcriptMessage([{ ...resultOf(text, start, end), ChannelId }]))
  for (let ms = 0; ms < 4000; ms += 100) {
    harness.clock.advance(100)
    harness.session.clientOnAudio(audioOf(100, 64))
  }
  say('left', 0.5, 3, 'ch_0')
  say('right', 0.2, 1, 'ch_1')
  harness.dial.close(1006)
  harness.clock.advance(300)
  harness.dial.open()
  harness.clock.advance(1000)
  t.equal(harness.dial.upstream.audio.length, 3 * 64_000, 'from where the later one is')
  say('left', 0, 2, 'ch_0')
  say('right again', 0.1, 2, 'ch_1')
  t.strictSame(
    harness.client.ofType('Transcript').map(({ text, channel, start, end }) => [text, channel, start, end]),
    [
      ['left', 'ch_0', 0.5, 3],
      ['right', 'ch_1', 0.2, 1],
      ['right again', 'ch_1', 1.1, 3],
    ],
  )
})

t.test('format=aws is on the same timeline', async t => {
  const harness = startSession('format=aws').opened()
  speak(harness, 2000)
  harness.dial.receive(transcriptMessage([resultOf('one', 0.2, 0.8)]))
  harness.dial.close(1006)
  harness.clock.advance(300)
  harness.dial.open()
  harness.dial.receive(transcriptMessage([resultOf('two', 0.1, 0.5)]))
  const [one, two] = harness.client.ofType('Transcript')
  t.match(one, { Transcript: { Results: [{ StartTime: 0.2, EndTime: 0.8 }] } })
  t.match(two, { Transcript: { Results: [{ StartTime: 0.9, EndTime: 1.3 }] } })
})

t.test('a client that goes away, and a drain, are served in between too', async t => {
  const gone = startSession().opened()
  speak(gone, 1000)
  gone.dial.close(1006)
  gone.clock.advance(300)
  gone.session.clientOnClose({ code: 'tcp_reset', closeCode: 1006 })
  t.ok(gone.dial.isCanceled)
  gone.clock.advance(60_000)
  t.equal(gone.dialer.dials.length, 2)
  t.equal(gone.metrics.audioDroppedBytes, 0, 'all of it was sent once')

  const draining = startSession().opened()
  speak(draining, 1000)
  draining.dial.close(1006)
  draining.registry.announceDrain()
  draining.registry.finishAll(0)
  draining.clock.advance(300)
  draining.dial.open()
  draining.clock.advance(200)
  t.equal(draining.session.state, 'finishing')
  draining.dial.receive(transcriptMessage([resultOf('last words', 0.2, 0.9)]))
  draining.dial.close()
  t.strictSame(draining.client.types, ['Begin', 'Draining', 'Rollover', 'Transcript', 'Error'])
  t.strictSame(draining.client.closed, { code: 1012, reason: 'drain_deadline' })
})
