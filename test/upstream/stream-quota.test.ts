import t from 'tap'
import { StartWindow, windowOf } from '../../src/upstream/start-window.ts'
import type { Lease } from '../../src/upstream/stream-quota.ts'
import { LocalQuota, roomFor, shareOf } from '../../src/upstream/stream-quota.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'

t.test('in no stretch of time are there more starts than the rate allows', async t => {
  const seed = 7
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  for (const startsPerSecond of [0.4, 1, 2.5, 10, 25]) {
    const size = windowOf(startsPerSecond)
    if (size === null) throw new Error('counted')
    const window = new StartWindow(startsPerSecond)
    const starts: number[] = []
    let nowMs = 0
    for (let step = 0; step < 2000; step += 1) {
      nowMs += random() * 60
      const waitMs = window.waitMs(nowMs)
      if (waitMs > 0) {
        if (random() < 0.1) nowMs += waitMs
        else continue
      }
      window.count(nowMs)
      starts.push(nowMs)
    }
    t.ok(starts.length > 20)
    const crowded = starts.filter((startMs, index) => {
      const next = starts[index + size.starts]
      return next !== undefined && next - startMs < size.windowMs - 1e-6
    })
    t.strictSame(crowded, [], `${startsPerSecond} a second`)
  }
  t.equal(new StartWindow(0).waitMs(5), 0, 'not counted')
  t.equal(windowOf(0), null)
})

t.test('the parts of a quota are never more than the whole', async t => {
  for (let streams = 1; streams <= 60; streams += 1) {
    for (let shares = 1; shares <= streams; shares += 1) {
      const share = shareOf({ streams, startsPerSecond: 25, reservedStreams: 1 }, shares)
      if (share.streams * shares > streams || share.streams < 1) t.fail(`${streams} / ${shares}`)
      if (share.startsPerSecond * shares > 25 + 1e-9) t.fail(`starts / ${shares}`)
    }
  }
  t.equal(shareOf({ streams: 0, startsPerSecond: 0, reservedStreams: 1 }, 3).streams, 0, 'not counted')
})

t.test('new sessions leave the reserve alone, and a quota of one has none', async t => {
  const clock = new ManualClock()
  const quota = new LocalQuota({ streams: 3, startsPerSecond: 0, reservedStreams: 1 }, clock)
  const granted: Lease[] = []
  for (const isContinuation of [false, false, false, true, true]) {
    const answer = await quota.take(isContinuation)
    if (answer.isGranted) granted.push(answer.lease)
    else t.ok(answer.retryInMs > 0)
  }
  t.equal(granted.length, 3, 'two new ones and one under way')
  t.same(quota.figures, { used: 3, limit: 3 })
  for (const lease of [...granted, ...granted]) lease.release()
  t.same(quota.figures, { used: 0, limit: 3 }, 'given back once')
  t.equal(roomFor({ streams: 1, startsPerSecond: 0, reservedStreams: 5 }, false), 1)
  t.equal(roomFor({ streams: 4, startsPerSecond: 0, reservedStreams: 9 }, false), 1)
})

t.test('the sum never passes the quota, whoever takes and gives back', async t => {
  const seed = 99
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const clock = new ManualClock()
  const size = { streams: 10, startsPerSecond: 50, reservedStreams: 1 }
  const relays = [0, 1, 2].map(() => new LocalQuota(shareOf(size, 3), clock))
  const held: Lease[] = []
  let most = 0
  let grants = 0
  for (let step = 0; step < 5000; step += 1) {
    clock.advance(random() * 20)
    if (random() < 0.55) {
      const answer = await relays[Math.floor(random() * 3)]?.take(random() < 0.3)
      if (answer?.isGranted === true) {
        held.push(answer.lease)
        grants += 1
      }
    } else {
      held.splice(Math.floor(random() * held.length), 1)[0]?.release()
    }
    most = Math.max(most, held.length)
  }
  t.ok(grants > 500)
  t.equal(most, 9, 'three parts of three')
  t.equal(
    relays.reduce((sum, { figures }) => sum + figures.used, 0),
    held.length,
  )
})
