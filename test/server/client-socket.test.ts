/**
 * A client's socket over a native socket made of memory: every order of events, without a network.
 */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import type { ClientSocketOptions, NativeSocket } from '../../src/server/client-socket.ts'
import { ClientSocket } from '../../src/server/client-socket.ts'
import { RecordingMetrics, RecordingSession } from '../support/client-server.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** Behaves as the native socket was measured to: calls back within `end` and `close`, throws after them. */
class MemorySocket implements NativeSocket {
  readonly sent: string[] = []
  readonly calls: string[] = []
  bufferedBytes = 0
  sendStatus = 1
  #isClosed = false
  onClose: (code: number, reason: ArrayBuffer) => void = () => {}

  send(message: unknown): number {
    this.#check()
    if (this.sendStatus !== 2) this.sent.push(String(message))
    return this.sendStatus
  }

  cork(action: () => void): never {
    this.#check()
    this.calls.push('cork')
    action()
    return this as never
  }

  getBufferedAmount(): number {
    this.#check()
    return this.bufferedBytes
  }

  end(code = 0, reason: unknown = ''): void {
    this.#check()
    this.calls.push(`end ${code} ${String(reason)}`)
    this.goAway(code, String(reason))
  }

  close(): void {
    this.#check()
    this.calls.push('close')
    this.goAway(1006, '')
  }

  /** As if the other side had done it. */
  goAway(code: number, reason: string): void {
    this.#isClosed = true
    this.onClose(code, new Uint8Array(Buffer.from(reason)).buffer)
  }

  #check(): void {
    if (this.#isClosed) throw new Error('Invalid access of closed uWS.WebSocket/SSLWebSocket.')
  }
}

/** `opened` is what it is opened with; `null`: closed already. */
function openSocket(
  options: Partial<ClientSocketOptions> = {},
  opened: MemorySocket | null = new MemorySocket(),
) {
  const native = opened ?? new MemorySocket()
  const metrics = new RecordingMetrics()
  const clock = new ManualClock()
  const failures: unknown[] = []
  const sessions: RecordingSession[] = []
  const socket = new ClientSocket(
    {
      maxMessageBytes: 100,
      closeTimeoutMs: 10_000,
      pingsPerSecond: 10,
      clock,
      metrics,
      onFailure: error => failures.push(error),
      ...options,
    },
    client => {
      const session = new RecordingSession(client, {
        sessionId: 'test',
        query: { kind: 'configure', resume: false, given: new Map() },
        remoteAddress: '127.0.0.1',
      })
      sessions.push(session)
      return session
    },
  )
  native.onClose = (code, reason) => socket.socketOnClose(code, reason)
  if (opened === null) socket.socketOnClose(1006, bytesOf(''))
  socket.socketOnOpen(opened)
  const [session] = sessions
  if (session === undefined) throw new Error('no session')
  return { native, metrics, clock, failures, socket, session }
}

function bytesOf(text: string): ArrayBuffer {
  return new Uint8Array(Buffer.from(text)).buffer
}

t.test('says what became of a message', test => {
  const { native, socket } = openSocket()
  test.equal(socket.sendText('one'), 'sent')
  native.sendStatus = 0
  test.equal(socket.sendText('two'), 'buffered')
  native.sendStatus = 2
  test.equal(socket.sendText('three'), 'dropped')
  test.same(native.sent, ['one', 'two'])
  native.bufferedBytes = 1234
  test.equal(socket.bufferedBytes(), 1234)
  test.end()
})

t.test('messages that come together leave together, and the worst result counts', test => {
  const { native, socket } = openSocket()
  test.equal(socket.sendTexts(['one', 'two']), 'sent')
  test.same(native.sent, ['one', 'two'])
  test.same(native.calls, ['cork'], 'in one go')
  const statuses = [1, 0, 1, 2, 1]
  native.send = message => {
    native.sent.push(String(message))
    return statuses.shift() ?? 1
  }
  test.equal(socket.sendTexts(['three', 'four', 'five']), 'buffered')
  test.equal(socket.sendTexts(['six', 'seven']), 'dropped')
  test.same(native.sent.slice(2), ['three', 'four', 'five', 'six'], 'nothing after one that was dropped')
  socket.close(1000, 'normal')
  test.equal(socket.sendTexts(['late']), 'dropped')
  test.equal(native.sent.length, 6)
  test.end()
})

t.test('hands on audio as a view, text as a string and too much as a number', async test => {
  const { socket, session } = openSocket()
  const audio = new Uint8Array([1, 2, 3, 4]).buffer
  const seen: ArrayBufferLike[] = []
  session.clientOnAudio = pcm => {
    seen.push(pcm.buffer)
    session.audio.push(Buffer.from(pcm))
  }
  socket.socketOnMessage(audio, true)
  test.equal(seen[0], audio, 'not a copy')
  socket.socketOnMessage(bytesOf('{"type":"KeepAlive","é":"𝄞"}'), false)
  socket.socketOnMessage(bytesOf('x'.repeat(100)), false)
  socket.socketOnMessage(new ArrayBuffer(0), true)
  test.same(session.audio, [Buffer.from([1, 2, 3, 4]), Buffer.alloc(0)])
  test.same(session.texts, ['{"type":"KeepAlive","é":"𝄞"}', 'x'.repeat(100)])
  session.clientOnOversize = size => session.oversizes.push(size)
  socket.socketOnMessage(new ArrayBuffer(101), true)
  socket.socketOnMessage(bytesOf('x'.repeat(102)), false)
  test.same(session.oversizes, [101, 102])
  socket.socketOnDrain()
  test.equal(session.drains, 0, 'not within the native handler')
  await setImmediate()
  test.equal(session.drains, 1)
})

t.test('closes at once when nothing waits, and is dead afterwards', async test => {
  const { native, socket, session, clock } = openSocket()
  session.onClose = () => {
    // What a session may do while it is being told.
    socket.close(1000, 'again')
    socket.sendText('late')
  }
  socket.socketOnDrain()
  socket.close(4408, 'audio_timeout')
  test.same(native.calls, ['end 4408 audio_timeout'])
  test.same(session.ends, [{ code: 'client_closed', closeCode: 4408 }])
  socket.close(1000, 'twice')
  test.equal(socket.sendText('late'), 'dropped')
  test.equal(socket.bufferedBytes(), 0)
  socket.socketOnMessage(new ArrayBuffer(2), true)
  socket.socketOnDrain()
  await setImmediate()
  test.same([native.calls.length, native.sent, session.messages, session.drains], [1, [], [], 0])
  test.equal(clock.pendingTimers, 0)
})

t.test('waits with the Close frame until the client has read what came before', test => {
  const { native, socket, session, clock, metrics } = openSocket()
  native.bufferedBytes = 70_000
  socket.close(4430, 'slow_consumer')
  test.same(native.calls, [], 'the frame would be dropped or stand behind too much')
  test.equal(socket.sendText('more'), 'dropped', 'nothing follows a close')
  socket.socketOnMessage(new ArrayBuffer(2), true)
  test.same(session.messages, [], 'nothing is heard after a close')
  native.bufferedBytes = 10
  socket.socketOnDrain()
  test.same(native.calls, [], 'not yet')
  socket.close(1011, 'internal')
  native.bufferedBytes = 0
  socket.socketOnDrain()
  test.same(native.calls, ['end 4430 slow_consumer'], 'the first close counts')
  test.same(session.ends, [{ code: 'client_closed', closeCode: 4430 }])
  test.same([session.drains, metrics.forcedCloses, clock.pendingTimers], [0, 0, 0])
  test.end()
})

t.test('ends by force when the client never reads', test => {
  const { native, socket, session, clock, metrics } = openSocket()
  native.bufferedBytes = 70_000
  socket.close(4430, 'slow_consumer')
  clock.advance(9999)
  test.same(native.calls, [])
  clock.advance(1)
  test.same(native.calls, ['close'])
  test.same(session.ends, [{ code: 'ping_timeout', closeCode: 1006 }])
  test.equal(metrics.forcedCloses, 1)
  clock.advance(60_000)
  test.equal(native.calls.length, 1)
  test.end()
})

t.test('a client that leaves while it is being closed ends the wait', test => {
  const { native, socket, session, clock } = openSocket()
  native.bufferedBytes = 70_000
  socket.close(4430, 'slow_consumer')
  native.goAway(1006, 'Received TCP FIN before WebSocket close frame')
  test.same(session.ends, [{ code: 'tcp_fin', closeCode: 1006 }])
  test.equal(clock.pendingTimers, 0)
  test.end()
})

t.test('sends no close code that must not be on the wire', test => {
  for (const code of [0, 999, 1004, 1005, 1006, 1010, 1015, 3000, 5000, Number.NaN]) {
    const { native, socket, failures } = openSocket()
    socket.close(code, 'reason')
    test.same(native.calls, ['end 1011 reason'], String(code))
    test.match(failures, [{ name: 'RangeError', message: `got ${code}` }])
  }
  test.end()
})

t.test('cuts a close reason to what fits', test => {
  const { native, socket } = openSocket()
  socket.close(4400, `${'x'.repeat(122)}é and more`)
  test.same(native.calls, [`end 4400 ${'x'.repeat(122)}`])
  test.end()
})

t.test('tells the session of a bug in any handler, and of nothing twice', async test => {
  const events: ((socket: ClientSocket, native: MemorySocket) => void)[] = [
    socket => socket.socketOnMessage(new ArrayBuffer(2), true),
    socket => socket.socketOnMessage(bytesOf('text'), false),
    socket => socket.socketOnMessage(new ArrayBuffer(101), true),
    socket => socket.socketOnDrain(),
    (_, native) => native.goAway(1000, ''),
  ]
  for (const [index, happen] of events.entries()) {
    const { native, socket, session, failures } = openSocket()
    const bug = new TypeError('a bug')
    const fail = () => {
      throw bug
    }
    Object.assign(session, {
      clientOnAudio: fail,
      clientOnText: fail,
      clientOnOversize: fail,
      clientOnDrain: fail,
    })
    session.onClose = index === events.length - 1 ? fail : () => {}
    happen(socket, native)
    await setImmediate()
    test.same(session.failures, [bug], `event ${index}`)
    test.same(failures, [])
    test.equal(session.ends.length, 1)
    if (index < events.length - 1) test.same(native.calls, ['end 1011 internal'])
  }
})

t.test('a listener that cannot even fail is closed with internal', test => {
  const { native, socket, session, failures } = openSocket()
  session.clientOnAudio = () => {
    throw new Error('a bug')
  }
  session.clientOnFailure = () => {
    throw new Error('another')
  }
  socket.socketOnMessage(new ArrayBuffer(2), true)
  test.same(native.calls, ['end 1011 internal'])
  test.match(failures, [{ message: 'a bug' }, { message: 'another' }])
  test.end()
})

t.test('a host that cannot open a session closes the client with internal', test => {
  const native = new MemorySocket()
  const failures: unknown[] = []
  const socket = new ClientSocket(
    {
      maxMessageBytes: 100,
      closeTimeoutMs: 10_000,
      pingsPerSecond: 10,
      clock: new ManualClock(),
      metrics: new RecordingMetrics(),
      onFailure: error => failures.push(error),
    },
    () => {
      throw new Error('no session')
    },
  )
  native.onClose = (code, reason) => socket.socketOnClose(code, reason)
  socket.socketOnOpen(native)
  test.same(native.calls, ['end 1011 internal'])
  test.match(failures, [{ message: 'no session' }])
  socket.socketOnMessage(new ArrayBuffer(2), true)
  test.end()
})

t.test('a session that closes while it is being made is told of its end once it is there', test => {
  const native = new MemorySocket()
  const metrics = new RecordingMetrics()
  const sessions: RecordingSession[] = []
  const socket = new ClientSocket(
    {
      maxMessageBytes: 100,
      closeTimeoutMs: 10_000,
      pingsPerSecond: 10,
      clock: new ManualClock(),
      metrics,
      onFailure: error => t.fail(String(error)),
    },
    client => {
      const session = new RecordingSession(client, {
        sessionId: 'test',
        query: { kind: 'configure', resume: false, given: new Map() },
        remoteAddress: '127.0.0.1',
      })
      sessions.push(session)
      client.sendText('no')
      client.close(1013, 'overloaded')
      return session
    },
  )
  native.onClose = (code, reason) => socket.socketOnClose(code, reason)
  socket.socketOnOpen(native)
  test.same(native.sent, ['no'])
  test.same(sessions[0]?.ends, [{ code: 'client_closed', closeCode: 1013 }])
  test.end()
})

t.test(
  'a session whose socket the library has closed before it was opened is told of it, and can do no harm',
  test => {
    const opened = openSocket({}, null)
    test.same(opened.session.ends, [{ code: 'tcp_reset', closeCode: 1006 }])
    test.equal(opened.session.client.sendText('nobody'), 'dropped')
    opened.session.client.close(1000, 'normal')
    test.same([opened.native.calls, opened.failures], [[], []])
    test.end()
  },
)

t.test('counts violations, and survives figures that fail', test => {
  const counted = openSocket()
  counted.native.goAway(1006, 'Received invalid UTF-8')
  test.same(counted.metrics.violations, ['invalid_utf8'])
  const orderly = openSocket()
  orderly.native.goAway(1006, '')
  test.same(orderly.metrics.violations, [], 'a reset is none')
  test.same(orderly.session.ends, [{ code: 'tcp_reset', closeCode: 1006 }])
  const failing = openSocket()
  failing.metrics.countViolation = () => {
    throw new Error('no metrics')
  }
  failing.native.goAway(1006, 'Received invalid UTF-8')
  test.same(failing.session.ends, [{ code: 'invalid_utf8', closeCode: 1006 }])
  test.match(failing.failures, [{ message: 'no metrics' }])
  test.end()
})

t.test('more pings than allowed are a failure with a code, and none once a close was decided', test => {
  const { clock, session, socket } = openSocket({ pingsPerSecond: 1 })
  socket.socketOnPing()
  socket.socketOnPing()
  test.same(session.failures, [])
  clock.advance(1000)
  socket.socketOnPing()
  test.same(session.failures, [], 'one more a second')
  socket.socketOnPing()
  test.match(session.failures, [{ code: 'rate_limited', message: 'A client may send 1 pings a second.' }])
  socket.socketOnPing()
  test.equal(session.failures.length, 1)
  test.end()
})
