/**
 * The regions of a relay of several workers: what each says of a region, made one.
 */
import type { BreakerState, DrainScope, OrderedRegion } from '../../session/region-labels.ts'
import type { WorkerReport } from './ports.ts'

/** The first that one of the workers is in says it. */
const BY_SEVERITY: readonly BreakerState[] = ['open', 'half_open', 'closed']
const BY_DOUBT: readonly DrainScope[] = ['pending', 'relay', 'shared']

/** `isShared`: each worker tells the figures of all, because they count together. */
export function mergeRegions(
  reports: ReadonlyMap<number, WorkerReport | null>,
  isShared: boolean,
): readonly OrderedRegion[] {
  const byName = new Map<string, OrderedRegion[]>()
  for (const report of reports.values()) {
    for (const region of report?.regions ?? []) {
      byName.set(region.region, [...(byName.get(region.region) ?? []), region])
    }
  }
  const add = isShared ? largestOf : sumOf
  return [...byName].map(([region, each]) => {
    return {
      region,
      breaker: BY_SEVERITY.find(state => each.some(({ breaker }) => breaker === state)) ?? 'closed',
      draining: each.every(({ draining }) => draining),
      streams: add(each.map(({ streams }) => streams)),
      scope: BY_DOUBT.find(scope => each.some(report => report.scope === scope)) ?? 'relay',
      streamLimit: add(each.map(({ streamLimit }) => streamLimit)),
    }
  })
}

function largestOf(values: readonly number[]): number {
  return Math.max(...values)
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0)
}
