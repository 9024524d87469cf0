/** The way of the audio through a whole session: from the client's messages to the payloads that the upstream decodes. */
import t from 'tap'
import {
  audioOf,
  BYTES_PER_MS,
  LIMITS,
  NO_ROLLOVER,
  speak,
  startSession,
  type Harness,
} from '../support/session-harness.ts'
import { readSamples } from '../support/memory-ports.ts'
import { createRandom } from '../support/random.ts'

const SAMPLES = readSamples('examples/audio/sense_and_sensibility_01_austen_64kb-0870.wav')
const CLOSE = '{"type":"CloseStream"}'

/** Cuts of 1 to `maxBytes` bytes, odd ones too, each sent when its last sample would have been recorded. */
function sendInCuts(harness: Harness, audio: Buffer, random: () => number, maxBytes: number): void {
  let offset = 0
  while (offset < audio.length) {
    const length = Math.min(1 + Math.floor(random() * maxBytes), audio.length - offset)
    harness.clock.advance(length / BYTES_PER_MS)
    harness.session.clientOnAudio(audio.subarray(offset, offset + length))
    offset += length
  }
}

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

t.test(`real speech in random cuts arrives byte for byte, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  for (const maxBytes of [700, 3000, 6400, 20_000, 65_536]) {
    const harness = startSession()
    const { client, dial, session, metrics } = harness
    const lateOpening = Math.floor(random() * SAMPLES.length)
    sendInCuts(harness, SAMPLES.subarray(0, lateOpening), random, maxBytes)
    t.equal(dial.upstream.payloads.length, 0)
    dial.open()
    sendInCuts(harness, SAMPLES.subarray(lateOpening), random, maxBytes)
    session.clientOnText(CLOSE)
    const { upstream } = dial
    t.ok(upstream.hasEnd, 'the empty AudioEvent is the last, and the only one')
    t.ok(upstream.audio.equals(SAMPLES), `cuts up to ${maxBytes}`)
    const chunks = upstream.payloads.slice(0, -2).map(({ length }) => length)
    t.ok(Math.max(...chunks) <= 200 * BYTES_PER_MS, `longest chunk ${Math.max(...chunks)}`)
    // A pause in the middle of a chunk is ended by the clock: only clients that send rarely get such chunks.
    if (maxBytes <= 6400)
      t.ok(Math.min(...chunks) >= 50 * BYTES_PER_MS, `shortest chunk ${Math.min(...chunks)}`)
    t.ok(chunks.every(length => length % 2 === 0))
    dial.close()
    t.strictSame(client.types, ['Begin', 'End'])
    t.equal(client.last?.['audio_seconds'], SAMPLES.length / 32_000)
    t.equal(metrics.clientAudioBytes, SAMPLES.length)
    t.equal(metrics.upstreamAudioBytes, SAMPLES.length)
    t.equal(metrics.audioDroppedBytes, 0)
    t.equal(metrics.upstreamFrames, upstream.payloads.length)
    t.equal(harness.frameMemory.ownedCount, 0, 'the memory of every frame came back')
  }
})

t.test('audio before the upstream opens waits in order, up to a limit', async t => {
  const harness = startSession('', { pendingAudioBytes: 65_536 })
  speak(harness, 1900)
  t.equal(harness.session.state, 'dialling')
  t.ok(harness.session.upstreamBufferedBytes > 60_000)
  t.strictSame(harness.registry.buffered('upstream').max, harness.session.upstreamBufferedBytes)
  speak(harness, 100)
  t.strictSame(harness.client.closed, { code: 4504, reason: 'upstream_timeout' })
  t.match(harness.client.last, { type: 'Error', code: 'upstream_timeout', retryable: true })
  t.ok(harness.dial.isCanceled)
  t.equal(harness.metrics.audioDroppedBytes, harness.metrics.clientAudioBytes, 'every lost byte is counted')
  t.equal(harness.session.upstreamBufferedBytes, 0)
})

t.test('tiny messages are joined, and the message rate is limited', async t => {
  const harness = startSession('', { messagesPerSecond: 20_000 }).opened()
  const audio = audioOf(1000)
  for (let offset = 0; offset < audio.length; offset += 2) {
    harness.clock.advance(1 / 16)
    harness.session.clientOnAudio(audio.subarray(offset, offset + 2))
  }
  harness.session.clientOnText(CLOSE)
  t.ok(harness.dial.upstream.audio.equals(audio))
  t.ok(harness.dial.upstream.payloads.length <= 12, `${harness.dial.upstream.payloads.length} frames for 1 s`)

  for (const send of [
    (h: Harness) => h.session.clientOnAudio(audio.subarray(0, 2)),
    (h: Harness) => h.session.clientOnText('{"type":"KeepAlive"}'),
  ]) {
    const flooding = startSession().opened()
    let sent = 0
    while (flooding.client.closed === null && sent < 2000) {
      send(flooding)
      sent += 1
    }
    t.strictSame(flooding.client.closed, { code: 4429, reason: 'rate_limited' })
    t.equal(sent, 1001, 'two seconds of messages may come at once')
  }
})

t.test('pace: a burst and a little too fast are fine; faster is warned, then ended', async t => {
  const burst = startSession().opened()
  for (let index = 0; index < 50; index += 1) burst.session.clientOnAudio(audioOf(100))
  t.equal(burst.client.closed, null, 'five seconds at once')
  t.strictSame(burst.client.warnings, ['audio_too_fast'])

  const steady = startSession().opened()
  for (let index = 0; index < 600; index += 1) {
    steady.clock.advance(80)
    steady.session.clientOnAudio(audioOf(100))
  }
  t.equal(steady.client.closed, null, '1.25 times real time for 48 s')
  t.strictSame(steady.client.warnings, [])

  for (const factor of [2, 10, 1000]) {
    const fast = startSession().opened()
    let sentMs = 0
    while (fast.client.closed === null && sentMs < 60_000) {
      fast.clock.advance(100 / factor)
      fast.session.clientOnAudio(audioOf(100))
      sentMs += 100
    }
    t.strictSame(fast.client.closed, { code: 4429, reason: 'audio_too_fast' }, `${factor} times`)
    t.strictSame(fast.client.warnings, ['audio_too_fast'], 'once, before')
    const allowedMs = 5000 / (1 - 1.25 / factor) + 100
    t.ok(sentMs >= 5000 && sentMs <= allowedMs + 100, `after ${sentMs} ms of at most ${allowedMs}`)
    const { clientAudioBytes, upstreamAudioBytes, audioDroppedBytes } = fast.metrics
    t.equal(upstreamAudioBytes + audioDroppedBytes, clientAudioBytes)
  }
})

/** Nothing is heard of the client; a stream that is parked meanwhile ends well. */
function standStill(harness: Harness, ms: number): void {
  harness.clock.advance(Math.min(ms, LIMITS.parkAfterMs + 1000))
  if (harness.session.state === 'parked') harness.dial.close()
  harness.clock.advance(Math.max(0, ms - LIMITS.parkAfterMs - 1000))
}

t.test('a network that stood still may deliver at once what it kept, and no more than that', async t => {
  for (const stillMs of [3000, 9000, 25_000]) {
    const harness = startSession('', { messagesPerSecond: 20 }).opened()
    speak(harness, 2000)
    standStill(harness, stillMs)
    for (let ms = 0; ms < stillMs; ms += 100) harness.session.clientOnAudio(audioOf(100))
    t.equal(harness.client.closed, null, `${stillMs} ms at once`)
    t.strictSame(harness.client.warnings, [])
    if (harness.session.state === 'rolling-over') harness.dial.open()
    const sentAtOnce = harness.metrics.upstreamAudioBytes / 32_000 - 2
    t.ok(sentAtOnce < 3, `the stream gets it at the pace of a replay, ${sentAtOnce} s at once`)
    speak(harness, stillMs)
    const { clientAudioBytes, replayedSeconds, upstreamAudioBytes } = harness.metrics
    t.equal(upstreamAudioBytes - replayedSeconds * 32_000, clientAudioBytes, 'all of it')
    t.equal(harness.metrics.audioDroppedBytes, 0)
    for (let ms = 0; ms < 8000; ms += 100) harness.session.clientOnAudio(audioOf(100))
    t.strictSame(harness.client.closed?.code, 4429, 'what was made up for is not made up for again')
  }

  const hesitant = startSession().opened()
  speak(hesitant, 2000)
  standStill(hesitant, 3000)
  hesitant.session.clientOnAudio(audioOf(100))
  t.equal(hesitant.metrics.upstreamAudioBytes, 32 * 2100, 'speech after a pause is not held back')

  const hoarder = startSession('', { replaySeconds: 10 }).opened()
  speak(hoarder, 2000)
  standStill(hoarder, 600_000)
  let sentMs = 0
  for (; hoarder.client.closed === null && sentMs < 60_000; sentMs += 100) {
    hoarder.session.clientOnAudio(audioOf(100))
  }
  t.strictSame(hoarder.client.closed, { code: 4429, reason: 'audio_too_fast' })
  t.ok(sentMs >= 15_000 && sentMs <= 15_200, `ten seconds can be kept, five are the burst: ${sentMs} ms`)
})

t.test('pauses do not let a client send faster than it may', async t => {
  const { client, clock, session } = startSession().opened()
  let sentMs = 0
  const send = (ms: number) => {
    for (const untilMs = sentMs + ms; sentMs < untilMs && client.closed === null; sentMs += 100) {
      session.clientOnAudio(audioOf(100))
    }
  }
  send(5000)
  let passedMs = 0
  for (; client.closed === null && passedMs < 60_000; passedMs += 4100) {
    clock.advance(4100)
    send(9000)
  }
  t.strictSame(client.closed, { code: 4429, reason: 'audio_too_fast' })
  t.ok(sentMs <= 5000 + passedMs * LIMITS.paceRate + 100, `${sentMs} ms of audio in ${passedMs} ms`)
})

t.test('bytes of a broken sample at the end are left out, with a warning', async t => {
  for (const [query, oddBytes] of [
    ['', 1],
    ['number-of-channels=2&enable-channel-identification=true', 3],
  ] as const) {
    const harness = startSession(query).opened()
    const audio = audioOf(100).subarray(0, 3200)
    harness.session.clientOnAudio(Buffer.concat([audio, Buffer.alloc(oddBytes, 1)]))
    harness.session.clientOnText(CLOSE)
    t.ok(harness.dial.upstream.audio.equals(audio))
    t.strictSame(harness.client.warnings, ['odd_bytes'])
    harness.dial.close()
    t.equal(harness.metrics.audioDroppedBytes, oddBytes, 'counted once')
    t.strictSame(harness.client.types, ['Begin', 'Warning', 'End'])
  }
})

t.test('the shortest audio is audio too', async t => {
  for (const bytes of [1, 2, 3, 4, 5]) {
    const harness = startSession().opened()
    const audio = audioOf(1).subarray(0, bytes)
    harness.session.clientOnAudio(audio)
    harness.session.clientOnText(CLOSE)
    const whole = bytes - (bytes % 2)
    t.ok(harness.dial.upstream.audio.equals(audio.subarray(0, whole)), `${bytes} bytes`)
    t.ok(harness.dial.upstream.hasEnd)
    t.strictSame(harness.client.warnings, bytes % 2 === 0 ? [] : ['odd_bytes'])
    harness.dial.close()
    t.equal(harness.metrics.audioDroppedBytes, bytes - whole)
  }
})

t.test('a WAV header is taken off, in any cut, and the rest is untouched', async t => {
  const wav = wavOf(SAMPLES.subarray(0, 6400))
  for (const first of [1, 3, 4, 11, 20, 43, 44, 45, wav.length]) {
    const harness = startSession().opened()
    harness.session.clientOnAudio(wav.subarray(0, first))
    if (first < wav.length) harness.session.clientOnAudio(wav.subarray(first))
    harness.session.clientOnText(CLOSE)
    t.ok(harness.dial.upstream.audio.equals(SAMPLES.subarray(0, 6400)), `first cut at ${first}`)
    t.strictSame(harness.client.warnings, ['wav_header_removed'])
  }
})

t.test('audio that is not what the parameters say is refused, and told why', async t => {
  const cases: [query: string, audio: Buffer, rule: RegExp][] = [
    ['', wavOf(SAMPLES, { sampleRateHz: 8000 }), /sample-rate is 16000, but the WAV header says 8000/],
    ['', wavOf(SAMPLES, { channels: 2 }), /should have 1 channel\(s\), but the WAV header says 2/],
    ['', wavOf(SAMPLES, { bits: 24 }), /format 1 with 24 bits/],
    ['', wavOf(SAMPLES, { format: 3 }), /format 3 with 16 bits/],
    ['', Buffer.concat([wavOf(Buffer.alloc(0)).subarray(0, 36), junkChunk(5000)]), /longer than 4096 bytes/],
    ['', Buffer.from('OggS............'), /pcm, but the audio is a Ogg file/],
    ['', Buffer.from('fLaC............'), /a FLAC file/],
    ['', Buffer.from('\x1aE\xdf\xa3........', 'latin1'), /WebM or Matroska/],
    ['', Buffer.from('ID3\x04............', 'latin1'), /an? MP3 file/],
    ['media-encoding=flac', SAMPLES.subarray(0, 3200), /flac, but the audio does not begin with "fLaC"/],
  ]
  for (const [query, audio, rule] of cases) {
    const harness = startSession(query).opened()
    harness.session.clientOnAudio(audio.subarray(0, 32_000))
    t.strictSame(harness.client.closed, { code: 4415, reason: 'unsupported_audio' }, String(rule))
    t.match(harness.client.last, { type: 'Error', retryable: false, message: rule })
    t.equal(harness.dial.upstream.audio.length, 0)
    t.equal(harness.metrics.audioDroppedBytes, harness.metrics.clientAudioBytes)
  }
})

t.test('a header that never ends is not forwarded', async t => {
  const harness = startSession().opened()
  harness.session.clientOnAudio(wavOf(Buffer.alloc(0)).subarray(0, 30))
  harness.session.clientOnText(CLOSE)
  harness.dial.close()
  t.equal(harness.dial.upstream.audio.length, 0)
  t.equal(harness.metrics.audioDroppedBytes, 30)
})

t.test('compressed audio passes in the pieces of the client, uncounted in seconds', async t => {
  const harness = startSession('media-encoding=flac').opened()
  const pieces = [Buffer.from('fLaC'), Buffer.alloc(999, 7), Buffer.alloc(20_000, 9)]
  for (const piece of pieces) harness.session.clientOnAudio(piece)
  harness.clock.advance(100)
  harness.session.clientOnText(CLOSE)
  t.strictSame(
    harness.dial.upstream.payloads.map(({ length }) => length),
    [4, 999, 16_384, 3616, 0],
  )
  t.ok(harness.dial.upstream.audio.equals(Buffer.concat(pieces)))
  t.equal(harness.metrics.clientAudioSeconds, 0)
  t.equal(harness.frameMemory.ownedCount, 0, 'what is sent is not kept')
})

t.test('silence only is worth a warning, and sound is not', async t => {
  const muted = startSession().opened()
  for (let sentMs = 0; sentMs < 10_000; sentMs += 100) {
    muted.clock.advance(100)
    muted.session.clientOnAudio(Buffer.alloc(3200))
  }
  muted.clock.advance(100)
  t.strictSame(muted.client.warnings, ['silence_only'])

  // Sound in the message that holds the header, and none behind it.
  const quiet = startSession().opened()
  quiet.session.clientOnAudio(wavOf(SAMPLES.subarray(0, 3200)))
  for (let sentMs = 0; sentMs < 11_000; sentMs += 100) {
    quiet.clock.advance(100)
    quiet.session.clientOnAudio(Buffer.alloc(3200))
  }
  t.strictSame(quiet.client.warnings, ['wav_header_removed'])
})

t.test('a slow upstream is no stalled one; by time and by bytes a stalled one ends the session', async t => {
  const slow = startSession('', NO_ROLLOVER).opened()
  const { upstream } = slow.dial
  for (let ms = 0; ms < 30_000; ms += 100) {
    speak(slow, 100)
    // Two chunks wait at any time, and never none.
    upstream.buffered = 6400
  }
  t.equal(slow.session.state, 'open')

  const stuck = startSession('', NO_ROLLOVER).opened()
  for (let ms = 0; ms < LIMITS.upstreamStallMs + 300 && stuck.client.closed === null; ms += 100) {
    stuck.dial.upstream.buffered += 3312
    speak(stuck, 100)
  }
  t.strictSame(stuck.client.closed, { code: 4504, reason: 'upstream_stalled' })
  t.equal(stuck.dial.upstream.ended, 'terminate')
  t.ok((stuck.metrics.ended[0]?.durationSeconds ?? 0) >= 10)

  const full = startSession('', NO_ROLLOVER).opened()
  speak(full, 100)
  full.dial.upstream.buffered = LIMITS.upstreamBufferBytes + 1
  full.clock.advance(100)
  t.strictSame(full.client.closed, { code: 4504, reason: 'upstream_stalled' })
})

interface WavFormat {
  readonly format?: number
  readonly channels?: number
  readonly sampleRateHz?: number
  readonly bits?: number
}

function wavOf(
  samples: Buffer,
  { format = 1, channels = 1, sampleRateHz = 16_000, bits = 16 }: WavFormat = {},
) {
  const header = Buffer.alloc(44)
  header.write('RIFF', 0)
  header.writeUInt32LE(36 + samples.length, 4)
  header.write('WAVEfmt ', 8)
  header.writeUInt32LE(16, 16)
  header.writeUInt16LE(format, 20)
  header.writeUInt16LE(channels, 22)
  header.writeUInt32LE(sampleRateHz, 24)
  header.writeUInt32LE((sampleRateHz * channels * bits) / 8, 28)
  header.writeUInt16LE((channels * bits) / 8, 32)
  header.writeUInt16LE(bits, 34)
  header.write('data', 36)
  header.writeUInt32LE(samples.length, 40)
  return Buffer.concat([header, samples])
}

function junkChunk(bytes: number): Buffer {
  const chunk = Buffer.alloc(8 + bytes)
  chunk.write('LIST', 0)
  chunk.writeUInt32LE(bytes, 4)
  return chunk
}
