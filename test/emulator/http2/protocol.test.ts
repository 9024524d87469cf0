/** The HTTP/2 side against a client that signs by hand: everything that can be wrong with a request or a chunk. */
import t, { type Test } from 'tap'
import { createEmulator, type EmulatorOptions } from '../../../src/emulator/index.ts'
import { Http2Client, message, type Http2Options } from '../../support/chunk-signer.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { createRandom } from '../../support/random.ts'
import { audioFrame, openStream } from '../../support/transcribe-client.ts'

async function start(t: Test, options: EmulatorOptions = {}) {
  const emulator = createEmulator({ http2: { port: 0 }, ...options })
  t.teardown(() => emulator.close())
  const { http2Url, port } = await emulator.start()
  const open = (more: Partial<Http2Options> = {}) => new Http2Client({ url: http2Url ?? '', ...more })
  return { emulator, open, port, url: http2Url ?? '' }
}

t.test(
  'a signed stream is answered with its parameters, and the audio arrives whole however it is cut',
  async t => {
    const { emulator, open } = await start(t, { keepAudioBytes: 1_000_000 })
    const seed = 20_261
    const random = createRandom(seed)
    const client = open({
      headers: { 'x-amzn-transcribe-session-id': '11111111-2222-4333-8444-555555555555' },
    })
    t.match(await client.response, {
      ':status': 200,
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amzn-transcribe-session-id': '11111111-2222-4333-8444-555555555555',
      'x-amzn-transcribe-sample-rate': '16000',
      'x-amzn-request-id': /^[0-9a-f-]{36}$/,
    })
    const chunks = Array.from({ length: 30 }, () =>
      Buffer.alloc(2 * Math.ceil(random() * 2000), random() * 256),
    )
    const wire = Buffer.concat(chunks.map(chunk => client.signer.sign(audioFrame(chunk), Date.now())))
    for (let offset = 0; offset < wire.length;) {
      const end = offset + Math.ceil(random() ** 4 * 9000)
      client.sendRaw(wire.subarray(offset, end))
      offset = end
    }
    client.finish()
    await client.ended
    const record = await emulator.nextStream()
    t.ok(record.audio.equals(Buffer.concat(chunks)), `the same audio (seed ${seed})`)
    t.equal(record.frames, 30)
    t.equal(client.events().at(-1)?.type, 'TranscriptEvent')
  },
)

const REFUSALS: readonly (readonly [
  what: string,
  options: Partial<Http2Options>,
  status: number,
  name: string,
])[] = [
  ['another path', { path: '/elsewhere' }, 404, 'UnknownOperationException'],
  ['a malformed query', { path: '/stream-transcription?x=%zz' }, 404, 'UnknownOperationException'],
  ['no authorization', { authorization: null }, 403, 'MissingAuthenticationTokenException'],
  ['another algorithm', { authorization: 'Bearer x' }, 403, 'IncompleteSignatureException'],
  [
    'half an authorization',
    { authorization: 'AWS4-HMAC-SHA256 Credential=x' },
    403,
    'IncompleteSignatureException',
  ],
  ['no hash of the content', { leaveOut: ['x-amz-content-sha256'] }, 403, 'IncompleteSignatureException'],
  ['no date', { leaveOut: ['x-amz-date'] }, 403, 'IncompleteSignatureException'],
  [
    'a token that was not signed',
    { unsignedHeaders: { 'x-amz-security-token': 'x' } },
    403,
    'IncompleteSignatureException',
  ],
  ['a token of nobody', { headers: { 'x-amz-security-token': 'x' } }, 403, 'UnrecognizedClientException'],
  ['an unknown key', { accessKeyId: 'AKIDOTHER' }, 403, 'UnrecognizedClientException'],
  ['another secret', { secretAccessKey: 'other' }, 403, 'InvalidSignatureException'],
  ['an old signature', { nowMs: Date.now() - 310_000 }, 403, 'InvalidSignatureException'],
  ['another content type', { headers: { 'content-type': 'text/plain' } }, 400, 'BadRequestException'],
]

t.test('a request that is wrong in one way is refused for it, without a stream', async t => {
  const { emulator, open } = await start(t)
  for (const [what, options, status, name] of REFUSALS) {
    const client = open(options)
    const answer = await client.response
    t.match(answer, { ':status': status, 'x-amzn-errortype': name }, what)
    client.stream.end()
    await client.ended
    t.match(JSON.parse(client.body()), { message: /\w/ })
  }
  t.equal(emulator.streams.length, 0)
})

t.test('a token of the account is accepted, and a signed query too', async t => {
  const accounts = [{ accessKeyId: 'ASIAX', secretAccessKey: 's', sessionTokens: [{ token: 'tok' }] }]
  const { open } = await start(t, { accounts })
  const client = open({
    accessKeyId: 'ASIAX',
    secretAccessKey: 's',
    headers: { 'x-amz-security-token': 'tok' },
    path: '/stream-transcription?a=b',
  })
  t.match(await client.response, { ':status': 200 })
  client.finish()
  await client.ended
})

const VIOLATIONS: readonly (readonly [what: string, act: (client: Http2Client) => void, text: RegExp])[] = [
  ['a chunk that was changed', client => client.sendRaw(changed(client)), /signature we calculated/],
  [
    'a chunk that was left out',
    client => (
      client.signer.sign(audioFrame(Buffer.alloc(2)), Date.now()),
      client.send(audioFrame(Buffer.alloc(2)))
    ),
    /signature we calculated/,
  ],
  ['a chunk without signature', client => client.sendRaw(audioFrame(Buffer.alloc(2))), /:chunk-signature/],
  [
    'a chunk signed long ago',
    client => client.send(audioFrame(Buffer.alloc(2)), Date.now() - 301_000),
    /Signature expired/,
  ],
  ['a message that is too short', client => client.sendRaw(Buffer.alloc(16)), /Could not decode/],
  [
    'a message that claims 2 GiB',
    client => client.sendRaw(Buffer.from('7fffffff00000000', 'hex')),
    /Could not decode/,
  ],
  ['a wrong checksum', client => client.sendRaw(damaged(client)), /Could not decode/],
  ['no end frame', client => client.stream.end(), /without the preceding empty frame/],
  [
    'an end inside a message',
    client => (
      client.sendRaw(client.signer.sign(new Uint8Array(0), Date.now())),
      client.stream.end(Buffer.alloc(3, 1))
    ),
    /./,
  ],
]

function changed(client: Http2Client): Buffer {
  const wire = client.signer.sign(audioFrame(Buffer.alloc(2, 1)), Date.now())
  const headers = wire.subarray(12, 12 + wire.readUInt32BE(4))
  return message(headers, audioFrame(Buffer.alloc(2, 2)))
}

function damaged(client: Http2Client): Buffer {
  const wire = client.signer.sign(audioFrame(Buffer.alloc(2, 1)), Date.now())
  wire.writeUInt32BE(0, wire.length - 4)
  return wire
}

t.test('a stream whose chunks are wrong ends with an exception that says so', async t => {
  const { emulator, open } = await start(t)
  for (const [what, act, text] of VIOLATIONS) {
    const client = open()
    await client.response
    act(client)
    if (!client.stream.writableEnded) client.sendRaw(Buffer.from('more that nobody reads'))
    await new Promise(resolve => client.stream.once('end', resolve))
    client.stream.end()
    await client.ended
    const record = await emulator.nextStream()
    const last = client.events().at(-1)
    if (what !== 'an end inside a message') {
      t.equal(last?.type, 'BadRequestException', what)
      t.match(last?.payload, text, what)
      t.match(record, { closeCause: 'exception', exception: 'BadRequestException' })
    }
  }
})

t.test(
  'the two transports have a quota each, and share rules, faults and the count of connections',
  async t => {
    const { emulator, open, port } = await start(t, {
      concurrentStreams: 1,
      faults: {
        rules: [
          { match: { connection: 3 }, action: { do: 'httpStatus', status: 503, body: 'later' } },
          { match: { connection: 4 }, action: { do: 'reset' } },
          { match: { connection: 5 }, action: { do: 'refuse' } },
          { match: { connection: 6 }, action: { do: 'textFrame', text: 'hello' } },
          { match: { connection: 6 }, action: { do: 'compressedFrame' } },
          { match: { connection: 6 }, action: { do: 'fin', atSeconds: 0.1 } },
        ],
      },
    })
    const webSocket = await openStream({ port })
    const first = open()
    await first.response
    t.equal(emulator.connectionCount, 2)

    const refused = open()
    t.match(await refused.response, { ':status': 503 })
    refused.stream.end()
    await refused.ended
    t.equal(refused.body(), 'later')

    const reset = open()
    await reset.ended
    t.match(await emulator.waitForStream(({ connection, isLive }) => connection === 4 && !isLive), {
      closeCause: 'exception',
    })
    first.finish()
    await first.ended
    await t.rejects(open().response, /without an answer/)

    const broken = open()
    await broken.response
    broken.send(audioFrame(Buffer.alloc(3200)))
    await broken.ended
    t.ok(broken.body().startsWith('hello'))
    t.match(await emulator.waitForStream(({ connection, isLive }) => connection === 6 && !isLive), {
      closeCause: 'fault',
      closeCode: 1006,
    })
    await webSocket.end()
  },
)

t.test('wrong parameters end the stream after the headers, or are a status if so configured', async t => {
  const wrong = { headers: { 'x-amzn-transcribe-sample-rate': '4000' } }
  const { emulator, open } = await start(t)
  const inStream = open(wrong)
  t.match(await inStream.response, { ':status': 200 })
  inStream.send(audioFrame(Buffer.alloc(2)))
  inStream.finish()
  await inStream.ended
  t.match(inStream.events(), [{ type: 'BadRequestException', payload: /sample-rate/ }])
  t.match(await emulator.waitForStream(({ isLive }) => !isLive), { exception: 'BadRequestException' })

  const strict = await start(t, { badParameters: 'http400' })
  const atOnce = strict.open(wrong)
  t.match(await atOnce.response, { ':status': 400, 'x-amzn-errortype': 'BadRequestException' })
  atOnce.stream.end()
  await atOnce.ended
})

t.test('a stream that a fault no longer reads stays open, and closing the emulator cuts it', async t => {
  const { emulator, open } = await start(t, { faults: { rules: [{ action: { do: 'stopReading' } }] } })
  const client = open()
  await client.response
  client.send(audioFrame(Buffer.alloc(3200)))
  const record = await emulator.nextStream()
  await emulator.close()
  await client.ended
  t.match(record, { frames: 0, closeCause: 'shutdown' })
})

t.test('a GOAWAY right after the headers does not end the stream', async t => {
  const { emulator, open } = await start(t)
  const client = open()
  await client.response
  client.session.close()
  client.send(audioFrame(Buffer.alloc(3200, 7)))
  client.finish()
  await client.ended
  t.match(await emulator.nextStream(), { closeCause: 'completed', audioBytes: 3200 })
})

t.test('a clock that is wrong for one connection is wrong for its chunks too', async t => {
  const clock = new ManualClock(Date.parse('2025-01-02T03:04:05.000Z'))
  const hour = 3_600_000
  const { open } = await start(t, {
    clock,
    faults: { rules: [{ action: { do: 'clockSkew', skewMs: hour } }] },
  })
  const client = open({ nowMs: clock.now() + hour })
  t.match(await client.response, { ':status': 200, date: 'Thu, 02 Jan 2025 04:04:05 GMT' })
  client.send(audioFrame(Buffer.alloc(3200)), clock.now() + hour)
  client.finish(clock.now() + hour)
  await client.ended
  t.equal(client.events().at(-1)?.type, 'TranscriptEvent')
})

t.test('a port that is taken frees the other one again, and an impossible one is refused', async t => {
  const { url, emulator } = await start(t)
  const taken = Number(new URL(url).port)
  const second = createEmulator({ http2: { port: taken } })
  await t.rejects(second.start(), { code: 'EADDRINUSE' })
  await second.close()
  t.throws(() => createEmulator({ http2: { port: 70_000 } }), /http2\.port/)
  t.equal(emulator.streams.length, 0)
})
