/** What the relay promises about its speed, judged on the figures of one comparison. */
import { barOf, figureOf, type Bar, type Unit } from '../results-format.ts'
import type { Measurement } from './measure.ts'
import type { Candidate } from './relay-process.ts'
import {
  FEW_SESSIONS,
  MANY_SESSIONS,
  MOST_SESSIONS,
  SDK_SESSIONS,
  SMALL_FRAME_SESSIONS,
} from './scenarios.ts'

/** Measurements of one candidate in one scenario, one a repeat. */
export type Lookup = (scenario: string, candidate: Candidate) => readonly Measurement[]

interface Side {
  readonly scenario: string
  readonly candidate: Candidate
}

interface BarRule {
  readonly id: string
  readonly title: string
  readonly relation: 'at least' | 'at most'
  readonly limit: number
  readonly unit: Unit
  readonly of: Side
  /** Divided by this; left out: `of` alone. */
  readonly by?: Side
  readonly read: (measurement: Measurement) => number
}

const at = (candidate: Candidate, sessions: number, chunkMs = 100): Side => ({
  candidate,
  scenario: `frames-${chunkMs}ms-${sessions}`,
})
const cpu = ({ cpuPerFrameMicros }: Measurement): number => cpuPerFrameMicros
const addedP99 = ({ added }: Measurement): number => added.p99Ms
const memory = ({ bytesPerSession }: Measurement): number => bytesPerSession

const RULES: readonly BarRule[] = [
  {
    id: 'plain-cpu',
    title: `CPU per 100 ms frame, ${MANY_SESSIONS} sessions: plain relay ÷ ours`,
    relation: 'at least',
    limit: 2,
    unit: '×',
    of: at('plain', MANY_SESSIONS),
    by: at('ours', MANY_SESSIONS),
    read: cpu,
  },
  {
    id: 'sdk-cpu',
    title: `CPU per 100 ms frame, ${SDK_SESSIONS} sessions: SDK relay ÷ ours`,
    relation: 'at least',
    limit: 8,
    unit: '×',
    of: at('sdk', SDK_SESSIONS),
    by: at('ours', SDK_SESSIONS),
    read: cpu,
  },
  {
    id: 'plain-cpu-20ms',
    title: `CPU per 20 ms frame, ${SMALL_FRAME_SESSIONS} sessions: plain relay ÷ ours`,
    relation: 'at least',
    limit: 4,
    unit: '×',
    of: at('plain', SMALL_FRAME_SESSIONS, 20),
    by: at('ours', SMALL_FRAME_SESSIONS, 20),
    read: cpu,
  },
  {
    id: 'floor-cpu',
    title: `CPU per 100 ms frame, ${MANY_SESSIONS} sessions: ours ÷ floor`,
    relation: 'at most',
    limit: 1.25,
    unit: '×',
    of: at('ours', MANY_SESSIONS),
    by: at('floor', MANY_SESSIONS),
    read: cpu,
  },
  {
    id: 'latency',
    title: `Added latency p99, ${MANY_SESSIONS} sessions of 100 ms frames on one core`,
    relation: 'at most',
    limit: 5,
    unit: 'ms',
    of: at('ours', MANY_SESSIONS),
    read: addedP99,
  },
  {
    id: 'latency-plain',
    title: `Added latency p99, ${MANY_SESSIONS} sessions: ours ÷ plain relay`,
    relation: 'at most',
    limit: 1,
    unit: '×',
    of: at('ours', MANY_SESSIONS),
    by: at('plain', MANY_SESSIONS),
    read: addedP99,
  },
  {
    id: 'memory-plain',
    title: `Memory per live session, ${MOST_SESSIONS} sessions: ours ÷ plain relay`,
    relation: 'at most',
    limit: 1,
    unit: '×',
    of: at('ours', MOST_SESSIONS),
    by: at('plain', MOST_SESSIONS),
    read: memory,
  },
  {
    id: 'growth-cpu',
    title: `CPU per frame: ${MOST_SESSIONS} sessions ÷ ${FEW_SESSIONS} sessions`,
    relation: 'at most',
    limit: 1.15,
    unit: '×',
    of: at('ours', MOST_SESSIONS),
    by: at('ours', FEW_SESSIONS),
    read: cpu,
  },
  {
    id: 'growth-memory',
    title: `Memory per session: ${MOST_SESSIONS} sessions ÷ ${FEW_SESSIONS} sessions`,
    relation: 'at most',
    limit: 1.15,
    unit: '×',
    of: at('ours', MOST_SESSIONS),
    by: at('ours', FEW_SESSIONS),
    read: memory,
  },
]

/** Bars whose measurements are there; a comparison of chosen scenarios judges those alone. */
export function judge(lookup: Lookup, explanations: Readonly<Record<string, readonly string[]>>): Bar[] {
  return RULES.flatMap(({ by, id, limit, of, read, relation, title, unit }) => {
    const above = lookup(of.scenario, of.candidate).map(read)
    const below = by === undefined ? above.map(() => 1) : lookup(by.scenario, by.candidate).map(read)
    const values = above.flatMap((value, repeat) => {
      const divisor = below[repeat]
      return divisor === undefined || divisor <= 0 ? [] : [value / divisor]
    })
    if (values.length === 0) return []
    return [
      barOf({
        id,
        title,
        relation,
        limit,
        figure: figureOf(unit, values),
        explanation: explanations[id] ?? [],
      }),
    ]
  })
}
