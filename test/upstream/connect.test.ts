import { once } from 'node:events'
import http from 'node:http'
import type net from 'node:net'
import type { LookupFunction } from 'node:net'
import tls from 'node:tls'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/clock.ts'
import type { Endpoint } from '../../src/transcribe/endpoints.ts'
import { Connector } from '../../src/upstream/connect.ts'
import type { ConnectorOptions, OpenedConnection } from '../../src/upstream/connect.ts'
import { CONNECT_REASONS, reasonOfError, reasonOfStatus } from '../../src/upstream/connect-failure.ts'
import type { ConnectFailure, ConnectPhase } from '../../src/upstream/connect-failure.ts'
import { PresignedUrl } from '../../src/upstream/presigned-url.ts'
import { makeCertificates } from '../support/certificates.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'
import {
  listen,
  localEndpoint,
  startTcp,
  startUpstream,
  whenClientGetsResponse,
} from '../support/upstream-server.ts'

/** A name server that does not answer. */
const never: LookupFunction = () => undefined

type Outcome = { opened: OpenedConnection } | { failure: ConnectFailure }

function connect(
  t: Test,
  endpoint: Endpoint,
  options: Partial<ConnectorOptions> & { clock?: Clock } = {},
  connector = new Connector({ clock: systemClock, closeTimeoutMs: 1000, ...options }),
) {
  const { host, secure, url } = endpoint
  const outcome = defer<Outcome>()
  const attempt = connector.connect(
    { url: new PresignedUrl(`${url}?secret=1`), host, secure, origin: `https://${host}`, timeoutMs: 5000 },
    {
      connectOnOpen(opened) {
        t.teardown(() => opened.webSocket.terminate())
        outcome.resolve({ opened })
      },
      connectOnFailure: failure => outcome.resolve({ failure }),
    },
  )
  return { outcome: outcome.promise, cancel: () => attempt.cancel() }
}

async function failureOf(outcome: Promise<Outcome>): Promise<ConnectFailure> {
  const settled = await outcome
  if ('failure' in settled) return settled.failure
  throw new Error('the connection opened')
}

async function openedOf(outcome: Promise<Outcome>): Promise<OpenedConnection> {
  const settled = await outcome
  if ('opened' in settled) return settled.opened
  throw new Error(`the connection failed: ${settled.failure.reason} ${settled.failure.errorCode}`)
}

t.test('sends the headers of the guide, no offer of compression, and reads the identifiers', async t => {
  const server = await startUpstream(t, {
    headers: [
      'x-amzn-RequestId: 11111111-2222',
      'websocket-location: host:8443/path?media-encoding=pcm&session-id=aaaa-bbbb&X-Amz-Signature=1',
    ],
  })
  const opened = await openedOf(connect(t, server.endpoint).outcome)
  t.match(opened, { requestId: '11111111-2222', upstreamSessionId: 'aaaa-bbbb' })
  t.ok(opened.connectMs > 0)
  const [request] = server.requests
  t.match(request?.headers, {
    host: server.endpoint.host,
    origin: `https://${server.endpoint.host}`,
    upgrade: 'websocket',
    'sec-websocket-version': '13',
  })
  t.notOk(request?.headers['sec-websocket-extensions'])
  t.equal(request?.url, '/stream-transcription-websocket?secret=1')
})

t.test('identifiers that are missing or odd are left out', async t => {
  const bare = await startUpstream(t)
  t.match(await openedOf(connect(t, bare.endpoint).outcome), { requestId: null, upstreamSessionId: null })
  const odd = await startUpstream(t, {
    headers: ['x-amzn-RequestId: a b"c', 'websocket-location: host/path?session-id='],
  })
  t.match(await openedOf(connect(t, odd.endpoint).outcome), { requestId: null, upstreamSessionId: null })
})

t.test('a refused port, a name that does not resolve and a dead look-up are told apart', async t => {
  await t.test('a port that was just closed', async t => {
    const server = http.createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address() as net.AddressInfo
    server.close()
    await once(server, 'close')
    t.match(await failureOf(connect(t, localEndpoint(address.port)).outcome), {
      reason: 'refused',
      errorCode: 'ECONNREFUSED',
      refusal: null,
    })
  })
  const lookups: [string, LookupFunction][] = [
    ['ENOTFOUND', failingLookup('ENOTFOUND')],
    ['EAI_AGAIN', failingLookup('EAI_AGAIN')],
    ['ESERVFAIL', failingLookup('ESERVFAIL')],
  ]
  for (const [errorCode, lookup] of lookups) {
    const endpoint = localEndpoint(9, 'wss', 'transcribe.invalid')
    t.match(await failureOf(connect(t, endpoint, { lookup }).outcome), { reason: 'dns', errorCode })
  }
  const clock = new ManualClock()
  const slow = connect(t, localEndpoint(9, 'ws', 'transcribe.invalid'), { clock, lookup: never })
  clock.advance(5000)
  t.match(await failureOf(slow.outcome), { reason: 'timeout', durationMs: 5000 })
})

function failingLookup(code: string): LookupFunction {
  return (_name, _options, callback) => {
    setImmediate(() => callback(Object.assign(new Error(`getaddrinfo ${code}`), { code }), ''))
  }
}

t.test('a server that cannot be trusted is refused, whatever is wrong with it', async t => {
  const certificates = makeCertificates(t.testdir())
  const { ca } = certificates
  const cases = [
    [certificates.selfSigned, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    [certificates.expired, 'CERT_HAS_EXPIRED'],
    [certificates.wrongHost, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ] as const
  for (const [pair, errorCode] of cases) {
    const server = await startUpstream(t, { tls: pair })
    t.match(await failureOf(connect(t, server.endpoint, { ca }).outcome), { reason: 'tls', errorCode })
    t.equal(server.requests.length, 0, 'the URL was not sent')
  }
  const old = await startUpstream(t, {
    tls: { ...certificates.good, minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' },
  })
  t.match(await failureOf(connect(t, old.endpoint, { ca }).outcome), { reason: 'tls' }, 'TLS 1.0')
  const stranger = await startUpstream(t, { tls: certificates.good })
  t.match(await failureOf(connect(t, stranger.endpoint).outcome), { reason: 'tls' }, 'an unknown authority')
  const plain = await startTcp(t, socket => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  const endpoint = localEndpoint(plain, 'wss', 'localhost')
  t.match(await failureOf(connect(t, endpoint, { ca }).outcome), { reason: 'tls' }, 'no TLS at all')
})

t.test('verification stays on when NODE_TLS_REJECT_UNAUTHORIZED says otherwise', async t => {
  const certificates = makeCertificates(t.testdir())
  const server = await startUpstream(t, { tls: certificates.selfSigned })
  const before = process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  t.teardown(() => {
    if (before === undefined) delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
    else process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = before
  })
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  t.match(await failureOf(connect(t, server.endpoint).outcome), { reason: 'tls' })
})

t.test('the second connection resumes the TLS session of the first, and a failure forgets it', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const server = await startUpstream(t, {
    tls: good,
    refuse: (_request, attempt) => (attempt === 3 ? { status: 503 } : null),
    onOpen: webSocket => webSocket.send(Buffer.from('x')),
  })
  const connector = new Connector({ clock: systemClock, closeTimeoutMs: 1000, ca })
  const reused: boolean[] = []
  for (const attempt of [1, 2, 3, 4]) {
    const { outcome } = connect(t, server.endpoint, {}, connector)
    if (attempt === 3) {
      t.match(await failureOf(outcome), { reason: 'http_503' })
      continue
    }
    const { webSocket, stream } = await openedOf(outcome)
    // The ticket comes before the first message.
    await once(webSocket, 'message')
    t.ok(stream instanceof tls.TLSSocket)
    if (stream instanceof tls.TLSSocket) reused.push(stream.isSessionReused())
  }
  t.same(reused, [false, true, false])
})

t.test('silence after TCP, after TLS and after the request is a time-out', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const silent = await startTcp(t, socket => void socket.resume())
  const tlsOnly = await listen(
    t,
    tls.createServer(good, socket => {
      socket.on('error', () => socket.destroy())
      socket.resume()
    }),
  )
  const cases = [
    localEndpoint(silent),
    localEndpoint(silent, 'wss'),
    localEndpoint(tlsOnly, 'wss', 'localhost'),
  ]
  for (const endpoint of cases) {
    const clock = new ManualClock()
    const { outcome } = connect(t, endpoint, { clock, ca })
    clock.advance(4999)
    t.equal(clock.pendingTimers, 1)
    clock.advance(1)
    t.match(await failureOf(outcome), { reason: 'timeout', errorCode: null, durationMs: 5000 })
    t.equal(clock.pendingTimers, 0)
  }
})

t.test(
  'a connection that breaks before the answer is a reset, an answer that is no HTTP a protocol error',
  async t => {
    const reset = await startTcp(t, socket => socket.once('data', () => socket.resetAndDestroy()))
    t.match(await failureOf(connect(t, localEndpoint(reset)).outcome), { reason: 'reset' })
    const hangUp = await startTcp(t, socket => socket.once('data', () => socket.end()))
    t.match(await failureOf(connect(t, localEndpoint(hangUp)).outcome), { reason: 'reset' })
    const inTls = await startTcp(t, socket => socket.once('data', () => socket.resetAndDestroy()))
    t.match(await failureOf(connect(t, localEndpoint(inTls, 'wss')).outcome), { reason: 'reset' })
    const answers = [
      'SSH-2.0-OpenSSH_9.2\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: no\r\n\r\n',
    ]
    for (const answer of answers) {
      const port = await startTcp(t, socket => socket.once('data', () => socket.write(answer)))
      t.match(await failureOf(connect(t, localEndpoint(port)).outcome), { reason: 'protocol' }, answer)
    }
  },
)

t.test('compression that nobody asked for is a protocol error', async t => {
  const server = await startUpstream(t, { headers: ['Sec-WebSocket-Extensions: permessage-deflate'] })
  t.match(await failureOf(connect(t, server.endpoint).outcome), { reason: 'protocol' })
})

t.test('reads name, identifier and times of a refusal, from the header or from the body', async t => {
  const date = 'Thu, 02 Jan 2025 03:04:05 GMT'
  const server = await startUpstream(t, {
    refuse: (_request, attempt) =>
      attempt === 1
        ? {
            status: 403,
            headers: {
              'x-amzn-ErrorType': 'AccessDeniedException:http://internal/',
              'x-amzn-RequestId': 'r-1',
              date,
              age: '7',
            },
            body: '{"Message":"User is not authorized"}',
          }
        : { status: 400, body: '{"__type":"com.amazon#BadRequestException","message":"no"}' },
  })
  t.match((await failureOf(connect(t, server.endpoint).outcome)).refusal, {
    status: 403,
    exception: { name: 'AccessDeniedException', message: 'User is not authorized' },
    requestId: 'r-1',
    date,
    age: '7',
  })
  t.match(await failureOf(connect(t, server.endpoint).outcome), {
    reason: 'http_400',
    refusal: {
      exception: { name: 'BadRequestException', message: 'no' },
      requestId: null,
      date: null,
      age: null,
    },
  })
})

t.test('a redirect is a refusal: nothing is sent to where it points', async t => {
  const target = await startUpstream(t)
  const server = await startUpstream(t, {
    refuse: () => ({ status: 302, headers: { location: target.endpoint.url } }),
  })
  t.match(await failureOf(connect(t, server.endpoint).outcome), {
    reason: 'http_3xx',
    refusal: { status: 302 },
  })
  t.equal(target.requests.length, 0)
})

t.test('a refusal with an endless body is cut at 4 KiB', async t => {
  const ended = defer<void>()
  const server = await startTcp(t, socket => {
    socket.on('close', () => ended.resolve())
    socket.once('data', () => {
      socket.write('HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n')
      const writeOn = (): void => {
        while (!socket.destroyed && socket.write(`400\r\n${'x'.repeat(1024)}\r\n`));
      }
      socket.on('drain', writeOn)
      writeOn()
    })
  })
  t.match(await failureOf(connect(t, localEndpoint(server)).outcome), { reason: 'http_503' })
  await ended.promise
})

t.test('a refusal whose body drips counts with what has come when the time is up', async t => {
  const clock = new ManualClock()
  const port = await startTcp(t, socket =>
    socket.once('data', () => socket.write('HTTP/1.1 429 Slow\r\nContent-Length: 9\r\n\r\n{}')),
  )
  const responded = whenClientGetsResponse()
  const { outcome } = connect(t, localEndpoint(port), { clock })
  await responded
  clock.advance(5000)
  t.match(await failureOf(outcome), { reason: 'http_429', refusal: { status: 429 } })
})

t.test('cancelled in any phase, it is silent and leaves no connection', async t => {
  const { good } = makeCertificates(t.testdir())
  const phases: [string, (onPhase: () => void) => Promise<Endpoint>][] = [
    ['connecting', async onPhase => (setImmediate(onPhase), localEndpoint(9, 'ws', 'transcribe.invalid'))],
    ['TLS', async onPhase => localEndpoint(await startTcp(t, socket => socket.once('data', onPhase)), 'wss')],
    ['upgrade', async onPhase => localEndpoint(await startTcp(t, socket => socket.once('data', onPhase)))],
  ]
  for (const [phase, start] of phases) {
    const clock = new ManualClock()
    const reached = defer<void>()
    const endpoint = await start(() => reached.resolve())
    const { outcome, cancel } = connect(t, endpoint, { clock, ca: good.cert, lookup: never })
    let settled = false
    void outcome.then(() => (settled = true))
    await reached.promise
    cancel()
    cancel()
    await new Promise(resolve => setImmediate(resolve))
    clock.advance(10_000)
    await new Promise(resolve => setImmediate(resolve))
    t.equal(settled, false, phase)
    t.equal(clock.pendingTimers, 0, phase)
  }
})

t.test('a URL that cannot be dialled fails without repeating it', async t => {
  const connector = new Connector({ clock: systemClock, closeTimeoutMs: 1000 })
  const failure = await new Promise<ConnectFailure>((resolve, reject) => {
    connector.connect(
      { url: new PresignedUrl('nonsense?secret'), host: 'h', secure: true, origin: 'o', timeoutMs: 1000 },
      { connectOnOpen: reject, connectOnFailure: resolve },
    )
  })
  t.match(failure, { reason: 'local', errorCode: null, refusal: null })
})

t.test('every status and every error has a reason of the closed list', async t => {
  const statuses = {
    204: 'http_other',
    301: 'http_3xx',
    401: 'http_401',
    404: 'http_404',
    418: 'http_4xx',
    502: 'http_502',
    599: 'http_5xx',
    999: 'http_other',
  }
  for (const [status, reason] of Object.entries(statuses)) t.equal(reasonOfStatus(Number(status)), reason)
  const errors: [unknown, ConnectPhase, string][] = [
    [Object.assign(new Error('x'), { code: 'EMFILE' }), 'connect', 'local'],
    [Object.assign(new Error('x'), { code: 'EHOSTUNREACH' }), 'connect', 'unreachable'],
    [Object.assign(new Error('x'), { code: 'ETIMEDOUT' }), 'connect', 'timeout'],
    [Object.assign(new Error('x'), { code: 7 }), 'connect', 'unreachable'],
    ['not an error', 'upgrade', 'protocol'],
  ]
  for (const [error, phase, reason] of errors) t.equal(reasonOfError(error, phase), reason)
  t.ok(CONNECT_REASONS.includes(reasonOfStatus(1)))
})
