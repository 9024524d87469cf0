/** A session without a stream while nobody speaks: what it costs, what it delivers, and how it goes on. */
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { FakeRecogniser, rulerOf, wordsWithin } from '../support/fake-recogniser.ts'
import { exceptionMessage, resultOf, transcriptMessage } from '../support/memory-ports.ts'
import { createRandom } from '../support/random.ts'
import { audioOf, LIMITS, speak, startSession, type Harness } from '../support/session-harness.ts'

const CLOSE = '{"type":"CloseStream"}'
const PAUSE = '{"type":"Pause"}'
const RESUME = '{"type":"Resume"}'
const IDLE = 'Your request timed out because no new audio was received for 15 seconds.'

/** Parks the session, and lets the service say its last words. */
function park(harness: Harness, text: string): void {
  harness.session.clientOnText(PAUSE)
  const seconds = harness.dial.upstream.audio.length / 32_000
  harness.dial.receive(transcriptMessage([resultOf(text, seconds - 1, seconds - 0.1)]))
  harness.dial.close()
}

t.test(
  'silence: the stream is finished, the finals come, the session stays, the next audio opens another',
  async t => {
    const harness = startSession().opened()
    speak(harness, 5000)
    harness.clock.advance(LIMITS.parkAfterMs - 100)
    t.equal(harness.session.state, 'open')
    harness.clock.advance(100)
    t.equal(harness.session.state, 'parked')
    t.ok(harness.dial.upstream.hasEnd)
    t.equal(harness.metrics.parkedSeconds, 0, 'nothing is saved before the stream is gone')
    harness.dial.receive(transcriptMessage([resultOf('before', 4, 4.9)]))
    harness.dial.close(1000, 'Streaming completed successfully')
    t.equal(harness.metrics.upstreamStreamsActive, 0)
    harness.clock.advance(600_000)
    t.equal(harness.dialer.dials.length, 1)
    t.ok(Math.abs(harness.metrics.parkedSeconds - 600) < 0.001, `${harness.metrics.parkedSeconds} s`)
    t.equal(harness.metrics.silenceFilledSeconds, 0)

    speak(harness, 300)
    t.equal(harness.session.state, 'rolling-over')
    t.equal(harness.dialer.dials.length, 2, 'at the first audio')
    harness.dial.open()
    speak(harness, 2000)
    // The audio since the last word comes once more, because it may have been cut off within one.
    t.equal(harness.dial.upstream.audio.length, 32 * 2400)
    harness.dial.receive(transcriptMessage([resultOf('after', 1.1, 2)]))
    harness.session.clientOnText(CLOSE)
    harness.dial.close()
    t.strictSame(
      harness.client.types,
      ['Begin', 'Transcript', 'Transcript', 'End'],
      'no rollover: nothing was void',
    )
    t.match(harness.client.ofType('Transcript'), [
      { text: 'before', start: 4, end: 4.9 },
      { text: 'after', start: 6, end: 6.9 },
    ])
    t.match(harness.client.last, { audio_seconds: 7.3, billed_seconds: 30, rollovers: 0 })
    t.match(harness.log.ends[0], { streams: 2, rollovers: 0, parked_seconds: 600.1 })
  },
)

t.test('Pause and Resume do it at once; KeepAlive adds nothing', async t => {
  const harness = startSession().opened()
  harness.session.clientOnText(RESUME)
  t.equal(harness.session.state, 'open')
  speak(harness, 2000)
  harness.session.clientOnAudio(audioOf(30))
  park(harness, 'one')
  t.equal(harness.dial.upstream.audio.length, 32 * 2030, 'what waited for a whole chunk is part of it')
  harness.session.clientOnText(PAUSE)
  harness.session.clientOnText('{"type":"KeepAlive"}')
  harness.clock.advance(30_000)
  t.equal(harness.session.state, 'parked')
  harness.session.clientOnText(RESUME)
  harness.session.clientOnText(RESUME)
  t.equal(harness.session.state, 'rolling-over')
  t.equal(harness.dialer.dials.length, 2)
  harness.dial.open()
  t.equal(harness.session.state, 'open')
  harness.clock.advance(LIMITS.parkAfterMs)
  t.equal(harness.session.state, 'parked', 'nobody spoke after all')
  harness.dial.close()
  harness.session.clientOnText(RESUME)
  harness.session.clientOnText(CLOSE)
  t.match(harness.client.last, { type: 'End' }, 'nothing is left to wait for')
  t.ok(harness.dial.isCanceled)
})

t.test('Pause before the stream is there: what was said is delivered first', async t => {
  const harness = startSession()
  harness.session.clientOnAudio(audioOf(500))
  harness.session.clientOnText(PAUSE)
  t.equal(harness.session.state, 'dialling')
  harness.dial.open()
  t.equal(harness.session.state, 'parked')
  t.strictSame(harness.client.types, ['Begin'])
  t.equal(harness.dial.upstream.audio.length, 32 * 500)
  t.ok(harness.dial.upstream.hasEnd)

  const lost = startSession().opened()
  speak(lost, 500)
  lost.dial.close(1006)
  lost.session.clientOnText(PAUSE)
  lost.clock.advance(300)
  lost.dial.open()
  lost.clock.advance(100)
  t.equal(lost.session.state, 'parked')
  t.equal(lost.dial.upstream.audio.length, 32 * 500)
  t.ok(lost.dial.upstream.hasEnd)

  const changed = startSession()
  changed.session.clientOnText(PAUSE)
  changed.session.clientOnAudio(audioOf(100))
  changed.dial.open()
  t.equal(changed.session.state, 'open', 'audio says that somebody speaks')
})

t.test('audio right after Pause: the last results are not waited for, and nothing is lost', async t => {
  const harness = startSession().opened()
  speak(harness, 3000)
  harness.dial.receive(transcriptMessage([resultOf('said', 0.5, 2)]))
  harness.session.clientOnText(PAUSE)
  speak(harness, 100)
  t.equal(harness.dialer.dials[0]?.upstream.ended, 'close')
  t.equal(harness.dialer.dials.length, 2)
  harness.dial.open()
  t.match(harness.client.last, { type: 'Rollover', reason: 'resumed', replayed_seconds: 1 })
  harness.clock.advance(1000)
  t.equal(harness.dial.upstream.audio.length, 32 * 1100)
})

t.test('a stream that fails while it is parked is replaced, until its last results are there', async t => {
  const harness = startSession().opened()
  speak(harness, 1000)
  harness.session.clientOnText(PAUSE)
  harness.dial.close(1006)
  t.equal(harness.session.state, 'rolling-over')
  harness.clock.advance(300)
  harness.dial.open()
  harness.clock.advance(200)
  t.equal(harness.session.state, 'parked')
  t.ok(harness.dial.upstream.hasEnd)
  harness.dial.receive(transcriptMessage([resultOf('kept', 0.1, 0.9)]))
  harness.dial.close()
  harness.clock.advance(60_000)
  t.equal(harness.dialer.dials.length, 2)
  t.strictSame(harness.client.types, ['Begin', 'Rollover', 'Transcript'])
})

t.test(
  'last results that do not come, park after park: each has another stream, one after the other has not',
  async t => {
    const harness = startSession().opened()
    // The service has as much longer as the audio was sent ahead of its time.
    const waitForResults = () => {
      for (let ms = 0; harness.session.state === 'parked' && ms < 60_000; ms += 100)
        harness.clock.advance(100)
      return harness.session.state
    }
    speak(harness, 1000)
    for (let parks = 1; parks <= 3; parks += 1) {
      harness.session.clientOnText(PAUSE)
      t.equal(waitForResults(), 'rolling-over', `park ${parks}`)
      harness.clock.advance(300)
      harness.dial.open()
      harness.clock.advance(100)
      t.equal(harness.session.state, 'parked')
      // Before the last results are there, so that this stream never ends well.
      speak(harness, 100)
      harness.dial.open()
      speak(harness, 12_000)
    }
    harness.session.clientOnText(PAUSE)
    t.equal(waitForResults(), 'rolling-over')
    harness.clock.advance(300)
    harness.dial.open()
    harness.clock.advance(100)
    t.equal(waitForResults(), 'closed')
    t.match(harness.client.last, { type: 'Error', code: 'flush_timeout' })
  },
)

t.test(
  'a service that gives up for want of audio: nothing open, nothing lost, and no new stream',
  async t => {
    for (const silence of ['end', 'fill'] as const) {
      const harness = startSession('', { silence, silenceFillMaxMs: 0, audioTimeoutMs: 40_000 }).opened()
      speak(harness, 2000)
      harness.dial.receive(transcriptMessage([resultOf('said', 0.5, 1.5)]))
      harness.clock.advance(15_000)
      harness.dial.receive(exceptionMessage('BadRequestException', IDLE))
      t.equal(harness.session.state, 'parked', silence)
      speak(harness, 200)
      harness.dial.open()
      t.equal(harness.session.state, 'open')
      t.notOk(harness.client.types.includes('Rollover'))
    }
    const open = startSession('', { silence: 'fill', silenceFillMaxMs: 0, audioTimeoutMs: 40_000 }).opened()
    speak(open, 2000)
    open.dial.receive(transcriptMessage([resultOf('not fin', 0.5, 1.5, true)]))
    open.clock.advance(15_000)
    open.dial.receive(exceptionMessage('BadRequestException', IDLE))
    t.equal(open.session.state, 'rolling-over', 'a segment has no final yet')
    open.clock.advance(300)
    open.dial.open()
    open.clock.advance(1000)
    t.equal(open.session.state, 'parked', 'and gets one')
    t.ok(open.dial.upstream.hasEnd)
    t.equal(open.dial.upstream.audio.length, 32 * 2000)
  },
)

t.test('the end of a parked session: its duration, a drain, its client', async t => {
  const expired = startSession('', { maxSessionMs: 60_000, sessionWarningMs: 10_000 }).opened()
  speak(expired, 1000)
  park(expired, 'said')
  expired.clock.advance(58_900)
  t.strictSame(expired.client.warnings, ['session_expiring'])
  expired.clock.advance(100)
  t.strictSame(expired.client.closed, { code: 4440, reason: 'session_expired' })
  t.equal(expired.dialer.dials.length, 1)

  const closing = startSession().opened()
  speak(closing, 1000)
  closing.session.clientOnText(PAUSE)
  closing.session.clientOnText(CLOSE)
  t.equal(closing.session.state, 'finishing')
  closing.dial.receive(transcriptMessage([resultOf('last', 0.1, 0.9)]))
  closing.dial.close()
  t.strictSame(closing.client.types, ['Begin', 'Transcript', 'End'])

  const odd = startSession().opened()
  odd.session.clientOnText(PAUSE)
  odd.dial.close()
  // Too few bytes to tell whether they are a header: audio, once nothing more comes.
  odd.session.clientOnAudio(audioOf(1).subarray(0, 2))
  odd.session.clientOnText(PAUSE)
  odd.dial.open()
  odd.dial.close()
  t.equal(odd.session.state, 'parked')
  odd.session.clientOnText(CLOSE)
  t.equal(odd.session.state, 'rolling-over')
  odd.dial.open()
  t.equal(odd.dial.upstream.audio.length, 2)
  odd.dial.close()
  t.match(odd.client.last, { type: 'End', audio_seconds: 0 })

  const away = startSession().opened()
  speak(away, 1000)
  park(away, 'said')
  speak(away, 100)
  for (let dials = 0; away.client.closed === null && dials < 20; dials += 1) {
    away.dial.fail(new RelayError('upstream_unavailable'))
    away.clock.advance(10_000)
  }
  t.match(
    away.client.last,
    { type: 'Error', code: 'upstream_unavailable' },
    'no stream is to be had any more',
  )
  t.equal(away.metrics.audioDroppedBytes, 3200)
})

t.test('compressed audio cannot go on in another stream', async t => {
  const harness = startSession('media-encoding=flac', { maxStreamMs: 60_000, handoverLeadMs: 0 }).opened()
  harness.session.clientOnAudio(Buffer.from('fLaC and so on'))
  harness.session.clientOnText(PAUSE)
  t.strictSame(harness.client.warnings, ['pause_ignored'])
  t.equal(harness.session.state, 'open')
  harness.clock.advance(LIMITS.audioTimeoutMs)
  t.equal(harness.session.state, 'finishing', 'so its silence ends it')

  const long = startSession('media-encoding=flac', { maxStreamMs: 60_000, handoverLeadMs: 0 }).opened()
  for (let ms = 0; ms < 60_000; ms += 5000) {
    long.session.clientOnAudio(Buffer.from('fLaC and so on'))
    long.clock.advance(5000)
  }
  long.dial.close()
  t.match(long.client.last, { code: 'session_expired' }, 'and the longest stream is the longest session')
  t.equal(
    Date.parse(String(long.client.messages[0]?.['expires_at'])) - Date.UTC(2026, 0, 1),
    60_000,
    'which Begin says',
  )
})

t.test('a network that stops for a while, within words: every word comes once', async t => {
  for (let round = 0; round < 20; round += 1) {
    const random = createRandom(round)
    const ruler = rulerOf(30)
    const words = wordsWithin(29, random)
    const harness = startSession()
    const service = new FakeRecogniser(harness.dialer, ruler, words, { latencyMs: 400 })
    const pass = (ms: number) => {
      for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
        harness.clock.advance(100)
        if (service.streams.every(({ dial }) => dial !== harness.dial)) service.open(harness.dial)
        service.hear(harness.clock.monotonicMs())
      }
    }
    for (let offset = 0; offset < ruler.length; offset += 3200) {
      pass(100)
      harness.session.clientOnAudio(ruler.subarray(offset, offset + 3200))
      if (random() < 0.03) pass(LIMITS.parkAfterMs + random() * 5000)
    }
    harness.session.clientOnText(CLOSE)
    pass(3000)
    const finals = harness.client.ofType('Transcript').filter(message => message['is_final'] === true)
    const said = finals.map(final => String(final['text'])).join(' ')
    t.equal(
      said,
      words.map(({ text }) => text).join(' '),
      `round ${round}, ${harness.dialer.dials.length} streams`,
    )
  }
})
