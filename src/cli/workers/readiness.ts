/**
 * Whether a relay of several workers is ready: one of them is, and none is going away. Which of them are not is told
 * in either case.
 */
import type { WorkerState } from '../../metrics/workers.ts'
import type { Readiness } from '../../server/ops.ts'

export interface WorkerView {
  readonly worker: number
  readonly state: WorkerState
  /** `null`: it did not answer. */
  readonly readiness: Readiness | null
}

export function judgeReadiness(views: readonly WorkerView[]): Readiness {
  const told = views.map(view => ({ worker: view.worker, reasons: reasonsOf(view) }))
  const isDraining = told.some(({ reasons }) => reasons.includes('draining'))
  return {
    ready: !isDraining && told.some(({ reasons }) => reasons.length === 0),
    reasons: told.flatMap(({ worker, reasons }) => reasons.map(reason => `worker ${worker}: ${reason}`)),
  }
}

function reasonsOf({ state, readiness }: WorkerView): readonly string[] {
  if (state !== 'running') return [state]
  if (readiness === null) return ['no answer']
  return readiness.ready || readiness.reasons.length > 0 ? readiness.reasons : ['not ready']
}
