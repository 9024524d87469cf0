/**
 * The client port as a whole, over real sockets: stopping, busy ports, caps, slow readers, dead peers.
 */
import { once } from 'node:events'
import { createServer as createNetServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Test } from 'tap'
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { RelayError } from '../../src/errors.ts'
import { createClientServer, ListenError } from '../../src/server/app.ts'
import type { ClientPort } from '../../src/session/ports.ts'
import type { TestServer } from '../support/client-server.ts'
import { RecordingHost, RecordingMetrics, startServer } from '../support/client-server.ts'
import { closePayload, encodeHandshake, OPCODE, RawSocket } from '../support/raw-socket.ts'

const STREAM_DEFAULTS = {
  parameters: {},
  format: 'simple',
  words: false,
  partials: true,
  extraLanguageCodes: [],
} as const

async function openSession(test: Test, relay: TestServer) {
  const index = relay.host.sessions.length
  const raw = await RawSocket.open(relay.port)
  test.teardown(() => raw.destroy())
  return { raw, session: await relay.host.session(index) }
}

/** Sends until the hard limit; gives back how many messages were accepted. */
function fill(client: ClientPort): number {
  const message = 'x'.repeat(16 * 1024)
  let accepted = 0
  while (client.sendText(message) !== 'dropped') accepted += 1
  return accepted
}

t.test('says where it listens and which build it runs', async test => {
  const { server, port } = await startServer(test)
  test.ok(port > 0)
  test.match(server.build?.packageName, /^uWebSockets\.js/)
})

t.test('a shared port is for those who say so, and for nobody else', async test => {
  const probe = createNetServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  const open = (sharePort: boolean) => {
    const server = createClientServer(
      {
        host: '127.0.0.1',
        port,
        sharePort,
        metrics: new RecordingMetrics(),
        onFailure: (error: unknown) => test.fail(String(error)),
        streamDefaults: STREAM_DEFAULTS,
      },
      new RecordingHost(),
    )
    test.teardown(() => server.close())
    return server.listen()
  }
  test.same(await open(true), { host: '127.0.0.1', port })
  test.same(await open(true), { host: '127.0.0.1', port })
  await test.rejects(open(false), ListenError)
})

t.test('a busy port is an error that names it, and so is a host of somewhere else', async test => {
  const { port } = await startServer(test)
  const options = {
    metrics: new RecordingMetrics(),
    onFailure: (error: unknown) => test.fail(String(error)),
    streamDefaults: STREAM_DEFAULTS,
  }
  const busy = createClientServer({ ...options, host: '127.0.0.1', port }, new RecordingHost())
  await test.rejects(busy.listen(), { name: 'ListenError', message: `Cannot listen on 127.0.0.1:${port}` })
  const elsewhere = createClientServer({ ...options, host: '192.0.2.1', port: 0 }, new RecordingHost())
  await test.rejects(elsewhere.listen(), ListenError)
  busy.close()
  test.throws(
    () => createClientServer({ ...options, idleTimeoutSeconds: 5 }, new RecordingHost()),
    RangeError,
  )
})

t.test('a server that never listened can be stopped and closed', async test => {
  const server = createClientServer(
    {
      metrics: new RecordingMetrics(),
      onFailure: (error: unknown) => test.fail(String(error)),
      streamDefaults: STREAM_DEFAULTS,
    },
    new RecordingHost(),
  )
  server.stopListening()
  server.close()
  test.equal(server.build, null)
  test.equal(server.connectionCount, 0)
})

t.test('stopping refuses new connections and new sessions on old ones, and sessions go on', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  const kept = await RawSocket.connect(relay.port)
  const browser = await RawSocket.connect(relay.port)
  const head = await RawSocket.connect(relay.port)
  test.teardown(() => [kept, browser, head].forEach(socket => socket.destroy()))
  test.equal((await kept.handshake({ path: '/' })).status, 404)
  test.equal((await browser.handshake({ path: '/' })).status, 404)
  relay.server.stopListening()
  relay.server.stopListening()
  await test.rejects(RawSocket.connect(relay.port), { code: 'ECONNREFUSED' })

  const answer = await kept.handshake()
  test.equal(answer.status, 503)
  test.same([answer.headers.get('connection'), answer.headers.get('retry-after')], ['close', '1'])
  test.match(JSON.parse(answer.body), { code: 'draining', retryable: true, retry_after_ms: 1000 })
  test.same((await kept.readEnd()).how, 'fin')

  test.equal((await browser.handshake({ headers: { origin: 'https://example.org' } })).status, 101)
  test.same((await browser.readEnd()).closeFrame?.payload, closePayload(1012, 'draining'))

  const headAnswer = await head.handshake({ method: 'HEAD', path: '/' })
  test.same([headAnswer.status, headAnswer.headers.get('connection')], [503, 'close'])
  test.same((await head.readEnd()).how, 'fin')

  raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(320) })
  await session.whenMessages(1)
  session.client.close(1012, 'drain_deadline')
  test.same((await raw.readEnd()).closeFrame?.payload, closePayload(1012, 'drain_deadline'))
  test.same(relay.host.sessions.length, 1)
})

t.test('a draining host is heard on every connection, and the connection ends', async test => {
  const relay = await startServer(test)
  relay.host.refusal = new RelayError('draining')
  const raw = await RawSocket.connect(relay.port)
  const answer = await raw.handshake()
  test.same([answer.status, answer.headers.get('connection')], [503, 'close'])
  await raw.readEnd()
})

t.test('closing ends every connection at once', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  relay.server.close()
  relay.server.close()
  test.equal((await raw.readEnd()).closeFrame, null)
  test.match(await session.whenClosed(), { closeCode: 1006 })
  await test.rejects(RawSocket.connect(relay.port), { code: 'ECONNREFUSED' })
})

t.test('counts connections, and closes those above the cap at once', async test => {
  const relay = await startServer(test, { maxConnections: 3 })
  const first = await openSession(test, relay)
  await openSession(test, relay)
  const plain = await RawSocket.connect(relay.port)
  test.teardown(() => plain.destroy())
  test.equal((await plain.handshake({ path: '/' })).status, 404)
  test.equal(relay.server.connectionCount, 3)

  const refused = await RawSocket.connect(relay.port)
  await refused.readEnd()
  test.equal(relay.metrics.connectionsRefused, 1)
  test.equal(relay.server.connectionCount, 3)

  first.raw.send({ opcode: OPCODE.close, payload: closePayload(1000) })
  await first.raw.readEnd()
  test.equal(relay.server.connectionCount, 2)
  await openSession(test, relay)
  test.equal(relay.server.connectionCount, 3)
})

t.test(
  'those refused over a socket count against the cap for as long as they may hold it open',
  async test => {
    const relay = await startServer(test, { maxConnections: 3 })
    relay.host.refusal = new RelayError('overloaded')
    const ask = async () => {
      const raw = await RawSocket.connect(relay.port)
      test.teardown(() => raw.destroy())
      raw.write(encodeHandshake('dGhlIHNhbXBsZSBub25jZQ==', { headers: { origin: 'https://example.org' } }))
      await raw.readEnd()
    }
    for (let count = 0; count < 5; count += 1) await ask()
    test.same([relay.server.connectionCount, relay.metrics.connectionsRefused], [0, 2])
    relay.clock.advance(8000)
    await ask()
    test.equal(relay.metrics.connectionsRefused, 3)
    relay.clock.advance(8000)
    await ask()
    test.equal(relay.metrics.connectionsRefused, 3)
  },
)

t.test('sockets are closed once the last client has had a second to read', async test => {
  const relay = await startServer(test)
  await relay.server.whenSocketsClosed()
  const { raw, session } = await openSession(test, relay)
  const closed = relay.server.whenSocketsClosed().then(() => 'closed')
  session.client.close(1012, 'drain_deadline')
  await raw.readEnd()
  relay.clock.advance(999)
  test.equal(await Promise.race([closed, nextTurn('open')]), 'open')
  relay.clock.advance(1)
  test.equal(await closed, 'closed')
})

t.test('nobody is waited for who was gone', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  raw.reset()
  await session.whenClosed()
  await relay.server.whenSocketsClosed()
  test.equal(relay.clock.pendingTimers, 0)
})

t.test('a slow reader is told why, once it reads again', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  raw.tcp.pause()
  const sent = fill(session.client)
  test.ok(
    session.client.bufferedBytes() > 256 * 1024,
    'above the hard limit, where a Close frame would be dropped',
  )
  session.client.close(4430, 'slow_consumer')
  test.equal(session.ends.length, 0, 'it waits')
  raw.tcp.resume()
  const { closeFrame } = await raw.readEnd()
  test.same(closeFrame?.payload, closePayload(4430, 'slow_consumer'))
  test.equal(raw.frames.length, sent + 1, 'everything accepted arrived before it')
  test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 4430 })
  test.equal(relay.clock.pendingTimers, 0)
})

t.test('messages that leave together arrive in order, the end after them', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  const sizes = [3, 126, 300, 40_000, 1]
  test.equal(session.client.sendTexts(sizes.map((size, index) => String(index).repeat(size))), 'sent')
  session.client.sendText('last')
  session.client.close(1000, 'normal')
  const frames = await raw.readFrames(sizes.length + 2)
  test.same(
    frames.slice(0, -1).map(({ payload }) => String(payload)),
    [...sizes.map((size, index) => String(index).repeat(size)), 'last'],
  )
  test.equal(frames.at(-1)?.opcode, 8)
})

t.test('a reader that never reads is ended by force, and its connection is free', async test => {
  const relay = await startServer(test)
  const { raw, session } = await openSession(test, relay)
  raw.tcp.pause()
  fill(session.client)
  session.client.close(4430, 'slow_consumer')
  relay.clock.advance(10_000)
  test.same(await session.whenClosed(), { code: 'ping_timeout', closeCode: 1006 })
  test.equal(relay.metrics.forcedCloses, 1)
  test.equal(relay.server.connectionCount, 0)
  test.equal(session.client.sendText('late'), 'dropped')
})

t.test('what the session sends after the client is gone does no harm', async test => {
  for (const leave of ['reset', 'destroy'] as const) {
    const relay = await startServer(test)
    const { raw, session } = await openSession(test, relay)
    raw[leave]()
    const end = await session.whenClosed()
    test.match(end, { code: leave === 'reset' ? 'tcp_reset' : 'tcp_fin', closeCode: 1006 })
    test.equal(session.client.sendText('late'), 'dropped')
    session.client.close(1000, 'late')
    test.equal(session.client.bufferedBytes(), 0)
    test.same(relay.failures, [])
  }
})

t.test('a bug in a session ends that session alone', async test => {
  const relay = await startServer(test)
  const buggy = await openSession(test, relay)
  const neighbour = await openSession(test, relay)
  const bug = new TypeError('a bug')
  buggy.session.clientOnAudio = () => {
    throw bug
  }
  buggy.raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(320) })
  test.same((await buggy.raw.readEnd()).closeFrame?.payload, closePayload(1011, 'internal'))
  test.equal(buggy.raw.frames[0]?.payload.toString(), '{"type":"Error","code":"internal"}')
  test.same(buggy.session.failures, [bug])
  neighbour.raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(320) })
  await neighbour.session.whenMessages(1)
})

t.test('a host that cannot open a session closes the client with internal', async test => {
  const relay = await startServer(test)
  relay.host.onOpen = () => {
    throw new Error('no session')
  }
  const raw = await RawSocket.open(relay.port)
  test.same((await raw.readEnd()).closeFrame?.payload, closePayload(1011, 'internal'))
  test.match(relay.failures, [{ message: 'no session' }])
})

t.test(
  'a client that says nothing, or sends unmasked frames, and answers no ping is given up (PC-16)',
  async test => {
    // The one test that waits for real time: the shortest idle time-out there is, kept by the native library.
    const relay = await startServer(test, { idleTimeoutSeconds: 8, clock: systemClock })
    const silent = await openSession(test, relay)
    const unmasked = await openSession(test, relay)
    unmasked.raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(8), mask: null })
    const alive = await openSession(test, relay)
    alive.raw.on('progress', () => {
      const frame = alive.raw.frames.at(-1)
      if (frame?.opcode === OPCODE.ping) alive.raw.send({ opcode: OPCODE.pong, payload: frame.payload })
    })
    const ends = await Promise.all([silent.session.whenClosed(), unmasked.session.whenClosed()])
    test.same(ends, [
      { code: 'ping_timeout', closeCode: 1006 },
      { code: 'ping_timeout', closeCode: 1006 },
    ])
    test.ok(alive.raw.frames.some(({ opcode }) => opcode === OPCODE.ping))
    test.same(alive.session.ends, [], 'who answers stays')
    test.same(unmasked.session.messages, [], 'an unmasked frame waits for bytes that never come')
  },
)

t.test('nothing is left when the last client is gone', async test => {
  const relay = await startServer(test)
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawSocket.open(relay.port)))
  while (relay.host.sessions.length < 20) await once(relay.host, 'session')
  test.equal(relay.server.connectionCount, 20)
  for (const [index, client] of clients.entries()) {
    if (index % 2 === 0) client.reset()
    else client.destroy()
  }
  await Promise.all(relay.host.sessions.map(session => session.whenClosed()))
  test.equal(relay.server.connectionCount, 0)
  test.ok(relay.host.sessions.every(session => session.ends.length === 1))
})
