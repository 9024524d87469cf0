/**
 * From the first byte of a request to an open socket or a refusal, against a real server.
 */
import { once } from 'node:events'
import type { Test } from 'tap'
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import type { Handshake } from '../../src/server/handshake.ts'
import type { Authorize } from '../../src/server/options.ts'
import { startServer } from '../support/client-server.ts'
import type { HandshakeOptions } from '../support/raw-socket.ts'
import { closePayload, OPCODE, RawSocket } from '../support/raw-socket.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const ORIGIN = { origin: 'https://example.org' }

async function ask(test: Test, port: number, options: HandshakeOptions = {}) {
  const raw = await RawSocket.connect(port)
  test.teardown(() => raw.destroy())
  return { raw, answer: await raw.handshake(options) }
}

/** What a browser is told: the `Error` message and the Close frame of a socket opened for that. */
async function readSocketRefusal(test: Test, port: number, options: HandshakeOptions = {}) {
  const { raw, answer } = await ask(test, port, { headers: ORIGIN, ...options })
  test.equal(answer.status, 101)
  const { closeFrame } = await raw.readEnd()
  const [message] = raw.frames
  test.equal(message?.opcode, OPCODE.text)
  test.equal(raw.frames.length, 2, 'Error, then Close')
  return { error: JSON.parse(String(message?.payload)), close: closeFrame?.payload }
}

/** An `authorize` that waits until the test says so. */
function controlledAuthorize() {
  const calls: { handshake: Handshake; allow: () => void; deny: (error: unknown) => void }[] = []
  const authorize: Authorize = handshake =>
    new Promise((allow, deny) => calls.push({ handshake, allow, deny }))
  return { calls, authorize }
}

t.test('opens a session with an id, the parsed query and the address', async test => {
  const { port, host, metrics } = await startServer(test)
  const { answer } = await ask(test, port, { path: '/v1/stream?language-code=de-DE&partials=false' })
  const { request } = await host.session(0)
  test.match(request.sessionId, UUID)
  test.equal(answer.headers.get('x-transcribe-relay-session-id'), request.sessionId)
  test.equal(request.remoteAddress, '127.0.0.1')
  test.match(request.query, {
    kind: 'ready',
    stream: { partials: false, parameters: { wire: { 'language-code': 'de-DE' } } },
  })
  test.same(metrics.handshakes, ['accepted normal'])
  test.same(metrics.handshakeSeconds, [0])
})

t.test('opens a session without any query, from the defaults', async test => {
  const { port, host } = await startServer(test)
  await ask(test, port)
  test.match((await host.session(0)).request.query, { kind: 'ready' })
  await ask(test, port, { path: '/v1/stream?configure=true' })
  test.match((await host.session(1)).request.query, { kind: 'configure' })
})

t.test('echoes its own subprotocol, never the list (PC-19)', async test => {
  const { port } = await startServer(test)
  const offers: [string | null, string | undefined][] = [
    [null, undefined],
    ['transcribe-relay.v1', 'transcribe-relay.v1'],
    ['chat, transcribe-relay.v1', 'transcribe-relay.v1'],
    ['chat, superchat', undefined],
  ]
  for (const [offer, echoed] of offers) {
    const { answer } = await ask(test, port, { headers: { 'sec-websocket-protocol': offer } })
    test.equal(answer.status, 101)
    test.equal(answer.headers.get('sec-websocket-protocol'), echoed, String(offer))
  }
})

t.test('answers every bent handshake (PC-17)', async test => {
  const { port, host, metrics } = await startServer(test)
  const bent: [string, HandshakeOptions, number, string | null][] = [
    ['version 8', { headers: { 'sec-websocket-version': '8' } }, 426, 'upgrade_required'],
    ['no version', { headers: { 'sec-websocket-version': null } }, 426, 'upgrade_required'],
    ['no Upgrade', { headers: { upgrade: null } }, 400, 'invalid_request'],
    ['no Connection', { headers: { connection: null } }, 400, 'invalid_request'],
    ['short key', { headers: { 'sec-websocket-key': 'c2hvcnQ=' } }, 400, 'invalid_request'],
    ['no key', { headers: { 'sec-websocket-key': null } }, 400, 'invalid_request'],
    [
      '24 characters that are no key',
      { headers: { 'sec-websocket-key': '*'.repeat(24) } },
      400,
      'invalid_request',
    ],
    ['POST', { method: 'POST' }, 405, 'upgrade_required'],
    ['PUT', { method: 'PUT' }, 405, 'upgrade_required'],
    ['OPTIONS', { method: 'OPTIONS' }, 405, 'upgrade_required'],
    ['HEAD', { method: 'HEAD' }, 405, null],
    [
      'a plain GET',
      { headers: { 'sec-websocket-key': null, 'sec-websocket-version': null } },
      426,
      'upgrade_required',
    ],
    ['another path', { path: '/v1/streams' }, 404, 'not_found'],
    ['a slash too many', { path: '/v1/stream/' }, 404, 'not_found'],
    ['the root', { path: '/' }, 404, 'not_found'],
    ['an encoded path', { path: '/v1/%73tream' }, 404, 'not_found'],
    ['a browser on another path', { path: '/nowhere', headers: ORIGIN }, 404, 'not_found'],
    [
      'a browser of version 8',
      { headers: { ...ORIGIN, 'sec-websocket-version': '8' } },
      426,
      'upgrade_required',
    ],
  ]
  for (const [what, options, status, code] of bent) {
    const { answer } = await ask(test, port, options)
    test.equal(answer.status, status, what)
    if (code !== null)
      test.match(JSON.parse(answer.body), { type: 'Error', code, retryable: false, request_id: UUID }, what)
    if (status === 426) test.equal(answer.headers.get('sec-websocket-version'), '13', what)
    if (status === 405) test.equal(answer.headers.get('allow'), 'GET', what)
    test.match(answer.headers.get('content-type'), 'application/json', what)
  }
  test.equal(metrics.handshakes.length, bent.length, 'each was counted once')
  test.ok(metrics.handshakes.every(counted => counted.startsWith('rejected ')))
  test.same(host.sessions, [])
})

t.test('leaves to the native parser what is no HTTP for it (PC-17)', async test => {
  const { port, host } = await startServer(test)
  const native: [string, HandshakeOptions, number][] = [
    ['HTTP/1.0', { httpVersion: '1.0' }, 505],
    ['no Host', { headers: { host: null } }, 400],
    ['a header of 5 KB', { headers: { authorization: 'x'.repeat(5000) } }, 431],
    [
      '120 headers',
      { headers: Object.fromEntries(Array.from({ length: 120 }, (_, n) => [`x-${n}`, 'y'])) },
      431,
    ],
  ]
  for (const [what, options, status] of native) {
    const { answer } = await ask(test, port, options)
    test.equal(answer.status, status, what)
  }
  const { answer } = await ask(test, port, { headers: { authorization: `Bearer ${'x'.repeat(3000)}` } })
  test.equal(answer.status, 101, 'a token of 3 KB fits')
  test.equal(host.sessions.length, 1)
})

t.test('a kept-alive connection may upgrade after other answers', async test => {
  const { port, host } = await startServer(test)
  const raw = await RawSocket.connect(port)
  test.teardown(() => raw.destroy())
  raw.write('POST /v1/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello')
  test.equal((await raw.readAnswer()).status, 405)
  test.equal((await raw.handshake({ path: '/' })).status, 404)
  test.equal((await raw.handshake({ method: 'HEAD' })).status, 405)
  test.equal((await raw.handshake()).status, 101)
  test.equal(host.sessions.length, 1)
})

t.test('refuses a query by parameter, value and rule', async test => {
  const { port, host, metrics } = await startServer(test)
  const { answer } = await ask(test, port, { path: '/v1/stream?sample-rate=12&format=yaml&colour=blue' })
  test.equal(answer.status, 400)
  const error = JSON.parse(answer.body)
  test.match(error, { type: 'Error', code: 'invalid_request', retryable: false, request_id: UUID })
  for (const part of ['sample-rate', '"12"', 'format', '"yaml"', 'simple or aws', 'colour'])
    test.match(error.message, part)
  const refusal = await readSocketRefusal(test, port, { path: '/v1/stream?format=yaml' })
  test.match(refusal.error, {
    type: 'Error',
    code: 'invalid_request',
    message: /format must be simple or aws/,
  })
  test.same(refusal.close, closePayload(4400, 'invalid_request'))
  test.same(metrics.handshakes, ['rejected invalid_request', 'rejected invalid_request'])
  test.same(host.sessions, [])
})

t.test('tells a client by HTTP and a browser by socket why there is no room', async test => {
  const { port, host, server } = await startServer(test)
  host.refusal = new RelayError('overloaded')
  const { answer } = await ask(test, port)
  test.same([answer.status, answer.headers.get('retry-after')], [503, '2'])
  test.match(JSON.parse(answer.body), { code: 'overloaded', retryable: true, retry_after_ms: 2000 })
  const refusal = await readSocketRefusal(test, port)
  test.match(refusal.error, {
    type: 'Error',
    code: 'overloaded',
    retryable: true,
    retry_after_ms: 2000,
    request_id: UUID,
  })
  test.same(refusal.close, closePayload(1013, 'overloaded'))
  test.same(host.sessions, [], 'no session for either')
  host.refusal = new RelayError('not_ready', { retryAfterMs: 1500 })
  test.equal((await ask(test, port)).answer.headers.get('retry-after'), '2', 'seconds are rounded up')
  host.refusal = null
  test.equal((await ask(test, port)).answer.status, 101)
  test.ok(server.connectionCount > 0)
})

t.test('the way of telling can be fixed', async test => {
  const http = await startServer(test, { handshakeErrors: 'http' })
  http.host.refusal = new RelayError('overloaded')
  test.equal((await ask(test, http.port, { headers: ORIGIN })).answer.status, 503)
  const socket = await startServer(test, { handshakeErrors: 'websocket' })
  socket.host.refusal = new RelayError('overloaded')
  const { error } = await readSocketRefusal(test, socket.port, { headers: {} })
  test.equal(error.code, 'overloaded')
})

t.test('a refused socket hears nothing and ends cleanly, whatever the client sends', async test => {
  const { port, host, metrics, server } = await startServer(test)
  host.refusal = new RelayError('overloaded')
  const { raw } = await ask(test, port, { headers: ORIGIN })
  raw.send(
    { opcode: OPCODE.binary, payload: Buffer.alloc(320) },
    { opcode: OPCODE.close, payload: closePayload(1000) },
  )
  const end = await raw.readEnd()
  test.equal(end.how, 'fin')
  test.same(metrics.violations, [])
  test.equal(server.connectionCount, 0)
})

t.test('authorize sees everything, and the session opens when it agrees', async test => {
  const { calls, authorize } = controlledAuthorize()
  const { port, host, clock, metrics } = await startServer(test, { authorize })
  const raw = await RawSocket.connect(port)
  test.teardown(() => raw.destroy())
  const answered = raw.handshake({
    path: '/v1/stream?language-code=fr-FR',
    headers: { authorization: 'Bearer secret', 'x-tag': 'a', 'X-Tag': 'b' },
  })
  await waitFor(() => calls.length === 1)
  clock.advance(1200)
  const [call] = calls
  test.match(call?.handshake, {
    method: 'get',
    path: '/v1/stream',
    query: 'language-code=fr-FR',
    remoteAddress: '127.0.0.1',
  })
  test.equal(call?.handshake.headers.get('authorization'), 'Bearer secret')
  test.equal(call?.handshake.headers.get('x-tag'), 'a, b')
  test.same(host.sessions, [], 'not yet')
  call?.allow()
  test.equal((await answered).status, 101)
  test.equal((await host.session(0)).request.sessionId, call?.handshake.sessionId)
  test.same(metrics.handshakeSeconds, [1.2])
  test.equal(clock.pendingTimers, 0, 'the timer is gone')
})

t.test('authorize refuses with an error of the catalogue, at once or later', async test => {
  const { calls, authorize } = controlledAuthorize()
  const later = await startServer(test, { authorize })
  const raw = await RawSocket.connect(later.port)
  test.teardown(() => raw.destroy())
  const answered = raw.handshake()
  await waitFor(() => calls.length === 1)
  calls[0]?.deny(new RelayError('not_ready'))
  test.equal((await answered).status, 503)
  const atOnce = await startServer(test, {
    authorize: () => {
      throw new RelayError('invalid_request', { message: 'tenant must be known, got "x".' })
    },
  })
  test.match((await ask(test, atOnce.port)).answer, { status: 400, body: /tenant must be known/ })
  const { error, close } = await readSocketRefusal(test, atOnce.port)
  test.equal(error.code, 'invalid_request')
  test.same(close, closePayload(4400, 'invalid_request'))
  test.same([later.failures, atOnce.failures], [[], []])
})

t.test('an error that has no HTTP status, or no close code, is still told', async test => {
  let error = new RelayError('audio_too_fast')
  const { port } = await startServer(test, {
    authorize: () => {
      throw error
    },
  })
  test.equal((await ask(test, port)).answer.status, 400, 'the doing of the client')
  error = new RelayError('upstream_unavailable')
  test.equal((await ask(test, port)).answer.status, 503, 'the doing of somebody else')
  error = new RelayError('ping_timeout')
  test.equal(
    (await ask(test, port, { headers: ORIGIN })).answer.status,
    503,
    'by HTTP, as it has no Close frame',
  )
})

t.test('a bug in authorize is internal, says nothing to the client and is reported', async test => {
  const bug = new TypeError('cannot read the secret of undefined')
  for (const authorize of [
    () => {
      throw bug
    },
    async () => {
      throw bug
    },
  ]) {
    const { port, failures, host } = await startServer(test, { authorize })
    const { answer } = await ask(test, port)
    test.equal(answer.status, 500)
    test.match(JSON.parse(answer.body), { code: 'internal', retryable: true })
    test.notMatch(answer.body, 'secret')
    test.same(failures, [bug])
    test.same(host.sessions, [])
  }
})

t.test('an authorize that hangs is ended by the clock, and its late answer is ignored', async test => {
  for (const settle of ['allow', 'deny'] as const) {
    const { calls, authorize } = controlledAuthorize()
    const { port, host, clock, metrics, failures } = await startServer(test, {
      authorize,
      handshakeTimeoutMs: 5000,
    })
    const raw = await RawSocket.connect(port)
    test.teardown(() => raw.destroy())
    const answered = raw.handshake()
    await waitFor(() => calls.length === 1)
    clock.advance(4999)
    test.same(metrics.handshakes, [])
    clock.advance(1)
    const answer = await answered
    test.same([answer.status, answer.headers.get('retry-after')], [503, '2'])
    test.match(JSON.parse(answer.body), { code: 'handshake_timeout', retryable: true })
    calls[0]?.[settle](new RelayError('internal'))
    test.equal((await raw.handshake({ path: '/' })).status, 404, 'the connection is still of use')
    test.same([host.sessions, failures], [[], []])
    test.same(metrics.handshakes, ['rejected handshake_timeout', 'rejected not_found'])
  }
})

t.test(
  'a client that leaves during authorize is counted once, and what authorize says is ignored',
  async test => {
    for (const settle of ['allow', 'deny'] as const) {
      const { calls, authorize } = controlledAuthorize()
      const { port, host, clock, metrics, failures, server } = await startServer(test, { authorize })
      const raw = await RawSocket.connect(port)
      const answered = raw.handshake().catch((error: unknown) => error)
      await waitFor(() => calls.length === 1)
      const counted = once(metrics, 'handshake')
      raw.reset()
      await Promise.all([counted, answered])
      test.equal(clock.pendingTimers, 0)
      calls[0]?.[settle](new RelayError('overloaded'))
      test.equal((await ask(test, port, { path: '/' })).answer.status, 404)
      test.same(metrics.handshakes, ['rejected client_closed', 'rejected not_found'])
      test.same([host.sessions, failures], [[], []])
      test.ok(server.connectionCount <= 1)
    }
  },
)

t.test('room that was there before authorize may be gone after it', async test => {
  const { calls, authorize } = controlledAuthorize()
  const { port, host } = await startServer(test, { authorize })
  const raw = await RawSocket.connect(port)
  test.teardown(() => raw.destroy())
  const answered = raw.handshake()
  await waitFor(() => calls.length === 1)
  host.refusal = new RelayError('overloaded')
  calls[0]?.allow()
  test.equal((await answered).status, 503)
  test.same(host.sessions, [])
})

t.test('a host that fails to admit is internal', async test => {
  const { port, host, failures } = await startServer(test)
  host.admit = () => {
    throw new Error('no registry')
  }
  test.equal((await ask(test, port)).answer.status, 500)
  test.match(failures, [{ message: 'no registry' }])
})

t.test('figures that fail cost no client its answer', async test => {
  const { calls, authorize } = controlledAuthorize()
  const { port, metrics, failures } = await startServer(test, { authorize })
  metrics.countHandshake = () => {
    throw new Error('no metrics')
  }
  test.equal((await ask(test, port, { path: '/' })).answer.status, 404)
  test.equal((await ask(test, port, { headers: { upgrade: null } })).answer.status, 400)
  const raw = await RawSocket.connect(port)
  test.teardown(() => raw.destroy())
  const answered = raw.handshake()
  await waitFor(() => calls.length === 1)
  calls[0]?.allow()
  test.equal((await answered).status, 101)
  test.match(failures, [{ message: 'no metrics' }, { message: 'no metrics' }, { message: 'no metrics' }])
})

t.test('a bug before the first check ends the connection, not the process', async test => {
  const { port, failures, clock } = await startServer(test)
  clock.monotonicMs = () => {
    throw new Error('no clock')
  }
  const raw = await RawSocket.connect(port)
  raw.handshake().catch((error: unknown) => error)
  await raw.readEnd()
  test.match(failures, [{ message: 'no clock' }])
  const next = await RawSocket.connect(port)
  test.teardown(() => next.destroy())
  test.equal((await next.handshake({ path: '/' })).status, 404)
})

/** For what has no event of its own: looks again each turn of the event loop, until the test's own time-out. */
async function waitFor(isDone: () => boolean): Promise<void> {
  while (!isDone()) await new Promise<void>(resolve => setImmediate(resolve))
}
