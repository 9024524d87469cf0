/**
 * Reads the report of the Autobahn test suite (`index.json`) and says what in it is not as it should be.
 *
 * A case is fine when both the behaviour and the closing behaviour are `OK`. Everything else must be a known deviation, and
 * a known deviation that is none any more is a problem too: the list, and what is said in public, must be true.
 */
import { z } from 'zod'

const BEHAVIOURS = ['OK', 'NON-STRICT', 'INFORMATIONAL', 'UNIMPLEMENTED', 'FAILED'] as const
const CLOSE_BEHAVIOURS = [
  'OK',
  'INFORMATIONAL',
  'UNCLEAN',
  'WRONG CODE',
  'FAILED BY CLIENT',
  'FAILED',
] as const

/** What the suite says of a case. */
export type Behaviour = (typeof BEHAVIOURS)[number]

const Agent = z.record(
  z.string().regex(/^\d+(\.\d+)+$/),
  z.object({ behavior: z.enum(BEHAVIOURS), behaviorClose: z.enum(CLOSE_BEHAVIOURS) }),
)
const Index = z.record(z.string(), Agent)

export type Report = z.infer<typeof Agent>

export interface Deviation {
  /** Case numbers; `12.*` is all of a section. */
  readonly cases: readonly string[]
  /** `FAILED` also stands for a close that is not OK. */
  readonly behaviour: Behaviour
  /** Happens every time, on every build. */
  readonly isConstant: boolean
  readonly reason: string
}

export interface Expectations {
  /** How many cases the report must have. */
  readonly caseCount: number
  readonly deviations: readonly Deviation[]
}

export interface Verdict {
  readonly counts: Readonly<Record<Behaviour, number>>
  /** In the order of their numbers: every case that is not OK, and why; `null`: nobody knows. */
  readonly deviating: readonly {
    readonly id: string
    readonly says: string
    readonly reason: string | null
  }[]
  readonly problems: readonly string[]
}

/** @throws Error for what is not a report, or has nothing about `agent`. */
export function readReport(json: string, agent: string): Report {
  const report = Index.parse(JSON.parse(json))[agent]
  if (report === undefined) throw new Error(`the report has nothing about "${agent}"`)
  return report
}

export function judgeReport(report: Report, { caseCount, deviations }: Expectations): Verdict {
  const counts = { OK: 0, 'NON-STRICT': 0, INFORMATIONAL: 0, UNIMPLEMENTED: 0, FAILED: 0 }
  const deviating: Verdict['deviating'][number][] = []
  const problems: string[] = []
  const ids = Object.keys(report).toSorted(compareIds)
  if (ids.length !== caseCount)
    problems.push(`${caseCount} cases were expected, the report has ${ids.length}`)
  for (const id of ids) {
    const { behavior, behaviorClose } = report[id] ?? { behavior: 'FAILED', behaviorClose: 'FAILED' }
    const behaviour = hasClosedWell(behaviorClose) ? behavior : 'FAILED'
    counts[behaviour] += 1
    const known = deviations.find(({ cases }) => cases.some(pattern => matches(pattern, id)))
    if (behaviour === 'OK') {
      if (known?.isConstant === true) problems.push(`${id} is OK: it is not a deviation any more`)
      continue
    }
    const says = behaviorClose === 'OK' ? behavior : `${behavior}, close ${behaviorClose}`
    const reason = known?.behaviour === behaviour ? known.reason : null
    deviating.push({ id, says, reason })
    if (reason === null) problems.push(`${id} is ${says}`)
  }
  return { counts, deviating, problems }
}

function hasClosedWell(closeBehaviour: (typeof CLOSE_BEHAVIOURS)[number]): boolean {
  return closeBehaviour === 'OK' || closeBehaviour === 'INFORMATIONAL'
}

function matches(pattern: string, id: string): boolean {
  return pattern.endsWith('.*') ? id.startsWith(pattern.slice(0, -1)) : pattern === id
}

/** 2.9 before 2.10. */
function compareIds(left: string, right: string): number {
  const others = right.split('.').map(Number)
  const difference = left
    .split('.')
    .map((part, index) => Number(part) - (others[index] ?? -1))
    .find(value => value !== 0)
  return difference ?? -1
}
