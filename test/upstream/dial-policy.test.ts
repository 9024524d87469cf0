import t from 'tap'
import { backoffDelay } from '../../src/upstream/dial-policy.ts'
import { SECRET_KEY, setUpDial } from '../support/upstream-dial.ts'
import { startUpstream } from '../support/upstream-server.ts'
import type { Refusal } from '../support/upstream-server.ts'

/** A refusal as other AWS services word theirs. */
function json(type: string, message = '') {
  return {
    headers: { 'x-amzn-ErrorType': type, 'x-amzn-RequestId': 'r' },
    body: JSON.stringify({ Message: message }),
  }
}

t.test('each refusal becomes its error, and only passing ones are tried again', async t => {
  const cases: [Refusal, string, string, number][] = [
    [
      { status: 400, ...json('BadRequestException', `key ${SECRET_KEY}`) },
      'upstream_bad_request',
      'http_400: BadRequestException',
      1,
    ],
    [{ status: 404 }, 'upstream_error', 'http_404: UnknownException', 1],
    [
      {
        status: 429,
        ...json(
          'LimitExceededException',
          'You have reached your limit of concurrent streams, 25. Try again later.',
        ),
      },
      'upstream_throttled',
      'http_429: You have reached your limit of concurrent streams, 25',
      1,
    ],
    [{ status: 409 }, 'session_conflict', 'http_4xx: UnknownException', 1],
    [
      { status: 302, headers: { location: 'ws://127.0.0.1:1/' } },
      'upstream_protocol',
      'http_3xx: UnknownException',
      1,
    ],
    [
      { status: 500, ...json('InternalFailureException') },
      'upstream_error',
      'http_500: InternalFailureException',
      3,
    ],
    [{ status: 503 }, 'upstream_unavailable', 'http_503: UnknownException', 3],
    [
      { status: 503, ...json('ThrottlingException') },
      'upstream_throttled',
      'http_503: ThrottlingException',
      1,
    ],
    [
      { status: 403, ...json('AccessDeniedException', 'User: arn:aws:iam::1 is not authorized') },
      'upstream_auth',
      'http_403: AccessDeniedException',
      2,
    ],
    [{ status: 401 }, 'upstream_auth', 'http_401: UnknownException', 2],
    [
      {
        status: 400,
        ...json('ExpiredTokenException', 'The security token included in the request is expired'),
      },
      'upstream_auth',
      'http_400: The security token included in the request is expired',
      2,
    ],
  ]
  for (const [refusal, code, detail, attempts] of cases) {
    const server = await startUpstream(t, { refuse: () => refusal })
    const { dial, failures, skipBackoffs, refreshes, clock } = setUpDial(t, { endpoint: server.endpoint })
    skipBackoffs()
    const { recorder } = dial()
    const { error } = await recorder.settled
    t.match(error, { code, detail }, `${refusal.status} ${code}`)
    t.equal(server.requests.length, attempts, `${refusal.status}: connections`)
    t.equal(failures.at(-1)?.httpStatus, refusal.status)
    t.equal(refreshes.length, code === 'upstream_auth' ? 2 : 1, `${refusal.status}: credentials fetched`)
    t.notMatch(JSON.stringify([failures, error, error?.message, error?.detail]), /wJalr|IQoJ|X-Amz|arn:/)
    t.equal(clock.pendingTimers, 0)
  }
})

t.test('refused credentials are replaced once, and the new ones are used', async t => {
  const server = await startUpstream(t, {
    refuse: request => (request.url?.includes('Credential=ASIA2') === true ? null : { status: 403 }),
  })
  const { dial, refreshes, failures } = setUpDial(t, { endpoint: server.endpoint })
  const { recorder } = dial()
  t.match((await recorder.settled).opening, { attempts: 2 })
  t.equal(refreshes.length, 2)
  t.match(failures, [{ willRetry: true, reason: 'http_403' }])
})

/** `X-Amz-Date`. */
function stamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '')
}

t.test('a wrong clock is corrected once a dial and stays corrected for the next', async t => {
  const AHEAD_MS = 600_000
  const serverMs = Date.UTC(2026, 0, 1) + AHEAD_MS
  const server = await startUpstream(t, {
    refuse: request =>
      request.url?.includes(`X-Amz-Date=${stamp(serverMs)}`) === true
        ? null
        : { status: 403, headers: { date: new Date(serverMs).toUTCString() } },
  })
  const { dial, corrections, refreshes, clock } = setUpDial(t, { endpoint: server.endpoint })
  const first = dial()
  t.match((await first.recorder.settled).opening, {
    attempts: 2,
    credentialsExpireAtMs: clock.now() + 3_600_000 - AHEAD_MS,
  })
  t.same(corrections, [AHEAD_MS])
  t.equal(refreshes.length, 1, 'the credentials were not to blame')
  t.match((await dial().recorder.settled).opening, { attempts: 1 })
  t.same(corrections, [AHEAD_MS], 'once')
})

t.test('a clock that stays wrong after the correction is not chased: credentials, then the end', async t => {
  let dayMs = Date.UTC(2026, 0, 1)
  const server = await startUpstream(t, {
    refuse: () => ({ status: 403, headers: { date: new Date((dayMs += 86_400_000)).toUTCString() } }),
  })
  const { dial, corrections, refreshes } = setUpDial(t, { endpoint: server.endpoint })
  t.match((await dial().recorder.settled).error, { code: 'upstream_auth' })
  t.same([corrections.length, refreshes.length, server.requests.length], [1, 2, 3])
})

t.test('a back-off is drawn from all of a range that doubles', async t => {
  t.equal(backoffDelay(1, 200, 0), 0)
  t.equal(backoffDelay(1, 200, 0.5), 100)
  t.equal(backoffDelay(3, 200, 0.999), 799.2)
})
