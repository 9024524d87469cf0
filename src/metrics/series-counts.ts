/**
 * The counts of a counter with labels: one number for each combination of its closed lists. Counting is one look-up
 * and one addition, without a label object; an unknown combination is counted as `other`, so that there is never a new
 * series.
 */
import type { Labels } from './definitions.ts'
import { OTHER } from './definitions.ts'

export class SeriesCounts {
  readonly #series: readonly Labels[]
  readonly #counts: number[]
  readonly #indexes: ReadonlyMap<string, number>

  constructor(series: readonly Labels[]) {
    this.#series = series
    this.#counts = series.map(() => 0)
    this.#indexes = new Map(series.map((labels, index) => [keyOf(Object.values(labels)), index]))
  }

  /** `values` in the order of the labels. */
  count(...values: readonly string[]): void {
    const index =
      this.#indexes.get(keyOf(values)) ?? this.#indexes.get(keyOf([...values.slice(0, -1), OTHER]))
    if (index !== undefined) this.#counts[index] = (this.#counts[index] ?? 0) + 1
  }

  *[Symbol.iterator](): Generator<readonly [Labels, number]> {
    for (const [index, labels] of this.#series.entries()) yield [labels, this.#counts[index] ?? 0]
  }
}

function keyOf(values: readonly string[]): string {
  return values.join(' ')
}
