/** Every fault, as a client sees it, and the rules by which connections get them. */
import { createServer } from 'node:net'
import t, { type Test } from 'tap'
import {
  createEmulator,
  FAULT_NAMES,
  FaultScriptError,
  parseFaultScript,
  type EmulatorOptions,
  type FaultAction,
  type FaultScriptInput,
} from '../../src/emulator/index.ts'
import { FaultScript } from '../../src/emulator/fault-script.ts'
import { decodeMessage, EventStreamError, stringHeader } from '../../src/eventstream/index.ts'
import { makeCertificates } from '../support/certificates.ts'
import { ManualClock } from '../support/manual-clock.ts'
import {
  openStream,
  Refused,
  type TranscribeClient,
  audioFrame,
  type OpenOptions,
} from '../support/transcribe-client.ts'

type ActionInput = NonNullable<FaultScriptInput['rules']>[number]['action']
const tested = new Set<FaultAction['do']>()

async function start(t: Test, action: ActionInput, options: EmulatorOptions = {}) {
  tested.add(action.do)
  const emulator = createEmulator({ faults: { rules: [{ match: { connection: 1 }, action }] }, ...options })
  t.teardown(() => emulator.close())
  const { port } = await emulator.start()
  const open = (more: Partial<OpenOptions> = {}) => openStream({ port, ...more })
  return { emulator, open }
}

async function errorOf(opening: Promise<unknown>): Promise<unknown> {
  return opening.then(
    () => null,
    (error: unknown) => error,
  )
}

/** A second connection, which the script does not name, works. */
async function secondWorks(t: Test, open: () => Promise<TranscribeClient>): Promise<void> {
  const client = await open()
  t.equal((await client.end()).code, 1000, 'the next connection is sound')
}

t.test('refuse: the connection is reset before any answer', async t => {
  const { emulator, open } = await start(t, { do: 'refuse' })
  t.match(await errorOf(open()), { code: 'ECONNRESET' })
  t.equal(emulator.streams.length, 0)
  t.equal(emulator.connectionCount, 1)
  await secondWorks(t, open)
})

t.test('httpStatus: the answer of the script, with the headers of the script', async t => {
  const action = {
    do: 'httpStatus',
    status: 503,
    headers: { 'Retry-After': '7', Date: 'Thu, 02 Jan 2025 03:04:05 GMT' },
    body: '{"message":"busy"}',
  } as const
  const { emulator, open } = await start(t, action)
  const refusals: unknown[] = []
  emulator.events.on('refused', refusal => refusals.push(refusal))
  const error = await errorOf(open())
  t.type(error, Refused)
  t.match(error, {
    status: 503,
    body: '{"message":"busy"}',
    headers: { 'retry-after': '7', date: action.headers.Date },
  })
  t.strictSame(refusals, [{ connection: 1, status: 503, name: 'fault' }])
  await secondWorks(t, open)
})

t.test('stallHandshake: nothing comes, until the emulator is closed', async t => {
  const { emulator, open } = await start(t, { do: 'stallHandshake' })
  const opening = errorOf(open())
  await secondWorks(t, open)
  await emulator.close()
  t.match(await opening, Error)
})

t.test('a stall ends with a reset after stallHoldMs, whether anybody is left or not', async t => {
  const handshake = await start(t, { do: 'stallHandshake' }, { stallHoldMs: 50 })
  t.match(await errorOf(handshake.open()), { code: 'ECONNRESET' })

  const stream = await start(t, { do: 'stopReading', atSeconds: 0 }, { stallHoldMs: 50 })
  const client = await stream.open()
  t.equal((await client.closed).code, 1006)
  const record = await stream.emulator.waitForStream(({ isLive }) => !isLive)
  t.match(record, { closeCause: 'fault', closeCode: 1006 })
})

t.test('slowHandshake: the answer waits', async t => {
  const clock = new ManualClock(Date.now())
  const noted = new Promise<void>(resolve => {
    const setTimer = clock.setTimer.bind(clock)
    clock.setTimer = (delayMs, action) => {
      if (delayMs === 3000) resolve()
      return setTimer(delayMs, action)
    }
  })
  const { open } = await start(t, { do: 'slowHandshake', delayMs: 3000 }, { clock })
  const opening = open()
  await noted
  clock.advance(3000)
  const client = await opening
  t.equal((await client.end()).code, 1000)
})

t.test(
  'clockSkew: a good signature is refused, and the Date shows by how much the clocks differ',
  async t => {
    const { open } = await start(t, { do: 'clockSkew', skewMs: 600_000 })
    const error = await errorOf(open())
    t.match(error, { status: 403, headers: { 'x-amzn-errortype': 'InvalidSignatureException' } })
    const { headers, body } = error as Refused
    t.match(body, /Signature expired: \w+ is now earlier than \w+ \(\w+ - 5 min\.\)/)
    const offMs = Date.parse(String(headers['date'])) - Date.now()
    t.ok(Math.abs(offMs - 600_000) < 60_000)
    await secondWorks(t, open)
  },
)

t.test('clockSkew: whoever signs by that Date comes in', async t => {
  const { open } = await start(t, { do: 'clockSkew', skewMs: -600_000 })
  const client = await open({ nowMs: Date.now() - 600_000 })
  t.equal((await client.end()).code, 1000)
})

t.test('expiredToken: 403 with the name of the exception', async t => {
  const { open } = await start(t, { do: 'expiredToken' })
  t.match(await errorOf(open()), { status: 403, headers: { 'x-amzn-errortype': 'ExpiredTokenException' } })
})

t.test('exception: at the second of the audio, not before, with the text of the service', async t => {
  const { emulator, open } = await start(t, {
    do: 'exception',
    name: 'LimitExceededException',
    atSeconds: 0.3,
  })
  const client = await open()
  client.sendAudio(Buffer.alloc(6400))
  await emulator.waitForStream(record => record.frames === 2)
  t.equal(client.exception, null)
  client.sendAudio(Buffer.alloc(3200))
  t.equal((await client.closed).code, 1000)
  t.strictSame(client.exception, {
    name: 'LimitExceededException',
    message: 'You have reached your limit of concurrent streams, 25. Try again later.',
  })
})

t.test('exception: any name, any text, any close code, right after the handshake', async t => {
  const { open } = await start(t, { do: 'exception', name: 'FunnyException', message: 'ha', closeCode: 1011 })
  const client = await open()
  t.equal((await client.closed).code, 1011)
  t.strictSame(client.exception, { name: 'FunnyException', message: 'ha' })
  const unnamed = await start(t, { do: 'exception', name: 'FunnyException' })
  const second = await unnamed.open()
  await second.closed
  t.equal(second.exception?.message, 'An error occurred.')
})

t.test('errorMessage: an error that the model does not know', async t => {
  const { open } = await start(t, { do: 'errorMessage', code: 'Boom' })
  const client = await open()
  t.equal((await client.closed).code, 1000)
  const { headers, payload } = decodeMessage(client.messages[0] ?? Buffer.alloc(0))
  t.equal(stringHeader(headers, ':message-type'), 'error')
  t.equal(stringHeader(headers, ':error-code'), 'Boom')
  t.equal(payload.length, 0)
})

t.test('close: code and reason of the script', async t => {
  const { emulator, open } = await start(t, { do: 'close', code: 4999, reason: 'bye', atSeconds: 0.1 })
  const client = await open()
  client.sendAudio(Buffer.alloc(3200))
  t.strictSame(await client.closed, { code: 4999, reason: 'bye' })
  t.match(await emulator.waitForStream(record => !record.isLive), { closeCause: 'fault', closeCode: 4999 })
})

t.test('reset and fin: the connection is gone without a Close frame', async t => {
  const reset = await start(t, { do: 'reset', atSeconds: 0.1 })
  const client = await reset.open()
  client.sendAudio(Buffer.alloc(3200))
  t.equal((await client.closed).code, 1006)
  t.match(client.socketError, { code: 'ECONNRESET' })
  const fin = await start(t, { do: 'fin', atSeconds: 0.1 })
  const ended = await fin.open()
  ended.sendAudio(Buffer.alloc(3200))
  t.equal((await ended.closed).code, 1006)
  t.equal(ended.socketError, null, 'an orderly end of the connection')
  t.match(await fin.emulator.waitForStream(record => !record.isLive), {
    closeCause: 'fault',
    closeCode: 1006,
  })
})

t.test('reset: under TLS too it is a reset, not an orderly end', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const { open } = await start(t, { do: 'reset', atSeconds: 0.1 }, { tls: good })
  const client = await open({ secure: true, ca })
  client.sendAudio(Buffer.alloc(3200))
  t.equal((await client.closed).code, 1006)
  t.match(client.socketError, { code: 'ECONNRESET' })
})

t.test('stopReading: the bytes of the client pile up at the client', async t => {
  const { emulator, open } = await start(t, { do: 'stopReading', atSeconds: 0.1 })
  const client = await open()
  client.sendAudio(Buffer.alloc(3200))
  await emulator.waitForStream(record => record.frames === 1)
  for (let second = 0; second < 1000; second++) client.send(audioFrame(Buffer.alloc(32_000)))
  await new Promise(resolve => setImmediate(resolve))
  t.ok(client.webSocket.bufferedAmount > 1_000_000)
  // What was on the wire already when it stopped is the most that it may have read.
  t.ok((emulator.streams[0]?.frames ?? 0) < 10)
  t.equal(client.messages.length, 0)
})

t.test('mute: audio is taken, nothing is ever said', async t => {
  const { emulator, open } = await start(t, { do: 'mute' })
  const client = await open()
  client.sendAudio(Buffer.alloc(64_000))
  client.send(audioFrame(Buffer.alloc(0)))
  const record = await emulator.waitForStream(({ isEnded }) => isEnded)
  t.match(record, { audioBytes: 64_000, isLive: true, partialResults: 0, finalResults: 0 })
  t.equal(client.messages.length, 0)
})

t.test('broken messages: each is refused by a decoder for exactly the one thing that is wrong', async t => {
  const rows: [ActionInput, string][] = [
    [{ do: 'badPreludeCrc' }, 'bad_prelude_crc'],
    [{ do: 'badMessageCrc' }, 'bad_message_crc'],
    [{ do: 'truncatedMessage' }, 'truncated'],
    [{ do: 'garbage', bytes: 100 }, 'too_big'],
  ]
  for (const [action, expected] of rows) {
    const { open } = await start(t, action)
    const client = await open()
    await client.until(() => client.messages.length === 1)
    const [message = Buffer.alloc(0)] = client.messages
    t.throws(() => decode(message), { code: expected }, action.do)
    t.equal((await client.end()).code, 1000, 'and the stream goes on')
  }
})

function decode(message: Buffer): void {
  try {
    decodeMessage(message)
  } catch (error) {
    // Of garbage, either of two things may be noticed first.
    if (error instanceof EventStreamError && error.code === 'bad_length')
      throw new EventStreamError('truncated', '')
    throw error
  }
}

t.test('well-formed messages of unknown types arrive as such', async t => {
  const event = await start(t, { do: 'unknownEventType' })
  const client = await event.open()
  await client.until(() => client.messages.length === 1)
  t.equal(
    stringHeader(decodeMessage(client.messages[0] ?? Buffer.alloc(0)).headers, ':event-type'),
    'WeatherEvent',
  )
  const message = await start(t, { do: 'unknownMessageType' })
  const other = await message.open()
  await other.until(() => other.messages.length === 1)
  t.equal(
    stringHeader(decodeMessage(other.messages[0] ?? Buffer.alloc(0)).headers, ':message-type'),
    'telegram',
  )
})

t.test('frames of a wrong kind or size arrive as such', async t => {
  const text = await start(t, { do: 'textFrame', text: 'hello' })
  const client = await text.open()
  await client.until(() => client.texts.length === 1)
  t.strictSame(client.texts, ['hello'])
  const oversize = await start(t, { do: 'oversizeFrame' })
  const big = await oversize.open()
  await big.until(() => big.messages.length === 1)
  t.equal(big.messages[0]?.length, 20 * 1024 * 1024)
  const compressed = await start(t, { do: 'compressedFrame' })
  const confused = await compressed.open()
  t.equal((await confused.closed).code, 1006)
  t.match(confused.error, { code: 'WS_ERR_UNEXPECTED_RSV_1' })
  const fragments = await start(t, { do: 'fragments', count: 300_000 })
  const flooded = await fragments.open()
  t.equal((await flooded.closed).code, 1006)
  t.match(flooded.error, { code: 'WS_ERR_TOO_MANY_BUFFERED_PARTS' })
})

t.test('flood: so many results at once', async t => {
  const { open } = await start(t, { do: 'flood', results: 10_000 })
  const client = await open()
  await client.until(() => client.results.length === 10_000)
  t.equal(client.results.at(-1)?.Alternatives[0]?.Transcript, 'flood 10000')
})

t.test('dropAfterResults: so many results arrive, then the connection is reset', async t => {
  const { emulator, open } = await start(t, { do: 'dropAfterResults', results: 1 })
  const client = await open()
  client.sendAudio(Buffer.alloc(3200, 0x40))
  const { code } = await client.end()
  t.equal(code, 1006)
  t.equal(client.results.length, 1)
  t.match(await emulator.waitForStream(record => !record.isLive), { closeCause: 'fault', finalResults: 1 })
})

t.test('delayFinals: finals come late, and the close after them', async t => {
  const clock = new ManualClock(Date.now())
  const { emulator, open } = await start(t, { do: 'delayFinals', delayMs: 5000 }, { clock })
  const client = await open()
  client.sendAudio(Buffer.alloc(64_000))
  const closed = client.end()
  await emulator.waitForStream(record => record.isEnded)
  await client.until(() => client.emptyEvents === 2)
  t.equal(client.results.length, 0)
  clock.advance(5000)
  t.equal((await closed).code, 1000)
  t.equal(client.finals.length, 1)
})

t.test('several faults of one connection happen in the order of the audio', async t => {
  const { emulator, open } = await start(t, { do: 'mute' })
  emulator.setFaults({
    rules: [
      { action: { do: 'close', code: 1001, atSeconds: 0.2 } },
      { action: { do: 'textFrame', text: 'first', atSeconds: 0.1 } },
      { action: { do: 'textFrame', text: 'never', atSeconds: 9 } },
    ],
  })
  const client = await open()
  client.sendAudio(Buffer.alloc(9600))
  t.equal((await client.closed).code, 1001)
  t.strictSame(client.texts, ['first'])
})

t.test('rules match by number, by every n-th, by chance and so many times', async t => {
  const action = { do: 'mute' } as const
  const hits = (match: object, seed = 7) => {
    const script = new FaultScript(parseFaultScript({ seed, rules: [{ match, action }] }))
    return Array.from({ length: 12 }, (_, index) => index + 1).filter(
      n => script.faultsOf(n).timed.length > 0,
    )
  }
  t.strictSame(hits({ connection: 3 }), [3])
  t.strictSame(hits({ every: 4 }), [4, 8, 12])
  t.strictSame(hits({ every: 4, times: 2 }), [4, 8])
  t.strictSame(hits({ times: 1 }), [1])
  t.strictSame(hits({ probability: 0 }), [])
  t.equal(hits({ probability: 1 }).length, 12)
  t.strictSame(hits({ probability: 0.3 }), hits({ probability: 0.3 }), 'the same seed, the same luck')
  t.notSame(hits({ probability: 0.5 }, 1), hits({ probability: 0.5 }, 2))
  const script = new FaultScript(parseFaultScript({ rules: [{ match: { probability: 0.3 }, action }] }))
  let count = 0
  for (let connection = 1; connection <= 10_000; connection++)
    count += script.faultsOf(connection).timed.length
  t.ok(count > 2800 && count < 3200, `${count} of 10000`)
})

t.test('a script that breaks a rule is refused whole, and says where', async t => {
  const rows: [unknown, RegExp][] = [
    [{ rules: [{ action: { do: 'explode' } }] }, /rules\.0\.action/],
    [
      { rules: [{ action: { do: 'close', code: 1006 } }] },
      /rules\.0\.action\.code: is a close code that may not be sent/,
    ],
    [
      { rules: [{ action: { do: 'close', code: 1000, reason: 'é'.repeat(62) } }] },
      /reason: must have at most 123 bytes/,
    ],
    [{ rules: [{ action: { do: 'reset', at: 3 } }] }, /rules\.0\.action/],
    [{ rules: [{ match: { every: 0 }, action: { do: 'reset' } }] }, /rules\.0\.match\.every/],
    [{ rules: [{ action: { do: 'httpStatus', status: 503, headers: { 'X-A': 'a\r\nb' } } }] }, /headers/],
    ['nonsense', /^The fault script is not valid\. script: /],
  ]
  for (const [script, message] of rows)
    t.throws(() => parseFaultScript(script), { name: 'FaultScriptError', message })
  const { emulator, open } = await start(t, { do: 'close', code: 4000 })
  t.throws(() => emulator.setFaults({ rules: [{ action: { do: 'close', code: 1 } }] }), FaultScriptError)
  const client = await open()
  t.equal((await client.closed).code, 4000, 'the old script stays')
  t.throws(() => createEmulator({ faults: { seed: -1 } }), FaultScriptError)
})

t.test('with the emulator closed, the port refuses', async t => {
  const { emulator } = await start(t, { do: 'refuse' })
  const free = createServer()
  await emulator.close()
  const port = await new Promise<number>(resolve => {
    free.listen(0, '127.0.0.1', () => resolve((free.address() as { port: number }).port))
  })
  await new Promise(resolve => free.close(resolve))
  t.match(await errorOf(openStream({ port })), { code: 'ECONNREFUSED' })
})

t.test('every fault there is was tested', async t => {
  t.strictSame([...tested].sort(), [...FAULT_NAMES].sort())
})
