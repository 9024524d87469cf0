import t from 'tap'
import type { LeaseAnswer } from '../../src/upstream/stream-quota.ts'
import { LocalQuota } from '../../src/upstream/stream-quota.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RegionWorld, settle } from '../support/region-world.ts'

const A = 'us-east-1'
const B = 'us-west-2'

t.test('the first region of the list that has room gets the stream, and gets it back', async t => {
  const world = new RegionWorld([
    { name: A, streams: 1 },
    { name: B, streams: 1 },
  ])
  const first = await world.dial()
  t.notOk(first.opening, 'never from within the call')
  world.last.open()
  t.match(first.opening, { region: A, attempts: 1, hasAlternative: true })
  const second = await world.dial()
  world.last.open()
  t.match(second.opening, { region: B, hasAlternative: true })
  t.strictSame(world.spills, [`${A} quota`])
  t.equal(world.route, `${A} ${B}`)
  world.dials[0]?.end()
  t.equal(first.isClosed, true)
  t.equal(world.used(A), 0)
  await world.dial()
  t.equal(world.route, `${A} ${B} ${A}`)
})

t.test('a region that fails or refuses is left for the next, and one failure of all is told', async t => {
  for (const code of ['upstream_unavailable', 'upstream_auth', 'upstream_throttled', 'not_ready'] as const) {
    const world = new RegionWorld([{ name: A }, { name: B }])
    const listener = await world.dial()
    t.equal(world.last.terms.gate.mayRetry(), false, 'there is another region')
    world.last.fail(code)
    await settle()
    t.equal(world.route, `${A} ${B}`, code)
    world.last.open()
    t.match(listener.opening, { region: B, attempts: 2 })
    t.equal(listener.error, null)
    t.equal(world.used(A), 0)
  }
  const world = new RegionWorld([{ name: A }, { name: B }])
  const listener = await world.dial()
  world.last.fail('upstream_timeout')
  await settle()
  t.equal(world.last.terms.gate.mayRetry(), true, 'the last one')
  world.last.fail('upstream_unavailable')
  t.equal(listener.error?.code, 'upstream_unavailable')
  const bad = await world.dial()
  world.last.fail('upstream_bad_request')
  t.equal(bad.error?.code, 'upstream_bad_request', 'another region would say the same')
  t.equal(world.route, `${A} ${B} ${A}`)
})

t.test('a stream may be pinned to regions', async t => {
  const world = new RegionWorld([{ name: A }, { name: B }])
  const listener = await world.dial({ regions: [B] })
  world.last.fail('upstream_unavailable')
  t.equal(world.route, B)
  t.equal(listener.error?.code, 'upstream_unavailable')
  const other = await world.dial({ regions: [B] })
  world.last.open()
  t.match(other.opening, { region: B, hasAlternative: false })
})

t.test('who finds every region full waits for its turn, and is told when that takes too long', async t => {
  const world = new RegionWorld([{ name: A, streams: 1 }])
  await world.dial({ principal: 'a' })
  world.last.open()
  const [first, second, third] = [
    await world.dial({ principal: 'a' }),
    await world.dial({ principal: 'a' }),
    await world.dial({ principal: 'b' }),
  ]
  t.equal(world.dialer.waiting, 3)
  t.strictSame(world.spills, [`${A} quota`], 'the others saw that somebody waits')
  await world.advance(400)
  world.dials[0]?.end()
  await settle()
  t.equal(world.dials.length, 2)
  world.last.open()
  t.ok(first.opening)
  t.same(world.queueSeconds, [0.4])
  world.last.end()
  await settle()
  world.last.open()
  t.ok(third.opening, 'another principal takes its turn')
  await world.advance(5000)
  t.equal(second.error?.code, 'upstream_throttled')
  t.equal(second.error?.retryAfterMs, 2000)
  t.equal(second.error?.detail, 'start queue timeout')
  t.strictSame(world.refusals, ['timeout'])
  t.equal(world.dialer.waiting, 0)
})

t.test('who waits a second time is measured anew, and both waits together are bounded', async t => {
  const world = new RegionWorld([{ name: A, streams: 1 }], { startQueueMs: 2000 })
  await world.dial()
  world.last.open()
  const waits = await world.dial()
  await world.advance(400)
  world.dials[0]?.end()
  await settle()
  t.same(world.queueSeconds, [0.4])
  await world.advance(300)
  world.last.fail('upstream_throttled')
  await settle()
  t.equal(world.dialer.waiting, 1)
  await world.advance(1000)
  t.same(world.queueSeconds, [0.4, 1], 'without the first wait, and without the dial')
  world.last.fail('upstream_throttled')
  await settle()
  await world.advance(550)
  t.equal(waits.error, null)
  await world.advance(50)
  t.match(waits.error, { code: 'upstream_throttled' }, '2 s in the queue')
  t.strictSame(world.refusals, ['timeout'])
})

t.test('who waits for the one region that is left keeps nobody from the others', async t => {
  const world = new RegionWorld([{ name: A }, { name: B, streams: 1 }])
  await world.dial({ regions: [B] })
  world.last.open()
  const failed = await world.dial()
  t.equal(world.last.region, A)
  world.last.fail('upstream_unavailable')
  await settle()
  t.equal(world.dialer.waiting, 1, 'for B, which is full')
  const next = await world.dial()
  t.equal(world.last.region, A)
  world.last.open()
  t.match(next.opening, { region: A })
  world.dials[0]?.end()
  await settle()
  world.last.open()
  t.match(failed.opening, { region: B })
})

t.test('a region is tried again while all others are full', async t => {
  const world = new RegionWorld([{ name: A }, { name: B, streams: 1 }])
  const first = await world.dial()
  t.equal(world.last.terms.gate.mayRetry(), false, 'B would take it')
  world.last.open()
  t.match(first.opening, { hasAlternative: true })
  await world.dial({ regions: [B] })
  world.last.open()
  const second = await world.dial()
  t.equal(world.last.terms.gate.mayRetry(), true)
  world.last.open()
  t.match(second.opening, { region: A, hasAlternative: true })
})

t.test('a session under way comes before new ones, and may take the reserve', async t => {
  const world = new RegionWorld([{ name: A, streams: 2, reservedStreams: 1 }])
  await world.dial()
  world.last.open()
  await world.dial()
  t.equal(world.dialer.waiting, 1)
  const handover = await world.dial({ isContinuation: true })
  world.last.open()
  t.ok(handover.opening, 'at once')
  await world.dial({ isContinuation: true })
  t.equal(world.dialer.waiting, 2)
  world.dials[0]?.end()
  await settle()
  t.equal(world.last.request.isContinuation, true)
  t.equal(world.dialer.waiting, 1)
})

t.test('the queue is bounded: who comes last is told at once, and handshakes are refused', async t => {
  const world = new RegionWorld([{ name: A, streams: 1 }], { startQueueLength: 2 })
  await world.dial()
  const a1 = await world.dial({ principal: 'a' })
  const a2 = await world.dial({ principal: 'a' })
  t.equal(world.dialer.refusal()?.code, 'overloaded')
  const a3 = await world.dial({ principal: 'a' })
  t.equal(a3.error?.detail, 'start queue full')
  const a4 = await world.dial({ principal: 'a', regions: [A] })
  t.equal(a4.error?.code, 'upstream_throttled')
  a1.cancel()
  t.equal(world.dialer.refusal(), null)
  await world.dial({ principal: 'a' })
  const b1 = await world.dial({ principal: 'b' })
  t.notOk(b1.error)
  t.equal(a2.error, null)
  t.ok(world.refusals.includes('full'))
  const none = new RegionWorld([{ name: A, streams: 1 }], { startQueueLength: 0 })
  await none.dial()
  t.equal((await none.dial()).error?.code, 'upstream_throttled')
  t.equal(none.dialer.refusal(), null, 'there is no queue to be full')
})

t.test('one with many waiting makes room for one with none', async t => {
  const world = new RegionWorld([{ name: A, streams: 1 }], { startQueueLength: 3 })
  await world.dial()
  const many = [
    await world.dial({ principal: 'a' }),
    await world.dial({ principal: 'a' }),
    await world.dial({ principal: 'a' }),
  ]
  const one = await world.dial({ principal: 'b' })
  t.equal(many[2]?.error?.detail, 'start queue displaced')
  t.equal(one.error, null)
  t.strictSame(world.refusals, ['displaced'])
})

t.test('a region that says that its quota is used up is full for a while, then tried carefully', async t => {
  const world = new RegionWorld([{ name: A }])
  const thrown = await world.dial({ throttledIn: A })
  t.equal(world.dials.length, 0)
  const others = [await world.dial(), await world.dial()]
  await world.advance(999)
  t.equal(world.dials.length, 0)
  await world.advance(1)
  t.equal(world.dials.length, 1, 'one, and not all at once')
  await world.advance(250)
  t.equal(world.dials.length, 2)
  world.dials[0]?.fail('upstream_throttled')
  await settle()
  t.equal(thrown.error, null, 'it waits once more')
  await world.advance(999)
  t.equal(world.dials.length, 2)
  await world.advance(3000)
  t.equal(world.dials.length, 4)
  for (const dial of world.dials.slice(1)) dial.open()
  t.ok(thrown.opening)
  t.ok(others.every(({ opening }) => opening))
})

t.test('a region that fails in a row is left alone; one connection finds out when it is back', async t => {
  const world = new RegionWorld([{ name: A }])
  const waiting = [await world.dial(), await world.dial(), await world.dial()]
  t.equal(world.dials.length, 3)
  world.dials[0]?.fail('upstream_unavailable')
  t.equal(waiting[0]?.error?.code, 'upstream_unavailable', 'the dial had its attempts')
  world.dials[1]?.fail('upstream_unavailable')
  t.strictSame(world.log, [`${A} open`])
  await settle()
  t.equal(waiting[1]?.error, null, 'it has attempts left, and waits')
  t.equal(world.dials[2]?.enter(), false, 'a late one is not let through')
  await settle()
  const newcomer = await world.dial()
  t.equal(world.dialer.waiting, 3)
  t.equal(world.dials.length, 3)
  await world.advance(1000)
  const probes = world.dials.slice(3)
  for (const dial of probes) dial.enter()
  t.equal(probes.filter(dial => dial.terms.gate.mayRetry()).length, 0)
  probes[0]?.terms.gate.settle(null)
  t.strictSame(world.log, [`${A} open`, `${A} closed`])
  await settle()
  await world.advance(1000)
  for (const dial of world.dials.slice(3)) if (!dial.isCanceled) dial.open()
  await settle()
  t.ok(newcomer.opening)
  const tried = world.dials.length
  t.ok(tried <= 10, `${tried} dials for 4 streams`)
})

t.test('when nothing is in order, who waited is told so, with the time to wait', async t => {
  const world = new RegionWorld([{ name: A }], { startQueueMs: 500 })
  world.dialer.setDraining(A, true)
  const listener = await world.dial()
  await world.advance(500)
  t.equal(listener.error?.code, 'upstream_unavailable')
  t.equal(listener.error?.retryAfterMs, 1000)
  const impatient = new RegionWorld([{ name: A }], { startQueueMs: 0 })
  impatient.dialer.setDraining(A, true)
  t.equal((await impatient.dial()).error?.code, 'upstream_unavailable')
})

t.test('retries are at most one a stream on average, however many fail', async t => {
  const world = new RegionWorld([{ name: A }, { name: B }])
  let asked = 0
  let again = 0
  for (let round = 0; round < 200; round += 1) {
    asked += 1
    await world.dial()
    const before = world.dials.length
    // The breaker is out of the way: its failures in a row are interrupted.
    for (const code of ['upstream_unavailable', 'upstream_unavailable'] as const) {
      world.last.fail(code)
      await settle()
    }
    while (world.last.terms.gate.mayRetry()) again += 1
    world.clock.advance(1000)
    t.ok(world.dials.length >= before)
  }
  const connections = world.dials.length + again
  t.ok(connections <= 2 * asked + 10, `${connections} connections for ${asked} streams`)
  t.ok(again > 0)
})

t.test('a drained region is avoided, tells sessions to leave, and can be resumed', async t => {
  const world = new RegionWorld([{ name: A }, { name: B }])
  t.equal(world.dialer.isLeaving(A, null), false)
  t.equal(world.dialer.setDraining('eu-west-1', true), false)
  t.equal(world.dialer.setDraining('eu-west-1', false), false)
  t.equal(world.dialer.setDraining(A, true), true)
  t.equal(world.dialer.setDraining(A, true), true)
  t.equal(world.dialer.isLeaving(A, null), true)
  t.equal(world.dialer.isLeaving(A, [A]), false, 'it can go nowhere else')
  t.equal(world.dialer.isLeaving(B, null), false)
  t.equal(world.dialer.isLeaving('eu-west-1', null), false)
  await world.dial()
  t.equal(world.route, B)
  const pinned = await world.dial({ regions: [A] })
  t.equal(world.route, B)
  t.match(world.dialer.report(), [{ region: A, draining: true, breaker: 'closed' }, { draining: false }])
  world.dialer.setDraining(A, false)
  await settle()
  t.equal(world.route, `${B} ${A}`, 'who waited for it goes on')
  world.last.open()
  t.ok(pinned.opening)
  t.strictSame(world.log, [`${A} draining true`, `${A} draining false`])
})

t.test('whoever cancels gives everything back, whenever that is', async t => {
  const world = new RegionWorld([{ name: A, streams: 1 }])
  const dialling = await world.dial()
  dialling.cancel()
  dialling.cancel()
  t.equal(world.last.isCanceled, true)
  t.equal(world.used(A), 0)
  const open = await world.dial()
  world.last.open()
  const waiting = await world.dial()
  waiting.cancel()
  t.equal(world.dialer.waiting, 0)
  open.cancel()
  t.equal(world.last.upstream.ended, 'close')
  t.equal(world.used(A), 1, 'until it is really gone')
  world.last.end()
  t.equal(world.used(A), 0)
  t.equal(open.isClosed, false, 'nobody listens')
  const early = world.dialer.dial({ sessionId: 's', parameters: {} }, open)
  early.cancel()
  await settle()
  t.equal(world.used(A), 0)
  t.equal(world.dials.length, 2)
})

t.test('an answer of the quota that comes too late is given back', async t => {
  const clock = new ManualClock()
  const own = new LocalQuota({ streams: 5, startsPerSecond: 0, reservedStreams: 0 }, clock)
  const answers: ((answer: LeaseAnswer) => void)[] = []
  const quota = {
    take: async () => new Promise<LeaseAnswer>(resolve => answers.push(resolve)),
    get figures() {
      return own.figures
    },
  }
  const world = new RegionWorld([{ name: A, quota }])
  const canceled = await world.dial()
  canceled.cancel()
  answers[0]?.(own.takeNow(false))
  await settle()
  t.equal(own.figures.used, 0)
  t.equal(world.dials.length, 0)
  await world.dial()
  world.dialer.setDraining(A, true)
  answers[1]?.(own.takeNow(false))
  await settle()
  t.equal(own.figures.used, 0, 'the region was closed in between')
  t.equal(world.dialer.waiting, 1)
  world.dialer.close()
  world.dialer.setDraining(A, false)
  await world.advance(400)
  t.equal(answers.length, 2, 'nobody is served after the end')
})

t.test('a rate of starts spaces the dials', async t => {
  const world = new RegionWorld([{ name: A, startsPerSecond: 2 }])
  for (let count = 0; count < 5; count += 1) await world.dial()
  t.equal(world.dials.length, 2)
  await world.advance(1000)
  t.equal(world.dials.length, 4)
  await world.advance(1000)
  t.equal(world.dials.length, 5)
})

t.test('messages go through, and the time of the whole dial is bounded', async t => {
  const world = new RegionWorld([{ name: A }, { name: B }], { dialDeadlineMs: 1000 })
  const listener = await world.dial()
  t.equal(world.last.terms.deadlineMs, 1000)
  await world.advance(700)
  world.last.fail('upstream_timeout')
  await settle()
  t.equal(world.last.terms.deadlineMs, 300)
  await world.advance(280)
  world.last.fail('upstream_timeout')
  t.equal(listener.error?.code, 'upstream_timeout')
  const late = await world.dial()
  await world.advance(980)
  world.last.fail('upstream_timeout')
  t.equal(late.error?.code, 'upstream_timeout', 'no time is left for the other')
  const open = await world.dial()
  world.last.open()
  world.last.upstream.terminate()
  t.equal(open.isClosed, true)
})
