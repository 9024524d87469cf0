/** What a session does while its client sends no audio. */
import t from 'tap'
import {
  GRACE_MS,
  KEEP_INTERVAL_MS,
  KEEP_PIECE_MS,
  LEAD_MS,
  SilencePolicy,
} from '../../src/session/silence-policy.ts'
import { resultOf, transcriptMessage } from '../support/memory-ports.ts'
import { createRandom } from '../support/random.ts'
import { audioOf, speak, startSession } from '../support/session-harness.ts'

const KEEP_ALIVE = '{"type":"KeepAlive"}'

t.test('silence=end: the audio ends, the finals come, then audio_timeout', async t => {
  const harness = startSession('', { silence: 'end' }).opened()
  speak(harness, 1000)
  harness.clock.advance(13_900)
  t.equal(harness.session.state, 'open')
  harness.clock.advance(100)
  t.equal(harness.session.state, 'finishing')
  t.ok(harness.dial.upstream.hasEnd)
  harness.dial.receive(transcriptMessage([resultOf('last words', 0.2, 0.9)]))
  harness.dial.close()
  t.strictSame(harness.client.types, ['Begin', 'Transcript', 'Error'])
  t.match(harness.client.last, { code: 'audio_timeout', retryable: true })
  t.strictSame(harness.client.closed, { code: 4408, reason: 'audio_timeout' })
  t.equal(harness.metrics.silenceFilledSeconds, 0)
})

t.test('the wait for the upstream is no silence of the client', async t => {
  const harness = startSession('', { silence: 'end' })
  harness.clock.advance(12_000)
  harness.dial.open()
  harness.clock.advance(13_000)
  t.equal(harness.session.state, 'open')
  harness.clock.advance(1000)
  t.equal(harness.session.state, 'finishing')
})

t.test('KeepAlive keeps a session, before it is open too, and no longer than it says', async t => {
  const harness = startSession('', { silence: 'end' })
  harness.session.clientOnText(KEEP_ALIVE)
  harness.dial.open()
  harness.clock.advance(10_000)
  harness.session.clientOnText(KEEP_ALIVE)
  t.ok(harness.dial.upstream.audio.length > 0, 'silence went to the service')
  t.ok(harness.dial.upstream.audio.equals(Buffer.alloc(harness.dial.upstream.audio.length)))
  harness.clock.advance(13_900)
  t.equal(harness.session.state, 'open')
  harness.clock.advance(200)
  t.equal(harness.session.state, 'finishing', '14 s after the last sign of the client')
})

t.test('compressed audio cannot be filled: KeepAlive does not help', async t => {
  const harness = startSession('media-encoding=flac', { silence: 'fill' }).opened()
  harness.session.clientOnText(KEEP_ALIVE)
  harness.clock.advance(14_000)
  t.equal(harness.session.state, 'finishing')
  t.equal(harness.dial.upstream.audio.length, 0)
})

t.test('silence=fill: real time first, then just enough, never more than its limit', async t => {
  const harness = startSession('', { silence: 'fill', silenceFillMaxMs: 5000 }).opened()
  speak(harness, 1000)
  const { metrics } = harness
  harness.clock.advance(GRACE_MS + 100 + LEAD_MS)
  t.ok(
    metrics.silenceFilledSeconds > 1.6 && metrics.silenceFilledSeconds < 2.001,
    `${metrics.silenceFilledSeconds}`,
  )
  const afterLead = metrics.silenceFilledSeconds
  harness.clock.advance(40_000)
  const sparse = metrics.silenceFilledSeconds - afterLead
  const expected = (40_000 / KEEP_INTERVAL_MS) * (KEEP_PIECE_MS / 1000)
  t.ok(Math.abs(sparse - expected) < 0.5, `${sparse} s in 40 s`)
  t.equal(harness.session.state, 'open')
  harness.clock.advance(200_000)
  t.ok(Math.abs(metrics.silenceFilledSeconds - 5) < 1e-9, `${metrics.silenceFilledSeconds} s of at most 5`)
  t.equal(harness.session.state, 'closed', 'nothing more to fill with: the session ended')
  t.equal(metrics.ended[0]?.code, 'audio_timeout')
  t.ok(harness.dial.upstream.hasEnd)
})

t.test(
  'silence=fill: long messages in real time are no silence, and their words are not cut apart',
  async t => {
    for (const pieceMs of [100, 400, 1000, 2000]) {
      const harness = startSession('', { silence: 'fill' }).opened()
      speak(harness, 20_000, pieceMs)
      t.equal(harness.metrics.silenceFilledSeconds, 0, `${pieceMs} ms a message`)
    }
  },
)

t.test('silence of the relay is never an empty AudioEvent, whatever the clock says', async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const limits = {
    audioTimeoutMs: 14_000,
    parkAfterMs: 10_000,
    silence: 'fill',
    silenceFillMaxMs: 100_000,
  } as const
  let filledMs = 0
  for (let round = 0; round < 200; round += 1) {
    let nowMs = random() * 1e6
    let lastSentMs = nowMs
    const policy = new SilencePolicy(limits, true, nowMs)
    policy.audioArrived(100 * random(), nowMs)
    for (let step = 0; step < 200; step += 1) {
      nowMs += random() * 150
      const decision = policy.decide(nowMs)
      if (decision.kind !== 'fill') continue
      filledMs += decision.pieceMs
      if (!Number.isInteger(decision.pieceMs) || decision.pieceMs < 1)
        t.fail(`piece of ${decision.pieceMs} ms`)
      if (nowMs - lastSentMs > 6000) t.fail(`${nowMs - lastSentMs} ms without audio`)
      lastSentMs = nowMs
    }
  }
  t.ok(filledMs > 0)
})

for (const format of ['simple', 'aws']) {
  t.test(`silence of the relay does not exist in the times of a client, format=${format}`, async t => {
    const harness = startSession(`format=${format}&words=true`, { silence: 'fill' }).opened()
    speak(harness, 1000)
    harness.clock.advance(3000)
    const filled = harness.metrics.silenceFilledSeconds
    t.ok(filled > 1)
    speak(harness, 1000)
    // Begins before the silence, and ends after it.
    const across = resultOf('hello world', 0.5, 1.5 + filled)
    Object.assign(across, {
      Alternatives: [
        {
          Transcript: 'hello world',
          Items: [
            { Content: 'hello', StartTime: 0.5, EndTime: 0.9, Type: 'pronunciation' },
            { Content: 'world', StartTime: 1 + filled / 2, EndTime: 1.5 + filled, Type: 'pronunciation' },
          ],
          Entities: [
            { Category: 'PII', Type: 'NAME', Content: 'world', StartTime: 1 + filled, EndTime: 1.5 + filled },
          ],
        },
      ],
    })
    harness.dial.receive(transcriptMessage([across]))
    const [result] = harness.client.ofType('Transcript')
    if (format === 'simple') {
      t.match(result, {
        start: 0.5,
        end: 1.5,
        words: [
          { text: 'hello', start: 0.5, end: 0.9 },
          { text: 'world', start: 1, end: 1.5 },
        ],
        entities: [{ type: 'NAME', start: 1, end: 1.5 }],
      })
    } else {
      const items = [
        { StartTime: 0.5, EndTime: 0.9 },
        { StartTime: 1, EndTime: 1.5 },
      ]
      const Entities = [{ StartTime: 1, EndTime: 1.5, Content: 'world' }]
      t.match(result, {
        Transcript: {
          Results: [{ StartTime: 0.5, EndTime: 1.5, Alternatives: [{ Items: items, Entities }] }],
        },
      })
    }
    t.ok((harness.metrics.finalLagSeconds[0] ?? -1) >= 0.4, 'and in the lag')
    harness.session.clientOnText('{"type":"CloseStream"}')
    harness.dial.close()
    t.match(harness.client.last, { type: 'End', audio_seconds: 2, billed_seconds: 15 })
    t.equal(harness.log.ends[0]?.['silence_seconds'], Math.round(filled * 1000) / 1000)
    t.equal(
      harness.metrics.upstreamAudioBytes,
      harness.metrics.clientAudioBytes + Math.round(filled * 32_000),
      'all of the audio, and the silence',
    )
  })
}

t.test('a broken sample waits through the silence', async t => {
  const harness = startSession('', { silence: 'fill' }).opened()
  const audio = audioOf(200)
  harness.session.clientOnAudio(audio.subarray(0, 3201))
  harness.clock.advance(3000)
  harness.session.clientOnAudio(audio.subarray(3201))
  harness.session.clientOnText('{"type":"CloseStream"}')
  const { audio: heard } = harness.dial.upstream
  t.ok(heard.subarray(0, 3200).equals(audio.subarray(0, 3200)))
  t.ok(heard.subarray(heard.length - 3200).equals(audio.subarray(3200)))
  t.ok(heard.subarray(3200, heard.length - 3200).equals(Buffer.alloc(heard.length - 6400)))
})
