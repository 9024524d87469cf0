import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { AudioInput } from '../../src/cli/audio-input.ts'
import { CommandError } from '../../src/cli/command.ts'
import { describeFailure, runInterruptible, runStream } from '../../src/cli/stream-session.ts'
import type { StreamSession } from '../../src/cli/stream-session.ts'
import { streamAudio } from '../../src/cli/thin-client.ts'
import type { StreamInput, StreamListener, StreamOutcome } from '../../src/cli/thin-client.ts'
import { systemClock } from '../../src/clock.ts'
import { memoryContext } from '../support/cli.ts'
import { ManualClock } from '../support/manual-clock.ts'

interface FakeRelay {
  readonly url: string
  /** The first connection. */
  readonly connection: Promise<{ socket: WebSocket; request: IncomingMessage }>
}

/** A relay that does what the test says, on a port of its own. */
async function fakeRelay(t: Test, refuse?: RequestListener): Promise<FakeRelay> {
  const server = createServer()
  const sockets = new WebSocketServer(refuse === undefined ? { server } : { noServer: true })
  if (refuse !== undefined) {
    // Answered by hand, as a server does that has no upgrade for the request.
    server.on('upgrade', (request, stream) => {
      const response = new (class {
        status = 0
        writeHead(status: number): this {
          this.status = status
          return this
        }
        end(body: string): void {
          stream.end(
            `HTTP/1.1 ${this.status} No\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
          )
        }
      })()
      refuse(request, response as never)
    })
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets.clients) socket.terminate()
    sockets.close()
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const connection = once(sockets, 'connection').then(([socket, request]) => ({ socket, request }))
  return { url: `ws://127.0.0.1:${port}/v1/stream`, connection }
}

async function* pieces(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

function input(url: string, more: Partial<StreamInput> = {}): StreamInput {
  return {
    url,
    token: null,
    chunks: pieces(),
    bytesPerSecond: 32_000,
    speed: Infinity,
    connectTimeoutMs: 5000,
    endTimeoutMs: 5000,
    ...more,
  }
}

const SILENT: StreamListener = { onMessage: () => undefined, onAudioSent: () => undefined }

function failureOf(outcome: StreamOutcome) {
  if (outcome.kind !== 'failed') throw new Error('the stream was expected to fail')
  return outcome
}

t.test('audio goes out in order, then CloseStream; End and 1000 are success', async t => {
  const relay = await fakeRelay(t)
  const seen: string[] = []
  const running = streamAudio(
    input(relay.url, { token: 'secret', chunks: pieces(Buffer.from('aa'), Buffer.from('bb')) }),
    { ...SILENT, onMessage: message => seen.push(message.type) },
    systemClock,
  )
  const { socket, request } = await relay.connection
  t.equal(request.headers.authorization, 'Bearer secret')
  t.equal(request.headers['sec-websocket-extensions'], undefined, 'no compression is offered')
  const heard: string[] = []
  socket.on('message', (data: Buffer, isBinary) => {
    heard.push(`${isBinary ? 'audio' : 'text'} ${data.toString('utf8')}`)
    if (isBinary) return
    socket.send('no JSON')
    socket.send('["no object"]')
    socket.send(Buffer.from([1, 2]))
    socket.send('{"type":"Novelty"}')
    socket.send('{"type":"Transcript","text":"a b","is_final":true,"end":1}')
    socket.send('{"type":"Warning","code":"odd_bytes","message":"m"}')
    socket.send('{"type":"Rollover"}')
    socket.send('{"type":"End","audio_seconds":1}')
    socket.close(1000)
  })
  const outcome = await running
  t.strictSame(heard, ['audio aa', 'audio bb', 'text {"type":"CloseStream"}'])
  t.strictSame(seen, ['Novelty', 'Transcript', 'Warning', 'Rollover', 'End'])
  t.match(outcome, {
    kind: 'done',
    end: { audio_seconds: 1 },
    statistics: { frames: 2, audioBytes: 4, finals: 1, words: 2, warnings: 1, rollovers: 1 },
  })
})

t.test('messages are paced by the clock from the first one on, without drift', async t => {
  const relay = await fakeRelay(t)
  const clock = new ManualClock()
  const sentAtMs: number[] = []
  const arrivals: number[] = []
  // 100 ms each at 32 000 bytes a second; twice as fast is 50 ms.
  const chunks = Array.from({ length: 5 }, () => Buffer.alloc(3200))
  const running = streamAudio(
    input(relay.url, { chunks: pieces(...chunks), speed: 2 }),
    { ...SILENT, onAudioSent: () => sentAtMs.push(clock.monotonicMs()) },
    clock,
  )
  const { socket } = await relay.connection
  const closing = new Promise<void>(resolve => {
    socket.on('message', (_data, isBinary) => {
      if (isBinary) arrivals.push(arrivals.length)
      else resolve()
    })
  })
  // The clock steps unevenly and only when a timer waits; every message is sent at the first step past its due time.
  for (const stepMs of [49, 1, 73, 27, 50, 49, 1]) {
    while (clock.pendingTimers === 0) await new Promise(resolve => setImmediate(resolve))
    clock.advance(stepMs)
    await new Promise(resolve => setImmediate(resolve))
  }
  await closing
  t.equal(arrivals.length, 5)
  // One message was 23 ms late; those after it are not.
  t.strictSame(sentAtMs, [50, 123, 150, 200, 250])
  socket.send('{"type":"End"}')
  socket.close(1000)
  t.equal((await running).kind, 'done')
  t.equal(clock.pendingTimers, 0)
})

t.test('an Error before the close says why; its absence is made up from the close code', async t => {
  const table: readonly [sent: string | null, closeCode: number, reason: string, expected: object][] = [
    [
      '{"type":"Error","code":"audio_too_fast","message":"Slow down.","retryable":false,"request_id":"r1"}',
      4429,
      'audio_too_fast',
      { code: 'audio_too_fast', message: 'Slow down.', retryable: false, requestId: 'r1' },
    ],
    [
      '{"type":"Error","code":"upstream_throttled","message":"m","retryable":true,"retry_after_ms":2000}',
      4529,
      '',
      { code: 'upstream_throttled', retryable: true, retryAfterMs: 2000 },
    ],
    [null, 4503, 'upstream_unavailable', { code: 'upstream_unavailable', retryable: true }],
    [null, 4400, '', { code: 'connection_closed', retryable: false }],
    [null, 1009, 'Too Big', { code: 'connection_closed', retryable: false }],
    [null, 1012, '', { retryable: true }],
  ]
  for (const [sent, closeCode, reason, expected] of table) {
    const relay = await fakeRelay(t)
    const running = streamAudio(input(relay.url), SILENT, systemClock)
    const { socket } = await relay.connection
    if (sent !== null) socket.send(sent)
    socket.close(closeCode, reason)
    const outcome = failureOf(await running)
    t.match(outcome.failure, expected, `close ${closeCode}`)
    t.equal(outcome.closeCode, closeCode)
    t.equal(outcome.httpStatus, null)
  }
})

t.test('a broken connection is a failure that may be tried again', async t => {
  const relay = await fakeRelay(t)
  const running = streamAudio(input(relay.url), SILENT, systemClock)
  const { socket } = await relay.connection
  socket.terminate()
  t.match(failureOf(await running), { closeCode: 1006, failure: { retryable: true } })
  const gone = await streamAudio(input('ws://127.0.0.1:1/'), SILENT, systemClock)
  t.match(failureOf(gone), {
    closeCode: null,
    failure: { code: 'connection_failed', message: /cannot be reached \(ECONNREFUSED\)/ },
  })
})

t.test('the body of a refused upgrade is read; a strange one is told by its status', async t => {
  const body = JSON.stringify({
    type: 'Error',
    code: 'invalid_request',
    message: 'sample-rate must be …',
    retryable: false,
    request_id: 'r',
  })
  const relay = await fakeRelay(t, (_request, response) => response.writeHead(400).end(body))
  const refused = failureOf(await streamAudio(input(relay.url), SILENT, systemClock))
  t.match(refused, {
    httpStatus: 400,
    closeCode: null,
    failure: { code: 'invalid_request', retryable: false },
  })
  t.strictSame(describeFailure(refused), [
    'error invalid_request (HTTP 400): sample-rate must be …',
    'retryable: no, request r',
  ])
  for (const [status, strange, retryable] of [
    [404, '<html>', false],
    [503, '[]', true],
    [502, 'x'.repeat(50_000), true],
  ] as const) {
    const other = await fakeRelay(t, (_request, response) => response.writeHead(status).end(strange))
    const outcome = failureOf(await streamAudio(input(other.url), SILENT, systemClock))
    t.match(outcome.failure, { code: `http_${status}`, retryable })
  }
})

t.test('a relay that never ends the stream is given up', async t => {
  const relay = await fakeRelay(t)
  const clock = new ManualClock()
  const running = streamAudio(input(relay.url, { endTimeoutMs: 700 }), SILENT, clock)
  const { socket } = await relay.connection
  await once(socket, 'message')
  clock.advance(700)
  t.match(failureOf(await running).failure, { code: 'end_timeout', message: /700 ms/ })
})

t.test('stopping sends CloseStream at once and waits for the results', async t => {
  const relay = await fakeRelay(t)
  const stop = new AbortController()
  const endless = (async function* () {
    yield Buffer.alloc(3200)
    await new Promise(() => undefined)
  })()
  const running = streamAudio(input(relay.url, { chunks: endless, stop: stop.signal }), SILENT, systemClock)
  const { socket } = await relay.connection
  await once(socket, 'message')
  const next = once(socket, 'message')
  stop.abort()
  t.equal(String((await next)[0]), '{"type":"CloseStream"}')
  socket.send('{"type":"End"}')
  socket.close(1000)
  t.equal((await running).kind, 'done')
})

t.test('stopping before the connection stands ends at once', async t => {
  const outcome = await streamAudio(
    input('ws://127.0.0.1:1/', { stop: AbortSignal.abort() }),
    SILENT,
    systemClock,
  )
  t.equal(failureOf(outcome).failure.code, 'stopped')
})

t.test('audio that cannot be read ends the stream with its own error', async t => {
  const relay = await fakeRelay(t)
  const broken = (async function* () {
    yield Buffer.alloc(2)
    throw new CommandError('the disk is gone')
  })()
  const running = streamAudio(input(relay.url, { chunks: broken }), SILENT, systemClock)
  const { socket } = await relay.connection
  const closed = once(socket, 'close')
  await t.rejects(running, { message: 'the disk is gone' })
  t.equal((await closed)[0], 1000)
})

t.test('without pacing the socket is not filled faster than it empties', async t => {
  const relay = await fakeRelay(t)
  let produced = 0
  const chunks = (async function* () {
    for (; produced < 2000; produced += 1) yield Buffer.alloc(32_768)
  })()
  const running = streamAudio(input(relay.url, { chunks }), SILENT, systemClock)
  const { socket } = await relay.connection
  socket.pause()
  // Until the kernel's buffers and ours are full, production goes on; then it must stand still.
  let before = -1
  for (let still = 0; still < 50; still = before === produced ? still + 1 : 0) {
    before = produced
    await new Promise(resolve => setImmediate(resolve))
  }
  t.ok(produced < 2000, `stopped after ${produced} messages`)
  let heardBytes = 0
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) heardBytes += data.length
    else {
      socket.send('{"type":"End"}')
      socket.close(1000)
    }
  })
  socket.resume()
  t.equal((await running).kind, 'done')
  t.equal(heardBytes, 2000 * 32_768)
})

function audio(parts: readonly Uint8Array[], more: Partial<AudioInput> = {}): AudioInput {
  return {
    name: 'a.wav',
    sampleRate: 8000,
    channels: 1,
    totalSeconds: 1,
    description: '',
    pcm: pieces(...parts),
    close: () => Promise.resolve(),
    ...more,
  }
}

function session(url: string, more: Partial<StreamSession> = {}): StreamSession {
  return {
    input: audio([Buffer.alloc(3203)]),
    url,
    parameters: {},
    token: null,
    speed: Infinity,
    chunkMs: 100,
    connectTimeoutMs: 5000,
    endTimeoutMs: 5000,
    format: 'text',
    partialLines: false,
    ...more,
  }
}

t.test('a session cuts the audio, fills the query from it and prints results', async t => {
  const relay = await fakeRelay(t)
  const context = memoryContext()
  const stereo = audio([Buffer.alloc(5000), Buffer.alloc(1403)], { channels: 2 })
  const running = runStream(
    session(`${relay.url}?format=aws&sample-rate=16000`, {
      input: stereo,
      parameters: { 'language-code': 'en-GB' },
    }),
    context.terminal,
    systemClock,
  )
  const { socket, request } = await relay.connection
  const { searchParams } = new URL(request.url ?? '', 'ws://x')
  t.strictSame(Object.fromEntries(searchParams), {
    format: 'aws',
    'sample-rate': '16000',
    'media-encoding': 'pcm',
    'enable-channel-identification': 'true',
    'number-of-channels': '2',
    'language-code': 'en-GB',
  })
  const sizes: number[] = []
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) {
      sizes.push(data.length)
      return
    }
    const results = [
      {
        IsPartial: false,
        StartTime: 0,
        EndTime: 1,
        ChannelId: 'ch_1',
        Alternatives: [{ Transcript: 'hello' }],
      },
      { IsPartial: true },
    ]
    socket.send(JSON.stringify({ type: 'Transcript', Transcript: { Results: results } }))
    socket.send('{"type":"Transcript"}')
    socket.send('{"type":"Warning","code":"silence_only","message":"Is it on?"}')
    socket.send('{"type":"Draining","reconnect_in_ms":5}')
    socket.send('{"type":"Rollover"}')
    socket.send('{"type":"End"}')
    socket.close(1000)
  })
  t.equal((await running).kind, 'done')
  t.strictSame(sizes, [3200, 3200], 'whole frames of 4 bytes, equal chunks, the loose bytes left out')
  t.equal(context.output.stdout, '[   0.00 -    1.00] ch_1 hello\n')
  t.match(context.output.stderr, /warning silence_only: Is it on\?\n.*going away.*5 ms/)
})

t.test('with json every message is a line; on a screen warnings stand above the bar', async t => {
  for (const [format, interactive, expected] of [
    ['json', false, /^{"type":"Warning","code":"c","message":"m"}\n$/],
    ['text', true, /warning c: m\n/],
  ] as const) {
    const relay = await fakeRelay(t)
    const context = memoryContext({ interactive })
    const running = runStream(session(relay.url, { format }), context.terminal, systemClock)
    const { socket } = await relay.connection
    socket.send('{"type":"Warning","code":"c","message":"m"}')
    socket.on('message', (_data, isBinary) => isBinary || socket.close(1000))
    await running
    t.match(context.output.stdout, expected)
    t.equal(context.output.stderr, '')
  }
})

t.test('the first signal stops, the second does not wait', async t => {
  const context = memoryContext()
  const aborted: boolean[] = []
  const never = runInterruptible(context.events, stop => {
    stop.addEventListener('abort', () => aborted.push(true))
    return new Promise<string>(() => undefined)
  })
  context.signal('SIGINT')
  t.strictSame(aborted, [true])
  context.signal('SIGINT')
  t.equal(await never, null)
  t.equal(await runInterruptible(context.events, async () => 'done'), 'done')
})
