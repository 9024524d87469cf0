/** A bench with a row that is quick, and wrong. */
import { equal } from 'node:assert/strict'
import { runMicroBench } from '../../bench/micro/micro-bench.ts'

const sum = (what: number) => ({ run: () => what, check: () => equal(what, 4) })

await runMicroBench(
  {
    name: 'wrong-answer',
    title: 'Sums',
    method: [],
    misleads: [],
    groups: [
      {
        id: 'sums',
        title: 'Two and two',
        text: [],
        charts: [],
        reference: 'right',
        rows: [
          { subject: 'right', dimensions: { run: 1 }, prepare: () => sum(4) },
          { subject: 'wrong', dimensions: { run: 1 }, prepare: () => sum(5) },
        ],
      },
    ],
    bars: () => [],
  },
  import.meta.url,
)
