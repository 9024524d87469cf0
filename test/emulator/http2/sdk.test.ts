/** AWS's own SDK against the HTTP/2 side, with real speech: it signs, wraps and reads as it does in production. */
import { createHash } from 'node:crypto'
import {
  BadRequestException,
  LimitExceededException,
  StartStreamTranscriptionCommand,
  TranscribeStreamingClient,
  type AudioStream,
  type StartStreamTranscriptionCommandInput,
} from '@aws-sdk/client-transcribe-streaming'
import { NodeHttp2Handler } from '@smithy/node-http-handler'
import t, { type Test } from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../../src/emulator/index.ts'
import type { EmulatorOptions } from '../../../src/emulator/index.ts'
import { makeCertificates } from '../../support/certificates.ts'
import { runCli, startCli } from '../../support/cli.ts'
import { defer } from '../../support/deferred.ts'
import { readSpeech, SPEECH_FOLDER } from '../../support/speech.ts'
import { EXAMPLE_KEY } from '../../support/transcribe-client.ts'

const CHUNK_BYTES = 3200
const INPUT: Omit<StartStreamTranscriptionCommandInput, 'AudioStream'> = {
  LanguageCode: 'en-US',
  MediaEncoding: 'pcm',
  MediaSampleRateHertz: 16_000,
}

async function start(
  t: Test,
  options: EmulatorOptions = {},
  secretAccessKey = EXAMPLE_KEY.secretAccessKey,
  ca = '',
) {
  const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
  const emulator = createEmulator({ engine, http2: { port: 0 }, ...options })
  t.teardown(() => emulator.close())
  const { http2Url } = await emulator.start()
  const client = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint: http2Url ?? '',
    credentials: { ...EXAMPLE_KEY, secretAccessKey },
    maxAttempts: 1,
    requestHandler: new NodeHttp2Handler({ disableConcurrentStreams: true, nodeHttp2ConnectOptions: { ca } }),
  })
  t.teardown(() => client.destroy())
  return { emulator, client }
}

async function* cut(pcm: Buffer): AsyncGenerator<AudioStream> {
  for (let offset = 0; offset < pcm.length; offset += CHUNK_BYTES) {
    yield { AudioEvent: { AudioChunk: pcm.subarray(offset, offset + CHUNK_BYTES) } }
  }
}

async function transcribe(client: TranscribeStreamingClient, audio: AsyncIterable<AudioStream>) {
  const answer = await client.send(new StartStreamTranscriptionCommand({ ...INPUT, AudioStream: audio }))
  const words: string[] = []
  for await (const event of answer.TranscriptResultStream ?? []) {
    for (const result of event.TranscriptEvent?.Transcript?.Results ?? []) {
      if (!result.IsPartial) words.push(...(result.Alternatives?.[0]?.Transcript ?? '').split(' '))
    }
  }
  return {
    answer,
    words: words.map(word => word.toLowerCase().replace(/[^a-z]/g, '')).filter(word => word !== ''),
  }
}

for (const transport of ['prior knowledge (h2c)', 'TLS'] as const) {
  t.test(`the SDK over ${transport} hears every word, and every byte arrives`, async t => {
    const certificates = transport === 'TLS' ? makeCertificates(t.testdir()) : null
    const { emulator, client } = await start(
      t,
      certificates === null ? {} : { tls: certificates.good },
      EXAMPLE_KEY.secretAccessKey,
      certificates?.ca,
    )
    for (const speech of readSpeech().slice(0, 2)) {
      const { answer, words } = await transcribe(client, cut(speech.pcm))
      t.strictSame(words, speech.words)
      const record = await emulator.waitForStream(({ sessionId }) => sessionId === answer.SessionId)
      t.equal(record.sha256, createHash('sha256').update(speech.pcm).digest('hex'))
      const ended = await emulator.waitForStream(({ isLive, number }) => !isLive && number === record.number)
      t.match(ended, {
        closeCause: 'completed',
        closeCode: 1000,
        isEnded: true,
        parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
      })
      t.match(answer, { LanguageCode: 'en-US', MediaEncoding: 'pcm', MediaSampleRateHertz: 16_000 })
      t.match(answer.RequestId, /^[0-9a-f-]{36}$/)
    }
  })
}

t.test('the SDK talks to the emulator of the command line', async t => {
  const running = startCli(['emulate', '--engine', 'scripted', '--http2-port', '0', '--quiet'])
  t.teardown(() => running.child.kill('SIGKILL'))
  const [, endpoint = ''] = await running.waitFor(/HTTP\/2 at (http:\S+)/)
  const client = new TranscribeStreamingClient({
    region: 'us-east-1',
    endpoint,
    credentials: EXAMPLE_KEY,
    maxAttempts: 1,
    requestHandler: new NodeHttp2Handler({ disableConcurrentStreams: true }),
  })
  t.teardown(() => client.destroy())
  const [speech] = readSpeech()
  const { words } = await transcribe(client, cut(speech?.pcm ?? Buffer.alloc(0)))
  t.strictSame(words, speech?.words)
  for (const port of ['x', '70000']) {
    t.match(await runCli(['emulate', '--engine', 'scripted', '--http2-port', port]), { code: 64 }, port)
  }
})

t.test('an audio that is ended by an empty chunk, as some programs do, ends once', async t => {
  const { client } = await start(t)
  const [speech] = readSpeech().slice(1)
  async function* withEmptyChunk(): AsyncGenerator<AudioStream> {
    yield* cut(speech?.pcm ?? Buffer.alloc(0))
    yield { AudioEvent: { AudioChunk: new Uint8Array(0) } }
  }
  const { words } = await transcribe(client, withEmptyChunk())
  t.strictSame(words, speech?.words)
})

t.test('a wrong secret is an error of the SDK before any audio', async t => {
  const { emulator, client } = await start(t, {}, 'wrong')
  await t.rejects(transcribe(client, cut(Buffer.alloc(CHUNK_BYTES))), {
    name: 'InvalidSignatureException',
    $metadata: { httpStatusCode: 403 },
  })
  t.equal(emulator.streams.length, 0)
})

t.test('wrong parameters and quotas reach the SDK as the exceptions of its model', async t => {
  const { client, emulator } = await start(t, { concurrentStreams: 1, badParameters: 'http400' })
  const wrong = new StartStreamTranscriptionCommand({
    ...INPUT,
    MediaSampleRateHertz: 4000,
    AudioStream: cut(Buffer.alloc(CHUNK_BYTES)),
  })
  await t.rejects(client.send(wrong), { name: 'BadRequestException', message: /sample-rate/ })

  const held = defer<void>()
  async function* hold(): AsyncGenerator<AudioStream> {
    yield* cut(Buffer.alloc(CHUNK_BYTES))
    await held.promise
  }
  // The SDK answers with the first event, which comes when the audio has ended.
  const first = transcribe(client, hold())
  await emulator.nextStream()
  const second = await transcribe(client, cut(Buffer.alloc(CHUNK_BYTES))).catch((error: unknown) => error)
  t.ok(second instanceof LimitExceededException, String(second))
  held.resolve()
  t.strictSame((await first).answer.LanguageCode, 'en-US')

  const tooBig = await transcribe(
    client,
    (async function* () {
      yield { AudioEvent: { AudioChunk: Buffer.alloc(32_002) } }
    })(),
  ).catch((error: unknown) => error)
  t.ok(tooBig instanceof BadRequestException, String(tooBig))
})
