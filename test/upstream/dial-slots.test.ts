/** Turns of dials: the bound, the order, and what leaves the queue early. */
import type net from 'node:net'
import t from 'tap'
import type { AwsCredentials } from '../../src/upstream/aws-credentials.ts'
import type { CredentialSource } from '../../src/upstream/credentials.ts'
import { DialSlots, type DialSlot } from '../../src/upstream/dial-slots.ts'
import { defer } from '../support/deferred.ts'
import { closedPort, SECRET_KEY, setUpDial, turns } from '../support/upstream-dial.ts'
import { createRandom } from '../support/random.ts'
import { localEndpoint, startTcp, startUpstream } from '../support/upstream-server.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

t.test(`turns come in order, and never too many at once, TEST_SEED=${seed}`, async t => {
  for (let round = 0; round < 50; round += 1) {
    const random = createRandom(seed + round)
    const limit = 1 + Math.floor(random() * 4)
    const metrics = { upstreamDialsWaiting: 0 }
    const slots = new DialSlots(limit, metrics)
    /** The model. */
    const waiting: number[] = []
    const held = new Set<number>()
    const all = new Map<number, DialSlot>()
    for (let step = 0; step < 200; step += 1) {
      if (random() < 0.5) {
        let hasReturned = false
        const onTurn = () => {
          if (!hasReturned) t.fail('called before it returned')
          if (waiting.shift() !== step) t.fail('out of turn')
          held.add(step)
          if (held.size > limit) t.fail(`${held.size} at once`)
        }
        waiting.push(step)
        all.set(step, slots.take(onTurn))
        hasReturned = true
      } else {
        const ids = [...all.keys()]
        const id = ids[Math.floor(random() * ids.length)] ?? -1
        const slot = all.get(id)
        all.delete(id)
        const at = waiting.indexOf(id)
        if (at !== -1) waiting.splice(at, 1)
        held.delete(id)
        slot?.release()
        slot?.release()
      }
      await Promise.resolve()
      if (metrics.upstreamDialsWaiting !== waiting.length) t.fail('the metric')
      if (waiting.length > 0 && held.size < limit) t.fail('somebody waits, and there is room')
    }
  }
  t.pass()
})

t.test('with room for one, streams are opened one after the other', async t => {
  const opening: (() => void)[] = []
  const server = await startUpstream(t)
  const sockets: net.Socket[] = []
  const port = await startTcp(t, socket => {
    sockets.push(socket)
    opening.push(() => socket.destroy())
  })
  const { dial, metrics } = setUpDial(t, {
    endpoint: () => (sockets.length === 0 ? localEndpoint(port) : server.endpoint),
    limits: { concurrentDials: 1, dialAttempts: 1 },
  })
  const first = dial()
  const second = dial()
  const third = dial()
  while (sockets.length === 0) await turns()
  t.equal(metrics.upstreamDialsWaiting, 2)
  t.equal(server.requests.length, 0, 'the second waits for the first')
  second.cancel()
  t.equal(metrics.upstreamDialsWaiting, 1, 'who hangs up leaves the queue')
  for (const fail of opening) fail()
  await first.recorder.settled
  t.same(first.recorder.events, ['failure'])
  await third.recorder.settled
  t.same(third.recorder.events, ['open'])
  t.same(second.recorder.events, [])
  t.equal(metrics.upstreamDialsWaiting, 0)
})

t.test('an open stream and a wait before a retry hold no turn', async t => {
  const server = await startUpstream(t)
  const closed = await closedPort()
  let dials = 0
  const { dial, clock, whenAttemptFails } = setUpDial(t, {
    endpoint: () => {
      dials += 1
      return dials === 1 ? localEndpoint(closed) : server.endpoint
    },
    limits: { concurrentDials: 1, dialAttempts: 2 },
  })
  const retries = dial()
  const hasFailed = new Promise<void>(resolve => whenAttemptFails(() => resolve()))
  await hasFailed
  const others = [dial(), dial()]
  for (const { recorder } of others) t.same((await recorder.settled).events, ['open'])
  clock.advance(400)
  await retries.recorder.settled
  t.match(retries.recorder.error, { code: 'upstream_unavailable' })
})

t.test('the wait for a turn counts against the deadline', async t => {
  const sockets: net.Socket[] = []
  const port = await startTcp(t, socket => sockets.push(socket))
  const { dial, clock, metrics } = setUpDial(t, {
    endpoint: localEndpoint(port),
    limits: { concurrentDials: 1, dialDeadlineMs: 1000, connectTimeoutMs: 5000 },
  })
  dial()
  const waits = dial()
  while (sockets.length === 0) await turns()
  clock.advance(1000)
  await waits.recorder.settled
  t.match(waits.recorder.error, { code: 'upstream_timeout' })
  t.equal(metrics.upstreamDialsWaiting, 0)
})

t.test('credentials that do not come hold no turn, and come to nothing after the deadline', async t => {
  const server = await startUpstream(t)
  const slots = new DialSlots(1, { upstreamDialsWaiting: 0 })
  const arrived = defer<AwsCredentials>()
  const hanging: CredentialSource = {
    get: async () => arrived.promise,
    readiness: () => ({ ready: false, reason: 'credentials_pending' }),
    figures: { refreshesOk: 0, refreshesFailed: 0, expiresAtMs: null },
    start: () => undefined,
    close: () => undefined,
  }
  const ill = setUpDial(t, { endpoint: server.endpoint, slots, credentials: hanging })
  const well = setUpDial(t, { endpoint: server.endpoint, slots })
  const stuck = [ill.dial(), ill.dial(), ill.dial()]
  await turns()
  t.same((await well.dial().recorder.settled).events, ['open'], 'another region has its turn')
  stuck[0]?.cancel()
  ill.clock.advance(15_000)
  t.strictSame(
    stuck.map(({ recorder }) => recorder.error?.code),
    [undefined, 'upstream_timeout', 'upstream_timeout'],
  )
  const inTime = ill.dial()
  arrived.resolve({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: SECRET_KEY })
  t.same((await inTime.recorder.settled).events, ['open'])
  t.same((await well.dial().recorder.settled).events, ['open'])
  t.equal(server.requests.length, 3, 'who gave up takes no turn')
  t.equal(ill.clock.pendingTimers, 0)
})

t.test('the signature is of the time of the turn, not of the wait for it', async t => {
  const server = await startUpstream(t)
  const sockets: net.Socket[] = []
  const port = await startTcp(t, socket => sockets.push(socket))
  let dials = 0
  const { dial, clock } = setUpDial(t, {
    endpoint: () => {
      dials += 1
      return dials === 1 ? localEndpoint(port) : server.endpoint
    },
    limits: { concurrentDials: 1, connectTimeoutMs: 9000, dialAttempts: 1 },
  })
  const first = dial()
  const second = dial()
  while (sockets.length === 0) await turns()
  clock.advance(9000)
  await first.recorder.settled
  t.same((await second.recorder.settled).events, ['open'])
  t.match(server.requests[0]?.url, /X-Amz-Date=20260101T000009Z/)
})
