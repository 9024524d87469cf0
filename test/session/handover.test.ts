/** Changes of the stream that nobody notices: before its maximum duration, and before its credentials end. */
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { exceptionMessage, resultOf, transcriptMessage } from '../support/memory-ports.ts'
import { FakeRecogniser, rulerOf, wordsWithin } from '../support/fake-recogniser.ts'
import { createRandom } from '../support/random.ts'
import { audioOf, speak, startSession, type Harness } from '../support/session-harness.ts'

const CLOSE = '{"type":"CloseStream"}'
const HOUR_MS = 3_600_000

/** Speech that ends in a final result, in the time of the stream of the moment. */
function speakThenFinal(harness: Harness, ms: number): void {
  speak(harness, ms)
  const dial = harness.dialer.dials.findLast(({ upstream }) => upstream.payloads.length > 0)
  const seconds = (dial?.upstream.audio.length ?? 0) / 32_000
  dial?.receive(transcriptMessage([resultOf('said', seconds - 1, seconds - 0.1)]))
}

t.test('silence, in which nothing is answered, is no reason to wait for a final', async t => {
  const harness = startSession('', { maxStreamMs: 60_000, handoverLeadMs: 20_000 }).opened()
  speak(harness, 49_900)
  t.equal(harness.dialer.dials.length, 1)
  speak(harness, 200)
  t.equal(harness.dialer.dials.length, 2)
})

t.test('twelve hours are one session on one timeline, over four streams, without a gap', async t => {
  const harness = startSession('', { maxSessionMs: 13 * HOUR_MS }).opened()
  const { client, clock, dialer, metrics, session } = harness
  const stepMs = 500
  const audio = audioOf(stepMs)
  /** Seconds that the stream of the moment has heard. */
  let heardSeconds = 0
  let streams = 1
  let words = 0
  for (let ms = stepMs; ms <= 12 * HOUR_MS; ms += stepMs) {
    clock.advance(stepMs)
    session.clientOnAudio(audio)
    if (dialer.dials.length > streams) {
      streams += 1
      heardSeconds = 0
      dialer.last.open()
    }
    // Three words a minute, said in the time of the stream.
    if (ms % 20_000 !== 0) continue
    for (const { length } of dialer.last.upstream.payloads.splice(0)) heardSeconds += length / 32_000
    dialer.last.receive(transcriptMessage([resultOf(`word ${words}`, heardSeconds - 1, heardSeconds - 0.5)]))
    words += 1
  }
  t.equal(dialer.dials.length, 4, 'each just under four hours')
  const finals = client.ofType('Transcript')
  t.equal(finals.length, words)
  for (const [index, { start, text }] of finals.entries()) {
    if (text !== `word ${index}` || Math.abs(Number(start) - (index * 20 + 19)) > 0.01) {
      t.fail(`${String(text)} at ${String(start)}`)
    }
  }
  t.strictSame(metrics.rollovers, ['max_duration', 'max_duration', 'max_duration'])
  for (const message of client.ofType('Rollover')) {
    t.match(message, { reason: 'max_duration', lost_seconds: 0, gap_ms: 0 })
    t.ok(Number(message['replayed_seconds']) < 1.1, 'only what was said since the last word')
  }
  for (const { upstream } of dialer.dials.slice(0, -1)) t.equal(upstream.ended, 'close', 'politely')
  session.clientOnText(CLOSE)
  dialer.last.close()
  t.match(client.last, { type: 'End', audio_seconds: 43_200, rollovers: 3, finals: words })
  t.ok(Number(client.last?.['billed_seconds']) < 43_210)
  t.equal(metrics.upstreamStreamsActive, 0)
})

t.test('the change waits for a final, and not for ever', async t => {
  const limits = { maxStreamMs: 60_000, handoverLeadMs: 20_000 }
  const quiet = startSession('', limits).opened()
  speak(quiet, 39_800)
  quiet.dial.receive(transcriptMessage([resultOf('in the middle', 39, 39.5, true)]))
  speak(quiet, 5000)
  t.equal(quiet.dialer.dials.length, 1, 'somebody speaks')
  quiet.dial.receive(transcriptMessage([resultOf('in the middle of it', 39, 44)]))
  speak(quiet, 100)
  t.equal(quiet.dialer.dials.length, 2)
  speak(quiet, 300)
  const [first, second] = quiet.dialer.dials
  if (first === undefined || second === undefined) throw new Error('two streams')
  t.equal(
    first.upstream.audio.length,
    32 * 45_200,
    'the old stream hears everything until the new one is there',
  )
  first.receive(transcriptMessage([resultOf('still heard', 44.5, 45)]))
  second.open()
  t.equal(first.upstream.ended, 'close')
  t.ok(first.upstream.hasEnd)
  first.receive(transcriptMessage([resultOf('too late', 45, 45.1)]))
  t.equal(second.upstream.audio.length, 32 * 200, 'from the end of the last word')
  second.receive(transcriptMessage([resultOf('next', 0.1, 0.2)]))
  t.strictSame(
    quiet.client.ofType('Transcript').map(({ text, end }) => [text, end]),
    [
      ['in the middle', 39.5],
      ['in the middle of it', 44],
      ['still heard', 45],
      ['next', 45.2],
    ],
  )

  const talking = startSession('', limits).opened()
  speak(talking, 30_000)
  talking.dial.receive(transcriptMessage([resultOf('on and on', 29, 30, true)]))
  speak(talking, 29_900)
  t.equal(talking.dialer.dials.length, 1)
  speak(talking, 100)
  t.equal(talking.dialer.dials.length, 2, 'at the end of its life')
  talking.dial.open()
  t.match(talking.client.last, {
    type: 'Rollover',
    reason: 'max_duration',
    lost_seconds: 1,
    replayed_seconds: 30,
  })
})

t.test(
  'a dial that fails in advance costs nothing; if the old stream ends meanwhile, there is a gap',
  async t => {
    const harness = startSession('', { maxStreamMs: 60_000, handoverLeadMs: 20_000 }).opened()
    speakThenFinal(harness, 39_900)
    speak(harness, 100)
    t.equal(harness.dialer.dials.length, 2)
    harness.dial.fail(new RelayError('upstream_unavailable'))
    speakThenFinal(harness, 4900)
    t.equal(harness.session.state, 'open')
    t.equal(harness.dialer.dials.length, 2, 'some seconds later')
    speak(harness, 200)
    t.equal(harness.dialer.dials.length, 3)
    harness.dialer.dials[0]?.close(1006)
    t.equal(harness.session.state, 'rolling-over')
    speak(harness, 1000)
    t.equal(harness.dialer.dials.length, 3, 'the one that is under way will do')
    harness.dial.open()
    t.equal(harness.session.state, 'open')
    t.match(harness.client.last, { type: 'Rollover', reason: 'upstream_closed', gap_ms: 1000 })
  },
)

t.test('a change that is begun long before is tried again within seconds', async t => {
  const harness = startSession('', { maxStreamMs: 200_000, handoverLeadMs: 160_000 }).opened()
  speakThenFinal(harness, 39_900)
  speak(harness, 100)
  t.equal(harness.dialer.dials.length, 2)
  harness.dial.fail(new RelayError('upstream_unavailable'))
  speakThenFinal(harness, 14_800)
  t.equal(harness.dialer.dials.length, 2)
  speak(harness, 300)
  t.equal(harness.dialer.dials.length, 3)
})

t.test('credentials that end are replaced before, and ones that cannot be replaced do no harm', async t => {
  const expiring = (harness: Harness, leftMs: number) => harness.clock.now() + leftMs
  const harness = startSession()
  harness.dial.open({ credentialsExpireAtMs: expiring(harness, 900_000) })
  speakThenFinal(harness, 779_900)
  t.equal(harness.dialer.dials.length, 1)
  speak(harness, 100)
  t.equal(harness.dialer.dials.length, 2, 'two minutes before')
  harness.dial.open({ credentialsExpireAtMs: expiring(harness, 900_000) })
  t.match(harness.client.last, { type: 'Rollover', reason: 'credentials_expiring', gap_ms: 0 })
  speak(harness, 1000)
  t.equal(harness.dialer.dials.length, 2)

  const stubborn = startSession()
  const expireAtMs = expiring(stubborn, 150_000)
  stubborn.dial.open({ credentialsExpireAtMs: expireAtMs })
  for (let ms = 0; ms < 150_000; ms += 1000) {
    speak(stubborn, 1000)
    if (stubborn.dial.upstream.payloads.length === 0)
      stubborn.dial.open({ credentialsExpireAtMs: expireAtMs })
  }
  t.ok(stubborn.dialer.dials.length <= 4, `${stubborn.dialer.dials.length} streams in 150 s`)

  const cut = startSession().opened()
  speak(cut, 11_000)
  cut.dial.receive(exceptionMessage('UnrecognizedClientException', 'no longer'))
  t.equal(cut.session.state, 'rolling-over', 'credentials that were good once have ended')
})

t.test('the session id: another one for each stream, or the same within the window of a resume', async t => {
  const fresh = startSession().opened()
  const kept = startSession('session-resume-window=1').opened()
  for (const harness of [fresh, kept]) {
    for (let index = 0; index < 3; index += 1) {
      speak(harness, 29_900)
      harness.dial.close(1006)
      speak(harness, 300)
      harness.dial.open()
    }
  }
  const idsOf = ({ dialer }: Harness) => dialer.dials.map(({ request }) => request.parameters['session-id'])
  t.equal(new Set(idsOf(fresh)).size, 4)
  for (const id of idsOf(fresh)) t.match(id, /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/)
  const [first, second, ...late] = idsOf(kept)
  t.equal(first, kept.session.id)
  t.equal(second, first)
  t.equal(new Set([first, ...late]).size, 3, 'the window is over')

  const conflict = startSession('session-resume-window=300', { maxStreamMs: 60_000, handoverLeadMs: 20_000 })
  conflict.dial.open()
  speakThenFinal(conflict, 39_900)
  speak(conflict, 100)
  t.equal(conflict.dialer.dials.length, 2)
  // The service ends the old stream when the new one opens.
  conflict.dialer.dials[0]?.receive(exceptionMessage('ConflictException', 'same session'))
  t.equal(conflict.session.state, 'rolling-over')
  conflict.dial.open()
  t.equal(conflict.session.state, 'open')
})

t.test('a hand-over in the middle of speech keeps every word', async t => {
  const random = createRandom(7)
  const ruler = rulerOf(100)
  const words = wordsWithin(99, random)
  const harness = startSession('', { maxStreamMs: 12_000, handoverLeadMs: 1000 })
  const service = new FakeRecogniser(harness.dialer, ruler, words, { latencyMs: 700 })
  for (let offset = 0; offset < ruler.length; offset += 3200) {
    harness.clock.advance(100)
    if (service.streams.every(({ dial }) => dial !== harness.dial)) service.open(harness.dial)
    harness.session.clientOnAudio(ruler.subarray(offset, offset + 3200))
    service.hear(harness.clock.monotonicMs())
  }
  harness.session.clientOnText(CLOSE)
  for (let waits = 0; waits < 100 && harness.client.closed === null; waits += 1) {
    harness.clock.advance(100)
    service.hear(harness.clock.monotonicMs())
  }
  t.ok(harness.dialer.dials.length >= 8, `${harness.dialer.dials.length} streams`)
  const finals = harness.client.ofType('Transcript').filter(message => message['is_final'] === true)
  t.equal(finals.map(final => String(final['text'])).join(' '), words.map(({ text }) => text).join(' '))
  t.strictSame(service.violations, [])
})
