/** Targets that are broken on purpose, for the test of the fuzzer itself. Like `targets.ts`. */
import type { FuzzTarget } from './targets.ts'

const base = { maxBytes: 16, words: ['x'] } as const

export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  crash: {
    ...base,
    run: input => {
      if (input.includes('x')) throw new TypeError('crash on x')
    },
  },
  hang: {
    ...base,
    run: input => {
      while (input.includes('x'));
    },
  },
  fine: { ...base, run: () => {} },
}
