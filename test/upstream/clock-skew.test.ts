import t from 'tap'
import { ClockSkew, measureClockOffset, SKEW_THRESHOLD_MS } from '../../src/upstream/clock-skew.ts'

const SERVER = 'Thu, 02 Jan 2025 03:04:05 GMT'
const SERVER_MS = Date.UTC(2025, 0, 2, 3, 4, 5)

function time(localAheadMs: number, change: object = {}) {
  return { date: SERVER, age: null, receivedAtMs: SERVER_MS + localAheadMs, roundTripMs: 0, ...change }
}

t.test('measures the offset at the middle of the round trip', async t => {
  t.equal(measureClockOffset(time(0)), 0)
  t.equal(measureClockOffset(time(600_000)), -600_000)
  t.equal(measureClockOffset(time(-600_000, { roundTripMs: 2000 })), 601_000)
})

t.test('draws no conclusion from a cached, slow, missing or unreadable answer', async t => {
  t.equal(measureClockOffset(time(600_000, { age: '0' })), null)
  t.equal(measureClockOffset(time(600_000, { roundTripMs: 30_001 })), null)
  t.equal(measureClockOffset(time(600_000, { date: null })), null)
  t.equal(measureClockOffset(time(600_000, { date: 'soon' })), null)
})

t.test(
  'corrects from four minutes on, remembers it, and takes it back when the clock is set right',
  async t => {
    const skew = new ClockSkew()
    t.equal(skew.correct(time(SKEW_THRESHOLD_MS - 1), 0), false)
    t.equal(skew.correct(time(600_000, { age: '1' }), 0), false)
    t.equal(skew.offsetMs, 0)
    t.equal(skew.correct(time(SKEW_THRESHOLD_MS), 0), true)
    t.equal(skew.offsetMs, -SKEW_THRESHOLD_MS)
    t.equal(skew.correct(time(SKEW_THRESHOLD_MS), skew.offsetMs), false, 'already taken into account')
    t.equal(skew.correct(time(0), skew.offsetMs), true)
    t.equal(skew.offsetMs, 0)
  },
)
