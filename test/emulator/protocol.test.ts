/** The protocol over real WebSockets: handshake, audio rules, quotas, time-outs, the end of a stream. */
import { createHash, createHmac } from 'node:crypto'
import { request } from 'node:http'
import t, { type Test } from 'tap'
import {
  createEmulator,
  createScriptedEngine,
  loadRecordings,
  type EmulatorOptions,
  type EngineFactory,
} from '../../src/emulator/index.ts'
import { makeCertificates } from '../support/certificates.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'
import {
  audioFrame,
  EXAMPLE_KEY,
  frame,
  openStream,
  PCM_16K,
  Refused,
  signedTarget,
  STREAM_PATH,
  TranscribeClient,
  type OpenOptions,
} from '../support/transcribe-client.ts'

async function start(t: Test, options: EmulatorOptions = {}) {
  const emulator = createEmulator(options)
  t.teardown(() => emulator.close())
  const { port, url } = await emulator.start()
  const open = (more: Partial<OpenOptions> = {}) => openStream({ port, ...more })
  return { emulator, port, url, open }
}

async function refusalOf(opening: Promise<unknown>): Promise<Refused> {
  const outcome: unknown = await opening.then(
    () => null,
    (error: unknown) => error,
  )
  if (outcome instanceof Refused) return outcome
  throw new Error(`expected a refusal, got ${String(outcome)}`)
}

t.test('an accepted handshake answers as the service does and never repeats what was signed', async t => {
  const { emulator, open, port } = await start(t)
  const client = await open({ headers: { origin: 'https://example.com' } })
  const record = await emulator.nextStream()
  t.match(client.headers['x-amzn-requestid'], /^[0-9a-f-]{36}$/)
  t.equal(client.headers['websocket-origin'], 'https://example.com')
  t.equal(
    client.headers['websocket-location'],
    `ws://127.0.0.1:${port}/stream-transcription-websocket?language-code=en-US&media-encoding=pcm&sample-rate=16000&session-id=${record.sessionId}`,
  )
  t.ok(client.headers['date'])
  t.match(record, {
    isLive: true,
    origin: 'https://example.com',
    parameters: PCM_16K,
    accessKeyId: 'AKIDEXAMPLE',
  })
  t.strictSame(await client.end(), { code: 1000, reason: 'Streaming completed successfully' })
})

t.test('a clock that stands at the time of the vectors accepts them, host and all', async t => {
  const clock = new ManualClock(Date.parse('2025-01-02T03:04:05.678Z'))
  const token = 'IQoJb3JpZ2luX2VjE/+EXAMPLE/TOKEN=='
  const accounts = [
    {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
      sessionTokens: [{ token }],
    },
  ]
  const { port } = await start(t, { clock, accounts })
  const scope =
    'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20250102%2Fus-east-1%2Ftranscribe%2Faws4_request&X-Amz-Date=20250102T030405Z&X-Amz-Expires=300'
  const vectors = [
    `${scope}&X-Amz-SignedHeaders=host&language-code=en-US&media-encoding=pcm&sample-rate=16000&X-Amz-Signature=33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a`,
    `${scope}&X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2F%2BEXAMPLE%2FTOKEN%3D%3D&X-Amz-SignedHeaders=host&identify-language=true&language-options=en-US%2Cfr-FR&media-encoding=pcm&sample-rate=8000&session-id=11111111-2222-3333-4444-555555555555&X-Amz-Signature=404af28c857b793329a8e61c811cb62bd88783fb1eed241f5b2af8b63c247c20`,
  ]
  for (const query of vectors) {
    const client = await new TranscribeClient(
      `ws://127.0.0.1:${port}/stream-transcription-websocket?${query}`,
      {
        headers: { Host: 'transcribestreaming.us-east-1.amazonaws.com:8443' },
      },
    ).opened()
    t.strictSame(await client.end(), { code: 1000, reason: 'Streaming completed successfully' })
  }
})

t.test('a refused handshake is an AWS error over HTTP, with the date of the service', async t => {
  const { emulator, open, port } = await start(t)
  const refusals: unknown[] = []
  emulator.events.on('refused', refusal => refusals.push(refusal))
  const refused = await refusalOf(open({ secretAccessKey: 'another' }))
  t.match(refused, {
    status: 403,
    headers: { 'x-amzn-errortype': 'InvalidSignatureException', 'content-type': 'application/json' },
  })
  t.match(JSON.parse(refused.body), { message: /^The request signature we calculated does not match/ })
  t.ok(Math.abs(Date.parse(String(refused.headers['date'])) - Date.now()) < 60_000)
  t.match(refused.headers['x-amzn-requestid'], /^[0-9a-f-]{36}$/)
  t.match(await refusalOf(open({ path: '/elsewhere' })), { status: 404 })
  const target = signedTarget({ host: `127.0.0.1:${port}` })
  const malformed = new TranscribeClient(`ws://127.0.0.1:${port}${target}&x=%zz`)
  t.match(await refusalOf(malformed.opened()), { status: 400 })
  const withoutQuery = new TranscribeClient(`ws://127.0.0.1:${port}/stream-transcription-websocket`)
  t.match(await refusalOf(withoutQuery.opened()), { status: 403 })
  t.strictSame(refusals, [
    { connection: 1, status: 403, name: 'InvalidSignatureException' },
    { connection: 2, status: 404, name: 'UnknownOperationException' },
    { connection: 3, status: 400, name: 'BadRequestException' },
    { connection: 4, status: 403, name: 'MissingAuthenticationTokenException' },
  ])
  t.equal(emulator.streams.length, 0)
  const status = await new Promise(resolve => {
    request({ port, host: '127.0.0.1', path: '/' }, response => resolve(response.resume().statusCode)).end()
  })
  t.equal(status, 426, 'plain HTTP')
})

t.test('wrong parameters end the stream after 101, or the handshake if so configured', async t => {
  const parameters = { ...PCM_16K, 'sample-rate': '4000', 'identify-language': 'true' }
  const { emulator, open } = await start(t)
  const client = await open({ parameters })
  t.equal((await client.closed).code, 1000)
  t.equal(client.exception?.name, 'BadRequestException')
  t.match(client.exception?.message, /sample-rate/)
  t.match(client.exception?.message, /identify-language/)
  const record = await emulator.waitForStream(({ isLive }) => !isLive)
  t.match(record, {
    closeCause: 'exception',
    exception: 'BadRequestException',
    closeCode: 1000,
    isLive: false,
  })
  const twice = await open({ parameters: { ...PCM_16K, 'sample-rate': '16000' } })
  t.equal((await twice.end()).code, 1000)
  const strict = await start(t, { badParameters: 'http400' })
  const refused = await refusalOf(strict.open({ parameters }))
  t.match(refused, { status: 400, headers: { 'x-amzn-errortype': 'BadRequestException' } })
})

t.test('keys that the service does not know are ignored, a repeated one is not', async t => {
  const { open, port } = await start(t)
  const client = await open({ parameters: { ...PCM_16K, 'user-agent': 'aws-sdk-js/3.0' } })
  t.equal((await client.end()).code, 1000)
  const target = signTwice(`127.0.0.1:${port}`, 'sample-rate=16000&sample-rate=8000')
  const repeated = await new TranscribeClient(`ws://127.0.0.1:${port}${target}`).opened()
  await repeated.closed
  t.strictSame(repeated.exception, {
    name: 'BadRequestException',
    message: 'sample-rate must be given once.',
  })
})

function sha256(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}

/** The reference signer takes an object, which cannot hold a key twice. */
function signTwice(host: string, tail: string): string {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '')
  const scope = `${stamp.slice(0, 8)}/us-east-1/transcribe/aws4_request`
  const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`AKIDEXAMPLE/${scope}`)}&X-Amz-Date=${stamp}&X-Amz-Expires=60&X-Amz-SignedHeaders=host&language-code=en-US&media-encoding=pcm&${tail}`
  const canonical = ['GET', STREAM_PATH, query, `host:${host}`, '', 'host', sha256('')].join('\n')
  let key: Buffer = Buffer.from(`AWS4${EXAMPLE_KEY.secretAccessKey}`)
  for (const part of [...scope.split('/'), `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`]) {
    key = createHmac('sha256', key).update(part).digest()
  }
  return `${STREAM_PATH}?${query}&X-Amz-Signature=${key.toString('hex')}`
}

t.test('everything that is no good AudioEvent ends the stream with the text of the service', async t => {
  const { emulator, open } = await start(t, { startsPerSecond: 100 })
  const event = {
    ':content-type': 'application/octet-stream',
    ':event-type': 'AudioEvent',
    ':message-type': 'event',
  }
  const pcm = Buffer.alloc(3200)
  const badCrc = audioFrame(pcm)
  badCrc.writeUInt8(badCrc.readUInt8(200) ^ 1, 200)
  const badPrelude = audioFrame(pcm)
  badPrelude.writeUInt8(badPrelude.readUInt8(9) ^ 1, 9)
  const undecodable =
    'Could not decode the audio stream that you provided. Check that the audio stream is valid and try your request again.'
  const tooBig = 'Your stream is too big. Reduce the frame size and try your request again.'
  const unexpected = 'Unexpected WebSocket frame received.'
  const stereo = { ...PCM_16K, 'enable-channel-identification': 'true', 'number-of-channels': '2' }
  const flac = { ...PCM_16K, 'media-encoding': 'flac' }
  const rows: [string, Record<string, string>, Buffer | string, string][] = [
    ['text', PCM_16K, '{"type":"CloseStream"}', unexpected],
    ['no event stream', PCM_16K, Buffer.from('raw audio'), undecodable],
    ['an empty message', PCM_16K, Buffer.alloc(0), undecodable],
    ['wrong message CRC', PCM_16K, badCrc, undecodable],
    ['wrong prelude CRC', PCM_16K, badPrelude, undecodable],
    ['cut off', PCM_16K, audioFrame(pcm).subarray(0, 500), undecodable],
    ['half a sample', PCM_16K, audioFrame(Buffer.alloc(3201)), undecodable],
    ['half a frame of stereo', stereo, audioFrame(Buffer.alloc(3202)), undecodable],
    ['more than a second', PCM_16K, audioFrame(Buffer.alloc(32_002)), tooBig],
    ['more than a second of stereo', stereo, audioFrame(Buffer.alloc(64_004)), tooBig],
    ['another event', PCM_16K, frame({ ...event, ':event-type': 'ConfigurationEvent' }, pcm), unexpected],
    ['another message type', PCM_16K, frame({ ...event, ':message-type': 'request' }, pcm), unexpected],
    ['another content type', PCM_16K, frame({ ...event, ':content-type': 'audio/wav' }, pcm), unexpected],
    ['FLAC that is none', flac, audioFrame(pcm), undecodable],
  ]
  for (const [name, parameters, message, expected] of rows) {
    const client = await open({ parameters })
    client.webSocket.send(message)
    t.equal((await client.closed).code, 1000, name)
    t.strictSame(client.exception, { name: 'BadRequestException', message: expected }, name)
  }
  for (const record of emulator.streams) t.match(record, { closeCause: 'exception', audioBytes: 0 })
})

t.test('exactly a second is not too big, and the content type may be missing', async t => {
  const { emulator, open } = await start(t)
  const client = await open()
  client.send(audioFrame(Buffer.alloc(32_000)))
  client.send(frame({ ':event-type': 'AudioEvent', ':message-type': 'event' }, Buffer.alloc(2)))
  t.equal((await client.end()).code, 1000)
  t.match(emulator.streams, [
    { frames: 2, audioBytes: 32_002, minFrameBytes: 2, maxFrameBytes: 32_000, isEnded: true },
  ])
})

t.test('the end of a stream proves every byte, however the audio was cut', async t => {
  const { emulator, open } = await start(t, { keepAudioBytes: 1000 })
  const seed = Date.now() % 0xffff_ffff
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const audio = Buffer.from(Array.from({ length: 60_000 }, () => Math.floor(random() * 256)))
  const client = await open()
  for (let offset = 0; offset < audio.length;) {
    const bytes = 2 * (1 + Math.floor(random() * 3000))
    client.send(audioFrame(audio.subarray(offset, offset + bytes)))
    offset += bytes
  }
  t.strictSame(await client.end(), { code: 1000, reason: 'Streaming completed successfully' })
  const sha256 = createHash('sha256').update(audio).digest('hex')
  t.equal(
    client.finals.at(-1)?.Alternatives[0]?.Transcript,
    `heard in all 1.875 s, 60000 bytes, sha256 ${sha256}`,
  )
  const record = await emulator.waitForStream(({ isLive }) => !isLive)
  t.match(record, {
    sha256,
    audioBytes: 60_000,
    audioSeconds: 1.875,
    closeCause: 'completed',
    closeCode: 1000,
  })
  t.ok(record.audio.equals(audio.subarray(0, 1000)))
  t.equal(record.finalResults, client.finals.length)
  t.equal(record.partialResults, client.results.length - client.finals.length)
})

t.test('speech of known recordings comes back as its words, over the wire', async t => {
  const recordings = await loadRecordings('examples/audio')
  const { emulator, open } = await start(t, {
    engine: createScriptedEngine({ recordings }),
    startsPerSecond: 100,
  })
  for (const { samples, words } of recordings) {
    const client = await open()
    client.sendAudio(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength), 1234)
    await client.end()
    t.equal(client.text, words.map(({ content }) => content).join(' '))
    t.ok(client.results[0]?.IsPartial)
  }
  t.ok(emulator.streams.every(({ partialResults, finalResults }) => partialResults > finalResults))
})

t.test('an engine that fails ends the stream with its exception, once', async t => {
  const engine: EngineFactory = {
    name: 'brittle',
    open: (_stream, listener) => ({
      write: () => listener.engineOnFailure({ name: 'InternalFailureException', message: 'snap' }),
      end: () => undefined,
      close: () => undefined,
    }),
  }
  const { open } = await start(t, { engine })
  const client = await open()
  client.sendAudio(Buffer.alloc(9600))
  t.equal((await client.closed).code, 1000)
  t.strictSame(client.exception, { name: 'InternalFailureException', message: 'snap' })
  t.equal(client.messages.length, 1)
})

t.test('compressed audio is counted and proved, not decoded', async t => {
  const { emulator, open } = await start(t)
  const client = await open({ parameters: { ...PCM_16K, 'media-encoding': 'ogg-opus' } })
  const audio = Buffer.from('OggS and so on, any length')
  client.send(audioFrame(audio))
  client.send(audioFrame(audio.subarray(1, 4)))
  await client.end()
  const sha256 = createHash('sha256').update(audio).update(audio.subarray(1, 4)).digest('hex')
  t.equal(client.text, `heard in all ${audio.length + 3} bytes, sha256 ${sha256}`)
  t.match(emulator.streams, [{ audioSeconds: 0, frames: 2, closeCause: 'completed' }])
  const silent = await open({ parameters: { ...PCM_16K, 'media-encoding': 'flac' } })
  await silent.end()
  t.strictSame(silent.results, [])
})

t.test('audio after the end is an error, as long as results are on their way', async t => {
  const clock = new ManualClock(Date.now())
  const { emulator, open } = await start(t, { clock, latencyMs: 200 })
  const client = await open()
  client.send(audioFrame(Buffer.alloc(3200)))
  client.send(audioFrame(Buffer.alloc(0)))
  client.send(audioFrame(Buffer.alloc(3200)))
  await client.closed
  t.match(client.exception, { name: 'BadRequestException', message: /after the empty frame/ })
  t.equal(emulator.streams[0]?.isEnded, true)
  t.equal(clock.pendingTimers, 0)
})

t.test('latency holds results back, in order, and the close behind them', async t => {
  const clock = new ManualClock(Date.now())
  const { emulator, open } = await start(t, { clock, latencyMs: 200 })
  const client = await open()
  client.sendAudio(Buffer.alloc(64_000))
  const closed = client.end()
  await emulator.waitForStream(record => record.isEnded)
  t.equal(client.messages.length, 0)
  clock.advance(200)
  await closed
  t.equal(client.emptyEvents, 2)
  t.match(client.text, /^heard in all 2.000 s/)
  t.equal(clock.pendingTimers, 0)
})

t.test('fifteen seconds without audio end a stream, pings or not', async t => {
  const clock = new ManualClock(Date.now())
  const { emulator, open } = await start(t, { clock })
  const client = await open()
  await emulator.nextStream()
  clock.advance(14_000)
  client.send(audioFrame(Buffer.alloc(3200)))
  await emulator.waitForStream(record => record.frames === 1)
  const pong = new Promise(resolve => client.webSocket.once('pong', resolve))
  client.webSocket.ping()
  await pong
  clock.advance(14_999)
  t.equal(client.exception, null)
  clock.advance(1)
  t.equal((await client.closed).code, 1000)
  t.strictSame(client.exception, {
    name: 'BadRequestException',
    message: 'Your request timed out because no new audio was received for 15 seconds.',
  })
  await emulator.waitForStream(record => !record.isLive)
  t.equal(clock.pendingTimers, 0)
})

t.test('a stream that reaches its maximum duration ends, audio or not', async t => {
  const clock = new ManualClock(Date.now())
  const { emulator, open } = await start(t, { clock, idleTimeoutMs: 3_600_000, maxStreamMs: 7_000_000 })
  const client = await open()
  await emulator.nextStream()
  clock.advance(3_500_000)
  client.send(audioFrame(Buffer.alloc(3200)))
  await emulator.waitForStream(record => record.frames === 1)
  clock.advance(3_500_000)
  await client.closed
  t.strictSame(client.exception, {
    name: 'LimitExceededException',
    message: 'Your stream has reached the maximum duration of 7000 seconds.',
  })
})

t.test('an account has its own quota, and a stream that ends gives its place back', async t => {
  const accounts = ['AKIDONE', 'AKIDTWO'].map(accessKeyId => ({ accessKeyId, secretAccessKey: 'secret' }))
  const { emulator, open } = await start(t, { accounts, concurrentStreams: 2 })
  const one = { accessKeyId: 'AKIDONE', secretAccessKey: 'secret' }
  const first = await open(one)
  await open(one)
  const third = await open(one)
  t.equal((await third.closed).code, 1000)
  t.strictSame(third.exception, {
    name: 'LimitExceededException',
    message: 'You have reached your limit of concurrent streams, 2. Try again later.',
  })
  const other = await open({ ...one, accessKeyId: 'AKIDTWO' })
  t.equal((await other.end()).code, 1000)
  first.webSocket.terminate()
  const gone = await emulator.waitForStream(record => record.closeCause === 'client_closed')
  t.match(gone, { number: 1, closeCode: 1006 })
  const fourth = await open(one)
  t.equal((await fourth.end()).code, 1000)
})

t.test('streams may not start faster than the quota, and may again a second later', async t => {
  const clock = new ManualClock(Date.now())
  const { open } = await start(t, { clock, startsPerSecond: 2 })
  await open()
  await open()
  const third = await open()
  await third.closed
  t.match(third.exception, { name: 'LimitExceededException', message: /new streams in one second, 2/ })
  clock.advance(1000)
  const fourth = await open()
  t.equal((await fourth.end()).code, 1000)
})

t.test('of two streams of one session the older has to go, even at the limit', async t => {
  const { open } = await start(t, { concurrentStreams: 1 })
  const parameters = { ...PCM_16K, 'session-id': '11111111-2222-3333-4444-555555555555' }
  const older = await open({ parameters })
  const newer = await open({ parameters })
  t.equal((await older.closed).code, 1000)
  t.equal(older.exception?.name, 'ConflictException')
  t.equal((await newer.end()).code, 1000)
  t.equal(newer.exception, null)
})

t.test('it speaks TLS', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const { open, url } = await start(t, { tls: good })
  t.match(url, /^wss:\/\/127\.0\.0\.1:\d+$/)
  const client = await open({ secure: true, ca })
  t.match(client.headers['websocket-location'], /^wss:/)
  t.ok(client.headers['strict-transport-security'])
  t.equal((await client.end()).code, 1000)
})

t.test('closing ends every connection, keeps the records and frees the port', async t => {
  const { emulator, open, port } = await start(t)
  const client = await open()
  await emulator.nextStream()
  const waiting = emulator.waitForStream(record => record.number === 99)
  await Promise.all([emulator.close(), t.rejects(waiting, { message: 'The emulator was closed.' })])
  t.equal((await client.closed).code, 1006)
  t.match(emulator.streams, [{ closeCause: 'shutdown', closeCode: 1006, isLive: false }])
  const again = createEmulator({ port })
  t.teardown(() => again.close())
  await again.start()
  await t.rejects(createEmulator({ port }).start(), { code: 'EADDRINUSE' })
})

t.test('records of finished streams are bounded, and each is handed out once', async t => {
  const { emulator, open } = await start(t, { keepStreams: 2 })
  for (let number = 1; number <= 4; number++) {
    const ended = emulator.waitForStream(record => record.number === number && !record.isLive)
    const client = await open()
    t.equal((await emulator.nextStream()).number, number)
    await client.end()
    await ended
  }
  t.strictSame(
    emulator.streams.map(({ number }) => number),
    [3, 4],
  )
})

t.test('the log names streams, never what was signed or said', async t => {
  const lines: string[] = []
  const log = {
    write: (event: string, fields: object) => void lines.push(`${event} ${JSON.stringify(fields)}`),
  }
  const { emulator, open } = await start(t, { log })
  await open({ accessKeyId: 'AKIDOTHER' }).catch(() => null)
  const client = await open()
  client.sendAudio(Buffer.alloc(3200, 0x40))
  await client.end()
  await emulator.waitForStream(record => !record.isLive)
  t.match(lines, [
    /^handshake_refused .*UnrecognizedClientException/,
    /^stream_opened /,
    /^stream_ended .*completed/,
  ])
  t.notMatch(lines.join('\n'), /AKID|Signature=|X-Amz|heard/)
})

t.test('options out of their bounds are refused with name, value and rule', async t => {
  const rows: [EmulatorOptions, string][] = [
    [{ port: 70_000 }, 'Emulator option port must be a whole number from 0 to 65535 (port), got 70000.'],
    [
      { idleTimeoutMs: 1.5 },
      'Emulator option idleTimeoutMs must be a whole number from 10 to 3600000 (ms), got 1.5.',
    ],
    [{ region: 'moon' }, 'Emulator option region must be an AWS region, got "moon".'],
    [
      { badParameters: 'shrug' as 'http400' },
      'Emulator option badParameters must be one of exception, http400, got "shrug".',
    ],
    [{ accounts: [] }, 'Emulator option accounts must name at least one account.'],
  ]
  for (const [options, message] of rows)
    t.throws(() => createEmulator(options), { name: 'RangeError', message })
})
