import t from 'tap'
import { AdmissionGate, LOAD_REASONS, SAMPLE_MS, type LoadReason } from '../../src/session/admission-gate.ts'
import { LoopLag } from '../../src/session/loop-lag.ts'
import { ManualClock } from '../support/manual-clock.ts'

interface GateHarness {
  readonly clock: ManualClock
  readonly gate: AdmissionGate
  readonly values: Record<LoadReason, number | null>
  readonly changes: string[]
}

/** Each load closes at 10 and opens below 5. */
function createGate(maxSessions = 100): GateHarness {
  const clock = new ManualClock()
  const values: GateHarness['values'] = { lag: 0, memory: 0, files: 0 }
  const changes: string[] = []
  const probes = LOAD_REASONS.map(reason => ({
    reason,
    closeAt: 10,
    openBelow: 5,
    read: () => values[reason],
  }))
  const onChange = (reason: LoadReason, isClosed: boolean, value: number) =>
    changes.push(`${reason} ${isClosed ? 'closed' : 'opened'} at ${value}`)
  return { clock, values, changes, gate: new AdmissionGate({ clock, maxSessions, probes, onChange }) }
}

t.test('each state × each value of a load, for each load', async t => {
  /** What becomes of an open and of a closed gate. */
  const table: [value: number | null, open: 'open' | 'closed', closed: 'open' | 'closed'][] = [
    [0, 'open', 'open'],
    [4.99, 'open', 'open'],
    [5, 'open', 'closed'],
    [9.99, 'open', 'closed'],
    [10, 'closed', 'closed'],
    [1000, 'closed', 'closed'],
    [null, 'open', 'closed'],
  ]
  for (const reason of LOAD_REASONS) {
    for (const [value, ofOpen, ofClosed] of table) {
      for (const [before, after] of [
        ['open', ofOpen],
        ['closed', ofClosed],
      ]) {
        const { clock, gate, values } = createGate()
        values[reason] = before === 'closed' ? 10 : 0
        clock.advance(SAMPLE_MS)
        values[reason] = value
        clock.advance(SAMPLE_MS)
        const cell = `${reason}: ${before} and ${String(value)}`
        t.equal(gate.isClosed(reason), after === 'closed', cell)
        t.equal(gate.refuse(0), after === 'closed' ? reason : null, cell)
        t.ok(Object.is(gate.load(reason), value === null ? Number.NaN : value / 10), cell)
        gate.close()
      }
    }
  }
})

t.test('between the two levels nothing changes, so nothing flaps', async t => {
  const { clock, values, changes } = createGate()
  for (const value of [9, 10, 6, 9, 11, 5, 4, 9, 9.9, 10]) {
    values.memory = value
    clock.advance(SAMPLE_MS)
  }
  t.strictSame(changes, ['memory closed at 10', 'memory opened at 4', 'memory closed at 10'])
})

t.test('every refusal is counted, by its reason; a full relay says so first', async t => {
  const { clock, gate, values } = createGate(3)
  t.equal(gate.refuse(2), null)
  t.equal(gate.refuse(3), 'sessions')
  t.equal(gate.refuse(2), null, 'a count needs no second level')
  values.lag = 10
  values.files = 10
  clock.advance(SAMPLE_MS)
  t.equal(gate.refuse(2), 'lag')
  t.equal(gate.refuse(3), 'sessions')
  values.lag = 0
  clock.advance(SAMPLE_MS)
  t.equal(gate.refuse(0), 'files')
  t.strictSame(
    (['sessions', 'lag', 'memory', 'files'] as const).map(reason => gate.refusals(reason)),
    [2, 1, 0, 1],
  )
  gate.close()
  gate.close()
  values.memory = 100
  clock.advance(1000)
  t.equal(gate.isClosed('memory'), false, 'closed for good, it looks no more')
  const blind = new AdmissionGate({ clock, maxSessions: 1, probes: [], onChange: () => {} })
  t.ok(Number.isNaN(blind.load('lag')))
})

t.test('one pause of the loop is soon forgotten, a loop that is always late is not', async t => {
  const once = new LoopLag(100)
  once.measure(0)
  t.equal(once.measure(100), 0)
  const afterPause = once.measure(500)
  t.ok(afterPause > 50 && afterPause < 100, `${afterPause} ms`)
  let nowMs = 500
  for (let sample = 0; sample < 10; sample += 1) once.measure((nowMs += 100))
  t.ok(once.measure((nowMs += 100)) < 10)
  const late = new LoopLag(100)
  let lagMs = 0
  for (nowMs = 0; nowMs < 12_000; nowMs += 600) lagMs = late.measure(nowMs)
  t.ok(lagMs > 490 && lagMs <= 500, `${lagMs} ms`)
  t.ok(late.measure(nowMs - 700) < lagMs, 'early is not late')
})
