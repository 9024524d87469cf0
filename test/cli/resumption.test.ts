import { once } from 'node:events'
import t from 'tap'
import { FIRST_WAIT_MS, MAX_KEPT_BYTES, MAX_WAIT_MS, Resumption } from '../../src/cli/resumption.ts'
import { streamAudio } from '../../src/cli/thin-client.ts'
import type { StreamInput, StreamListener } from '../../src/cli/thin-client.ts'
import { systemClock } from '../../src/clock.ts'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { wordsOf } from '../support/relay-client.ts'
import { startWorld } from '../support/world.ts'

const BEGIN = { type: 'Begin', seq: 1, resume_token: 'a.1.b.c', resume_seconds: 30 }
const [speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')

async function* messagesOf(audio: Buffer, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < audio.length; at += bytes) yield audio.subarray(at, at + bytes)
}

t.test('the waits grow with jitter until the window of the relay is over', async t => {
  const highest = new Resumption(() => 0.999)
  t.notOk(highest.isPossible)
  highest.read(BEGIN)
  t.ok(highest.isPossible)
  const waits: number[] = []
  let nowMs = 1000
  for (;;) {
    const waitMs = highest.nextWaitMs(nowMs)
    if (waitMs === null) break
    waits.push(Math.round(waitMs))
    nowMs += waitMs
  }
  t.match(waits.slice(0, 6), [200, 400, 799, 1598, 3197, 3996])
  t.ok(waits.every(waitMs => waitMs <= MAX_WAIT_MS))
  t.ok(nowMs <= 31_000)
  t.ok(highest.isAway)
  highest.resumed()
  t.notOk(highest.isAway)
  t.equal(Math.round(highest.nextWaitMs(0) ?? 0), FIRST_WAIT_MS, 'begins anew')
  t.equal(new Resumption(() => 0).nextWaitMs(0), null, 'nothing was offered')
  const lowest = new Resumption(() => 0)
  lowest.read(BEGIN)
  t.equal(lowest.nextWaitMs(0), 0)
  t.equal(lowest.nextWaitMs(0, 100), 100, 'not before the relay says')
})

t.test('audio is kept until it is acknowledged, to the byte', async t => {
  const resumption = new Resumption(() => 0)
  const audio = Buffer.from(Array.from({ length: 100 }, (_, index) => index))
  for (let at = 0; at < 100; at += 10) resumption.keep(audio.subarray(at, at + 10))
  const kept = () => Buffer.concat(resumption.resumed())
  resumption.read({ type: 'Ack', audio_bytes: 0 })
  t.strictSame(kept(), audio)
  resumption.read({ type: 'Ack', audio_bytes: 25 })
  t.strictSame(kept(), audio.subarray(25))
  resumption.read({ type: 'Ack', audio_bytes: 25 })
  t.strictSame(kept(), audio.subarray(25))
  resumption.read({ type: 'Resumed', audio_bytes: 90 })
  t.strictSame(kept(), audio.subarray(90))
  resumption.read({ type: 'Ack', audio_bytes: 1000 })
  t.strictSame(kept(), Buffer.alloc(0))
  t.notOk(resumption.isFull)
  resumption.keep(Buffer.alloc(MAX_KEPT_BYTES))
  t.ok(resumption.isFull)
})

t.test('the URL to come back with names the token and the last message, once', async t => {
  const resumption = new Resumption(() => 0)
  resumption.read(BEGIN)
  t.ok(resumption.read({ type: 'Transcript', seq: 2 }))
  t.notOk(resumption.read({ type: 'Transcript', seq: 2 }), 'seen before')
  t.equal(
    resumption.urlOf('ws://a/v1/stream?resume=true'),
    'ws://a/v1/stream?resume=true&resume_token=a.1.b.c&seq=2',
  )
  resumption.read({ type: 'Resumed', resume_token: 'a.1.b.d', resume_seconds: 30, audio_bytes: 0 })
  t.match(resumption.urlOf(resumption.urlOf('ws://a/')), /^ws:\/\/a\/\?resume_token=a\.1\.b\.d&seq=2$/)
})

t.test('the thin client comes back by itself and delivers all audio and all words', async t => {
  const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
  const world = await startWorld(t, { emulator: { engine }, relay: { resumeAckMs: 100, replayRate: 1000 } })
  const proxy = await CuttingProxy.start(t, world.port)
  const finals: string[] = []
  let waits = 0
  let hasBegun = false
  const listener: StreamListener = {
    onMessage: message => {
      if (message.type === 'Begin') hasBegun = true
      if (message.type === 'Transcript' && message['is_final'] === true) finals.push(String(message['text']))
    },
    onAudioSent: seconds => {
      // Before it there is nothing to come back with.
      if (hasBegun && Math.floor(seconds) > proxy.cuts) proxy.cut()
    },
    onReconnect: () => (waits += 1),
  }
  const input: StreamInput = {
    url: `ws://127.0.0.1:${proxy.port}/v1/stream?resume=true`,
    token: null,
    chunks: messagesOf(speech.pcm, 3200),
    bytesPerSecond: 32_000,
    speed: 20,
    connectTimeoutMs: 5000,
    endTimeoutMs: 20_000,
    resume: { random: () => 0.1 },
  }
  const outcome = await streamAudio(input, listener, systemClock)
  t.match(outcome, { kind: 'done', end: { type: 'End' } })
  t.ok(proxy.cuts >= 2)
  t.ok(outcome.statistics.reconnects > 0 && waits >= outcome.statistics.reconnects)
  t.match(await world.endOf(1), { audioBytes: speech.pcm.length, sha256: sha256(speech.pcm) })
  t.strictSame(finals.flatMap(wordsOf), speech.words)
})

t.test('a relay that does not know the session any more ends the stream with its reason', async t => {
  const world = await startWorld(t)
  const proxy = await CuttingProxy.start(t, world.port)
  const listener: StreamListener = {
    onMessage: message => {
      if (message.type !== 'Begin') return
      void world.relay.close()
      proxy.cut()
    },
    onAudioSent: () => {},
  }
  const another = await startWorld(t)
  const outcome = await streamAudio(
    {
      url: `ws://127.0.0.1:${proxy.port}/v1/stream?resume=true`,
      token: null,
      chunks: (async function* () {
        await once(proxy, 'cut')
        proxy.leadTo(another.port)
        yield Buffer.alloc(3200)
      })(),
      bytesPerSecond: 32_000,
      speed: 1,
      connectTimeoutMs: 5000,
      endTimeoutMs: 20_000,
      resume: { random: () => 0.5 },
    },
    listener,
    systemClock,
  )
  t.match(outcome, {
    kind: 'failed',
    failure: { code: 'resume_not_found', retryable: false },
    httpStatus: 404,
  })
})
