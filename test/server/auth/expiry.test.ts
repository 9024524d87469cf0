import t from 'tap'
import { RevokedEnds, TokenExpiry } from '../../../src/server/auth/expiry.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const OPTIONS = { tokenExpiry: 'end', tokenGraceSeconds: 0, keyRevocation: 'end' } as const

t.test('sessions of a revoked key end some in each tick, and stay ended', async t => {
  const clock = new ManualClock()
  const ends = new RevokedEnds()
  const standing = { isRevoked: false }
  const sessions = Array.from({ length: 120 }, () => new TokenExpiry(OPTIONS, clock, { standing }, ends))
  const endedAt = (nowMs: number) =>
    sessions.filter(session => session.endOf(nowMs)?.code === 'token_revoked').length
  t.equal(endedAt(0), 0)
  standing.isRevoked = true
  t.strictSame([endedAt(100), endedAt(200), endedAt(300), endedAt(400)], [50, 100, 120, 120])
})

t.test('a session whose turn has not come may still move to another key', async t => {
  const clock = new ManualClock()
  const ends = new RevokedEnds()
  for (let taken = 0; taken < 50; taken += 1) t.equal(ends.take(1), true)
  const session = new TokenExpiry(OPTIONS, clock, { standing: { isRevoked: true } }, ends)
  t.equal(session.endOf(1), null)
  t.equal(session.renew({ standing: { isRevoked: false } }), null)
  t.equal(session.endOf(2), null)
  session.renew({ expiresAtMs: clock.now() - 1 })
  t.match(session.endOf(3), { code: 'token_expired' })
})
