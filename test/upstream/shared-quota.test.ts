import t from 'tap'
import type { LeaseRequest, LeaseStore, StoreAnswer } from '../../src/upstream/shared-quota.ts'
import { SharedQuota } from '../../src/upstream/shared-quota.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'
import { settle } from '../support/region-world.ts'

const LEASE_MS = 9000

/** A store in memory, in which leases end by the clock; it can be away. */
class MemoryStore implements LeaseStore {
  readonly leases = new Map<string, number>()
  readonly batches: number[] = []
  isAway = false
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  get live(): number {
    for (const [leaseId, endMs] of this.leases) {
      if (endMs <= this.#clock.monotonicMs()) this.leases.delete(leaseId)
    }
    return this.leases.size
  }

  async acquire({ leaseId, room }: LeaseRequest): Promise<StoreAnswer> {
    this.#answer()
    const used = this.live
    if (room > 0 && used >= room) return { isGranted: false, used, retryInMs: 0 }
    this.leases.set(leaseId, this.#clock.monotonicMs() + LEASE_MS)
    return { isGranted: true, used: used + 1, retryInMs: 0 }
  }

  async renew(_region: string, leaseIds: readonly string[]): Promise<void> {
    this.#answer()
    this.batches.push(leaseIds.length)
    for (const leaseId of leaseIds) this.leases.set(leaseId, this.#clock.monotonicMs() + LEASE_MS)
  }

  async release(_region: string, leaseId: string): Promise<void> {
    this.#answer()
    this.leases.delete(leaseId)
  }

  #answer(): void {
    if (this.isAway) throw new Error('away')
  }
}

function setUp({
  streams = 10,
  shares = 2,
  isOpenOnFailure = true,
  reservedStreams = 0,
  startsPerSecond = 0,
} = {}) {
  const clock = new ManualClock()
  const store = new MemoryStore(clock)
  const open = (): SharedQuota =>
    new SharedQuota({
      region: 'us-east-1',
      size: { streams, startsPerSecond, reservedStreams },
      shares,
      store,
      clock,
      leaseMs: LEASE_MS,
      isOpenOnFailure,
    })
  return { clock, store, open }
}

t.test(
  'the sum of all relays never passes the quota, and a dead one gives back within the lease',
  async t => {
    const seed = 4242
    t.comment(`seed ${seed}`)
    const random = createRandom(seed)
    const { clock, store, open } = setUp()
    const relays = [open(), open(), open()]
    const held: { release(): void }[][] = [[], [], []]
    let most = 0
    for (let step = 0; step < 3000; step += 1) {
      const index = Math.floor(random() * 3)
      if (random() < 0.55) {
        const answer = await relays[index]?.take(false)
        if (answer?.isGranted === true) held[index]?.push(answer.lease)
      } else held[index]?.splice(0, 1)[0]?.release()
      clock.advance(random() * 500)
      await settle()
      most = Math.max(most, held.flat().length)
      if (store.live !== held.flat().length) t.fail(`step ${step}: ${store.live} leases`)
    }
    t.equal(most, 10)
    relays[0]?.close()
    const left = (held[1]?.length ?? 0) + (held[2]?.length ?? 0)
    clock.advance(LEASE_MS)
    await settle()
    t.equal(store.live, left, 'those of the dead one are gone, the others were renewed')
  },
)

t.test('while the store is away: open counts alone by its part, closed starts nothing', async t => {
  const { clock, store, open } = setUp()
  const relay = open()
  const first = await relay.take(false)
  store.isAway = true
  const answers = []
  for (let count = 0; count < 6; count += 1) answers.push(await relay.take(true))
  t.equal(answers.filter(({ isGranted }) => isGranted).length, 4, 'five with the one before')
  t.same(relay.figures, { used: 5, limit: 10 })
  clock.advance(LEASE_MS * 2)
  await settle()
  t.equal(store.live, 0)
  store.isAway = false
  await relay.refresh()
  t.equal(store.live, 5, 'all are told')
  if (first.isGranted) {
    first.lease.release()
    first.lease.release()
  }
  await settle()
  t.equal(store.live, 4)
  const closed = setUp({ isOpenOnFailure: false })
  closed.store.isAway = true
  const answer = await closed.open().take(false)
  t.equal(answer.isGranted, false)
  t.ok(!answer.isGranted && answer.retryInMs > 0)
})

t.test('a lease that could not be given back is not renewed, and many are renewed in pieces', async t => {
  const { clock, store, open } = setUp({ streams: 5000, shares: 1 })
  const relay = open()
  const leases = []
  for (let count = 0; count < 1201; count += 1) {
    const answer = await relay.take(false)
    if (answer.isGranted) leases.push(answer.lease)
  }
  store.isAway = true
  leases[0]?.release()
  await settle()
  store.isAway = false
  clock.advance(LEASE_MS / 3)
  await settle()
  t.strictSame(store.batches, [500, 500, 200])
  clock.advance(LEASE_MS * 0.7)
  await settle()
  t.equal(store.live, 1200)
  relay.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('the store is told the room: without the reserve for new sessions', async t => {
  const { store, open } = setUp({ streams: 2, reservedStreams: 1, shares: 1, startsPerSecond: 5 })
  const relay = open()
  t.equal((await relay.take(false)).isGranted, true)
  t.same(await relay.take(false), { isGranted: false, retryInMs: 250 })
  t.equal((await relay.take(true)).isGranted, true)
  t.equal(store.live, 2)
  store.acquire = async () => ({ isGranted: false, used: 2, retryInMs: 40 })
  t.same(await relay.take(true), { isGranted: false, retryInMs: 40 }, 'the rate of starts')
})
