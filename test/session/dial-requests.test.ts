import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import type { StreamRequest } from '../../src/protocol/stream-request.ts'
import { dialOrigin, DialRequests } from '../../src/session/dial-requests.ts'
import type { ClientAccess } from '../../src/session/host.ts'
import type { UpstreamDialer } from '../../src/session/ports.ts'

const WIRE: Readonly<Record<string, string>> = { 'language-code': 'en-US' }

function streamFor(wire: Readonly<Record<string, string>> = WIRE): Pick<StreamRequest, 'parameters'> {
  return { parameters: { wire } as StreamRequest['parameters'] }
}

const ORIGIN = { sessionId: 's', principal: 'clinic', regions: null }

t.test('a session may go where both the client and its grants allow it', async t => {
  const access = (regions: readonly string[] | null): ClientAccess => ({
    principal: 'clinic',
    method: 'key',
    regions,
    refusalOf: () => null,
    endOf: () => null,
    takeWarning: () => null,
    renew: async () => null,
  })
  const request = {
    sessionId: 's',
    remoteAddress: '192.0.2.1',
    query: { kind: 'configure', resume: false, given: new Map() },
  } as const
  const table = [
    [null, null, null],
    [['a', 'b'], null, ['a', 'b']],
    [null, ['b'], ['b']],
    [['a', 'b'], ['b', 'c'], ['b']],
  ] as const
  for (const [wanted, granted, allowed] of table) {
    const stream = { ...streamFor(), regions: wanted } as StreamRequest
    const origin = dialOrigin({ ...request, access: access(granted) }, stream)
    t.same(origin, { sessionId: 's', principal: 'clinic', regions: allowed })
  }
  const anybody = dialOrigin(request, { ...streamFor(), regions: null } as StreamRequest)
  t.equal(anybody.principal, '192.0.2.1', 'whoever was not asked takes turns by its address')
})

t.test(
  'the first stream has the id of the session, the others their own, until it can be resumed',
  async t => {
    const requests = new DialRequests(ORIGIN, streamFor())
    t.match(requests.next(0), { isContinuation: false, parameters: { 'session-id': 's' } })
    requests.streamOpened(5)
    const second = requests.next(10)
    t.equal(second.isContinuation, true)
    t.match(second.parameters['session-id'], /^[0-9a-f-]{36}$/)
    t.equal(requests.count, 2)
    const resumable = new DialRequests(ORIGIN, streamFor({ ...WIRE, 'session-resume-window': '1' }))
    resumable.next(0)
    resumable.streamOpened(0)
    t.equal(resumable.next(59_999).parameters['session-id'], 's')
    t.not(resumable.next(60_000).parameters['session-id'], 's')
  },
)

t.test('the next dial is told, once, which region threw the session out', async t => {
  const requests = new DialRequests(ORIGIN, streamFor())
  requests.streamLost({ region: 'us-east-1' }, new RelayError('upstream_closed'))
  t.equal(requests.next(0).throttledIn, null)
  requests.streamLost({ region: 'us-east-1' }, new RelayError('upstream_throttled'))
  t.equal(requests.next(0).throttledIn, 'us-east-1')
  t.equal(requests.next(0).throttledIn, null)
})

t.test('a session leaves a region when the dialer says so', async t => {
  const dial: UpstreamDialer['dial'] = () => ({ cancel: () => {} })
  const pinned = new DialRequests({ ...ORIGIN, regions: ['us-east-1'] }, streamFor())
  const asked: unknown[] = []
  const dialer: UpstreamDialer = {
    dial,
    isLeaving: (region, regions) => {
      asked.push([region, regions])
      return true
    },
  }
  t.equal(pinned.isLeaving(dialer, { region: 'us-east-1' }), true)
  t.same(asked, [['us-east-1', ['us-east-1']]])
  t.equal(pinned.isLeaving(dialer, { region: null }), false)
  t.equal(pinned.isLeaving({ dial }, { region: 'us-east-1' }), false)
})
