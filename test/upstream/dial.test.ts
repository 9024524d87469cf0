import t from 'tap'
import type { UpstreamOpening, UpstreamPort } from '../../src/session/ports.ts'
import { createCredentialSource } from '../../src/upstream/credentials.ts'
import type { DialerOptions } from '../../src/upstream/dial.ts'
import { makeCertificates } from '../support/certificates.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { verifyPresigned } from '../support/sigv4.ts'
import { closedPort, Recorder, SECRET_KEY, setUpDial, turns } from '../support/upstream-dial.ts'
import { localEndpoint, startTcp, startUpstream, whenClientGetsResponse } from '../support/upstream-server.ts'

t.test('opens a stream with a URL that a service accepts, and carries messages', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const received = defer<string>()
  const server = await startUpstream(t, {
    tls: good,
    headers: ['x-amzn-RequestId: request-1'],
    onOpen(webSocket) {
      webSocket.on('message', (data: Buffer) => received.resolve(data.toString()))
      webSocket.send(Buffer.from('result'))
    },
  })
  const { dial, clock, counts, failures } = setUpDial(t, { endpoint: () => server.endpoint, ca })
  const { recorder } = dial()
  await recorder.settled
  t.match(recorder.opening, {
    region: 'us-east-1',
    upstreamSessionId: '1111-2222',
    requestId: 'request-1',
    connectMs: 0,
    attempts: 1,
    credentialsExpireAtMs: clock.now() + 3_600_000,
  })
  const [request] = server.requests
  t.equal(request?.headers.origin, `https://${server.endpoint.host}`)
  t.match(request?.url, /^\/stream-transcription-websocket\?.*X-Amz-Expires=300&/)
  t.ok(verifyPresigned(request?.url ?? '', request?.headers.host ?? '', SECRET_KEY))
  t.notOk(verifyPresigned(request?.url ?? '', 'elsewhere:8443', SECRET_KEY))
  recorder.port?.send(Buffer.from('audio'))
  t.equal(await received.promise, 'audio')
  recorder.port?.close()
  t.match(await recorder.closed, { closeCode: 1000, error: null })
  t.same(recorder.events, ['open', 'message', 'close'])
  t.same([counts, failures], [['ok none'], []])
  t.equal(clock.pendingTimers, 0)
})

t.test('a refused port is tried three times with growing waits, then given up', async t => {
  const { dial, failures, counts, clock, skipBackoffs } = setUpDial(t, {
    endpoint: localEndpoint(await closedPort()),
  })
  skipBackoffs()
  const { recorder } = dial()
  await recorder.settled
  t.match(recorder.error, { code: 'upstream_unavailable', detail: 'refused: ECONNREFUSED' })
  t.same(counts, ['error refused', 'error refused', 'error refused'])
  t.match(failures, [
    {
      attempt: 1,
      willRetry: true,
      reason: 'refused',
      httpStatus: null,
      errorName: 'ECONNREFUSED',
      requestId: null,
    },
    { attempt: 2, willRetry: true },
    {
      attempt: 3,
      willRetry: false,
      sessionId: 'session-1',
      region: 'us-east-1',
      code: 'upstream_unavailable',
    },
  ])
  t.same(recorder.events, ['failure'])
  t.equal(clock.pendingTimers, 0)
})

t.test('the wait before a retry is drawn from a range that doubles', async t => {
  const { dial, clock, failures, whenAttemptFails } = setUpDial(t, {
    endpoint: localEndpoint(await closedPort()),
  })
  let failed = defer<void>()
  whenAttemptFails(() => setImmediate(failed.resolve))
  dial()
  for (const waitMs of [100, 200]) {
    await failed.promise
    failed = defer()
    const before = failures.length
    clock.advance(waitMs - 1)
    await turns()
    t.equal(failures.length, before)
    clock.advance(1)
  }
  await failed.promise
  t.equal(failures.length, 3)
})

t.test('a name that does not resolve is tried again and called dns', async t => {
  const { dial, counts, skipBackoffs } = setUpDial(t, {
    endpoint: localEndpoint(9, 'wss', 'transcribe.invalid'),
    lookup: (_name, _options, callback) =>
      setImmediate(() => callback(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }), '')),
  })
  skipBackoffs()
  const { recorder } = dial()
  t.match((await recorder.settled).error, { code: 'upstream_unavailable', detail: 'dns: ENOTFOUND' })
  t.same(counts, ['error dns', 'error dns', 'error dns'])
})

t.test('trouble that passes costs a retry and nothing else', async t => {
  const server = await startUpstream(t, {
    refuse: (_request, attempt) => (attempt < 3 ? { status: attempt === 1 ? 503 : 500 } : null),
  })
  const { dial, counts, skipBackoffs } = setUpDial(t, { endpoint: server.endpoint })
  skipBackoffs()
  const { recorder } = dial()
  t.match((await recorder.settled).opening, { attempts: 3 })
  t.same(counts, ['error http_503', 'error http_500', 'ok none'])
})

t.test('a certificate that cannot be trusted is not tried again', async t => {
  const { selfSigned } = makeCertificates(t.testdir())
  const server = await startUpstream(t, { tls: selfSigned })
  const { dial, counts } = setUpDial(t, { endpoint: server.endpoint })
  t.match((await dial().recorder.settled).error, {
    code: 'upstream_unavailable',
    detail: 'tls: DEPTH_ZERO_SELF_SIGNED_CERT',
  })
  t.same(counts, ['error tls'])
})

t.test('a server that never answers is upstream_timeout, within the deadline', async t => {
  const arrivals: (() => void)[] = []
  const port = await startTcp(t, socket => socket.once('data', () => arrivals.shift()?.()))
  const { dial, clock, counts } = setUpDial(t, { endpoint: localEndpoint(port) })
  const arrived = [defer<void>(), defer<void>(), defer<void>()]
  arrivals.push(
    ...arrived.map(
      ({ resolve }) =>
        () =>
          resolve(),
    ),
  )
  const { recorder } = dial()
  await arrived[0]?.promise
  clock.advance(5000)
  t.same(recorder.events, [])
  clock.advance(100)
  await arrived[1]?.promise
  clock.advance(5000)
  clock.advance(200)
  await arrived[2]?.promise
  clock.advance(15_000 - clock.monotonicMs())
  t.match((await recorder.settled).error, { code: 'upstream_timeout', detail: 'timeout' })
  t.equal(clock.monotonicMs(), 15_000)
  t.same(counts, ['error timeout', 'error timeout', 'error timeout'])
  t.equal(clock.pendingTimers, 0)
})

t.test('no retry is begun that the deadline would cut', async t => {
  const { dial, counts } = setUpDial(t, {
    endpoint: localEndpoint(await closedPort()),
    limits: { dialDeadlineMs: 100 },
  })
  t.match((await dial().recorder.settled).error, { code: 'upstream_unavailable' })
  t.same(counts, ['error refused'])
})

t.test('a refusal that is complete only when the time is up is final', async t => {
  const port = await startTcp(t, socket =>
    socket.once('data', () => socket.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\n{}')),
  )
  const { dial, clock, refreshes } = setUpDial(t, {
    endpoint: localEndpoint(port),
    limits: { dialDeadlineMs: 100 },
  })
  const responded = whenClientGetsResponse()
  const { recorder } = dial()
  await responded
  clock.advance(100)
  t.match((await recorder.settled).error, { code: 'upstream_auth' })
  t.equal(refreshes.length, 1)
  t.equal(clock.pendingTimers, 0)
})

t.test('credentials that are not to be had are the failure of the dial', async t => {
  const clock = new ManualClock()
  const credentials = createCredentialSource({
    clock,
    provider: async () => Promise.reject(new Error('down')),
  })
  const { dial, counts } = setUpDial(t, { endpoint: localEndpoint(9), credentials })
  t.match((await dial().recorder.settled).error, {
    code: 'not_ready',
    detail: 'credentials_missing: Error: down',
  })
  t.same(counts, [])
})

t.test('credentials that do not come in time are upstream_timeout', async t => {
  const { dial, clock } = setUpDial(t, {
    endpoint: localEndpoint(9),
    credentials: {
      get: () => new Promise(() => undefined),
      readiness: () => ({ ready: true, reason: null }),
      figures: { refreshesOk: 0, refreshesFailed: 0, expiresAtMs: null },
      start: () => undefined,
      close: () => undefined,
    },
  })
  const { recorder } = dial()
  clock.advance(15_000)
  t.match(recorder.error, { code: 'upstream_timeout' })
  t.equal(clock.pendingTimers, 0)
})

t.test('a bug on the way is internal, and is told like any failure', async t => {
  const bug = new Error('bug')
  const { dial } = setUpDial(t, {
    endpoint() {
      throw bug
    },
  })
  t.match((await dial().recorder.settled).error, { code: 'internal', cause: bug })
})

t.test('a listener that throws when told of the opening loses its stream only', async t => {
  const server = await startUpstream(t)
  const { dial } = setUpDial(t, { endpoint: server.endpoint })
  class Broken extends Recorder {
    override upstreamOnOpen(_upstream: UpstreamPort, _opening: UpstreamOpening): void {
      throw new Error('bug')
    }
  }
  const { recorder } = dial(new Broken())
  t.match(await recorder.closed, { closeCode: 1006, error: { code: 'internal' } })
})

t.test('cancelled in any phase, a dial is silent and leaves nothing behind', async t => {
  const silentSeen = defer<void>()
  const silent = await startTcp(t, socket => socket.once('data', () => silentSeen.resolve()))
  const peerClosed = defer<number>()
  const open = await startUpstream(t, {
    onOpen: webSocket => webSocket.on('close', code => peerClosed.resolve(code)),
  })
  const refused = localEndpoint(await closedPort())
  type Reach = (context: ReturnType<typeof setUpDial>, recorder: Recorder) => Promise<unknown>
  const phases: [string, DialerOptions['endpoint'], Reach][] = [
    ['at once', refused, async () => undefined],
    ['signing', refused, async () => Promise.resolve()],
    ['connecting', localEndpoint(silent), async () => silentSeen.promise],
    [
      'waiting to retry',
      refused,
      async ({ whenAttemptFails }) =>
        new Promise<void>(resolve => whenAttemptFails(() => setImmediate(resolve))),
    ],
    ['open', open.endpoint, async (_context, recorder) => recorder.settled],
  ]
  for (const [phase, endpoint, reach] of phases) {
    const context = setUpDial(t, { endpoint })
    const { recorder, cancel } = context.dial()
    await reach(context, recorder)
    const before = [...recorder.events]
    cancel()
    cancel()
    await turns()
    if (phase === 'open') t.equal(await peerClosed.promise, 1000)
    context.clock.advance(60_000)
    await turns()
    t.same(recorder.events, before, phase)
    t.equal(context.clock.pendingTimers, 0, phase)
  }
})

t.test('cancelled by its own log, a dial goes no further', async t => {
  const { dial, whenAttemptFails, clock, failures } = setUpDial(t, {
    endpoint: localEndpoint(await closedPort()),
  })
  const { recorder, cancel } = dial()
  const logged = defer<void>()
  whenAttemptFails(() => {
    cancel()
    setImmediate(logged.resolve)
  })
  await logged.promise
  clock.advance(60_000)
  await turns()
  t.same([recorder.events, failures.length, clock.pendingTimers], [[], 1, 0])
})
