/** Regions whose credentials are not to be had: who may go elsewhere does not wait for them. */
import t from 'tap'
import type { CredentialReadiness } from '../../src/upstream/credentials.ts'
import { RegionWorld, settle } from '../support/region-world.ts'

const A = 'us-east-1'
const B = 'us-west-2'

const HAD: CredentialReadiness = { ready: true, reason: null }
const TIMED_OUT: CredentialReadiness = { ready: false, reason: 'credentials_timeout' }
const PENDING: CredentialReadiness = { ready: false, reason: 'credentials_pending' }

function setUp() {
  const of: Record<string, CredentialReadiness> = { [A]: HAD, [B]: HAD }
  const regions = [A, B].map(name => ({
    name,
    streams: 1,
    credentials: { readiness: () => of[name] ?? HAD },
  }))
  return { of, world: new RegionWorld(regions) }
}

t.test('a region without credentials is passed over while another one has room', async t => {
  const { of, world } = setUp()
  of[A] = TIMED_OUT
  const first = await world.dial()
  t.equal(world.route, B)
  world.last.open()
  t.match(first.opening, { region: B, hasAlternative: false })
  t.strictSame(world.spills, [`${A} failed`])
  world.dialer.setDraining(B, true)
  t.equal(world.dialer.isLeaving(B, null), false, 'there is nowhere to go')
  of[A] = HAD
  t.equal(world.dialer.isLeaving(B, null), true)
  world.dialer.setDraining(B, false)
  await world.dial()
  t.equal(world.route, `${B} ${A}`, 'until it has some')
})

t.test('where nothing else has room, credentials are waited for, and their failure is told', async t => {
  const { of, world } = setUp()
  of[A] = TIMED_OUT
  await world.dial()
  const second = await world.dial()
  t.equal(world.route, `${B} ${A}`)
  t.strictSame(world.spills, [`${A} failed`, `${B} quota`])
  world.last.fail('not_ready')
  await settle()
  t.equal(world.dialer.waiting, 1, 'for the other region')
  world.dials[0]?.end()
  await settle()
  t.equal(world.route, `${B} ${A} ${B}`)
  world.last.fail('upstream_unavailable')
  t.equal(second.error?.code, 'upstream_unavailable')
  const pinned = await world.dial({ regions: [A] })
  world.last.fail('not_ready')
  t.equal(pinned.error?.code, 'not_ready')
})

t.test('the order stands while the first credentials are on their way, and where nobody has any', async t => {
  for (const [ofA, ofB] of [
    [PENDING, HAD],
    [TIMED_OUT, TIMED_OUT],
  ] as const) {
    const { of, world } = setUp()
    of[A] = ofA
    of[B] = ofB
    await world.dial()
    t.equal(world.route, A)
    t.strictSame(world.spills, [])
  }
})
