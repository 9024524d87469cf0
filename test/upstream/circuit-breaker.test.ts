import t from 'tap'
import type { BreakerState } from '../../src/session/region-labels.ts'
import { CircuitBreaker } from '../../src/upstream/circuit-breaker.ts'

const LIMITS = { failures: 2, openMs: 1000 }

type Event =
  | 'free one fails'
  | 'free one succeeds'
  | 'free one is given up'
  | 'probe fails'
  | 'probe succeeds'
  | 'probe is given up'
  | 'time passes'

/** Told late: whoever was let through while it was closed may answer in any state. */
const EVENTS: Readonly<Record<Event, (breaker: CircuitBreaker, nowMs: number) => void>> = {
  'free one fails': (breaker, nowMs) => breaker.fail('free', nowMs),
  'free one succeeds': breaker => breaker.succeed('free'),
  'free one is given up': breaker => breaker.abandon('free'),
  'probe fails': (breaker, nowMs) => breaker.fail('probe', nowMs),
  'probe succeeds': breaker => breaker.succeed('probe'),
  'probe is given up': breaker => breaker.abandon('probe'),
  'time passes': () => {},
}

interface Cell {
  readonly state: BreakerState
  /** What `enter` says afterwards. */
  readonly enter: 'free' | 'probe' | null
}

const CLOSED: Cell = { state: 'closed', enter: 'free' }
const OPEN: Cell = { state: 'open', enter: null }
const HALF: Cell = { state: 'half_open', enter: 'probe' }
const PROBING: Cell = { state: 'half_open', enter: null }

/** The states, how each is reached, and what follows from each event a tick later. `one failed`: closed, but only just. */
const TABLE: Readonly<
  Record<string, { reach: (breaker: CircuitBreaker) => number; cells: Record<Event, Cell> }>
> = {
  closed: {
    reach: () => 0,
    cells: {
      'free one fails': CLOSED,
      'free one succeeds': CLOSED,
      'free one is given up': CLOSED,
      'probe fails': OPEN,
      'probe succeeds': CLOSED,
      'probe is given up': CLOSED,
      'time passes': CLOSED,
    },
  },
  'one failed': {
    reach: breaker => {
      breaker.fail('free', 0)
      return 0
    },
    cells: {
      'free one fails': OPEN,
      'free one succeeds': CLOSED,
      'free one is given up': CLOSED,
      'probe fails': OPEN,
      'probe succeeds': CLOSED,
      'probe is given up': CLOSED,
      'time passes': CLOSED,
    },
  },
  open: {
    reach: breaker => {
      breaker.fail('free', 0)
      breaker.fail('free', 0)
      return 0
    },
    cells: {
      'free one fails': OPEN,
      'free one succeeds': OPEN,
      'free one is given up': OPEN,
      'probe fails': OPEN,
      'probe succeeds': CLOSED,
      'probe is given up': OPEN,
      'time passes': OPEN,
    },
  },
  'half open': {
    reach: breaker => {
      breaker.fail('free', 0)
      breaker.fail('free', 0)
      return 1000
    },
    cells: {
      'free one fails': HALF,
      'free one succeeds': HALF,
      'free one is given up': HALF,
      'probe fails': OPEN,
      'probe succeeds': CLOSED,
      'probe is given up': HALF,
      'time passes': HALF,
    },
  },
  'half open, probing': {
    reach: breaker => {
      breaker.fail('free', 0)
      breaker.fail('free', 0)
      breaker.enter(1000)
      return 1000
    },
    cells: {
      'free one fails': PROBING,
      'free one succeeds': PROBING,
      'free one is given up': PROBING,
      'probe fails': OPEN,
      'probe succeeds': CLOSED,
      'probe is given up': HALF,
      'time passes': PROBING,
    },
  },
}

for (const [state, { cells, reach }] of Object.entries(TABLE)) {
  for (const [event, expected] of Object.entries(cells) as [Event, Cell][]) {
    t.test(`${state}: ${event}`, async t => {
      const breaker = new CircuitBreaker(LIMITS)
      const nowMs = reach(breaker)
      EVENTS[event](breaker, nowMs)
      t.equal(breaker.stateAt(nowMs + 1), expected.state)
      t.equal(breaker.isPassable(nowMs + 1), expected.enter !== null)
      t.equal(breaker.enter(nowMs + 1), expected.enter)
    })
  }
}

t.test(
  'it opens, lets one through after its time, and closes with it; failures are counted in a row',
  async t => {
    const breaker = new CircuitBreaker({ failures: 3, openMs: 500 })
    for (const isFailure of [true, true, false, true, true]) {
      const passage = breaker.enter(0)
      if (passage === null) throw new Error('closed breakers let everybody through')
      if (isFailure) breaker.fail(passage, 0)
      else breaker.succeed(passage)
    }
    t.equal(breaker.stateAt(0), 'closed', 'never three in a row')
    breaker.fail('free', 100)
    t.equal(breaker.stateAt(100), 'open')
    t.equal(breaker.waitMs(250), 350)
    t.equal(breaker.enter(599), null)
    t.equal(breaker.enter(600), 'probe')
    t.equal(breaker.waitMs(600), 0)
    breaker.fail('probe', 700)
    t.equal(breaker.stateAt(1199), 'open', 'the time begins anew')
    t.equal(breaker.enter(1200), 'probe')
    breaker.succeed('probe')
    t.equal(breaker.stateAt(1200), 'closed')
    t.equal(breaker.opened, 2)
  },
)
