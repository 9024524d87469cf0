/**
 * One row, one figure: CPU time a call, by mitata.
 *
 * CPU time of the whole process instead of time on the wall: other processes of the machine do not count, the helper
 * threads of the garbage collector do. It has a resolution of 1 µs, so calls are measured in batches of
 * milliseconds. The mean over all batches, because what a call leaves to the garbage collector is paid now and then,
 * and a median of batches would leave it out.
 */
import { do_not_optimize, measure } from 'mitata'

export interface Contender {
  /** What is timed. Returns what it made, so that nothing of it can be optimized away. */
  readonly run: () => unknown
  /** Throws when the answer is wrong: a row that does other work is no comparison. */
  readonly check: () => void | Promise<void>
  /** The same, once it was timed: whether all the calls did what the first one did. */
  readonly checkAfter?: () => void
}

export interface Budget {
  readonly warmUpMs: number
  readonly measureMs: number
  readonly batchMs: number
}

export const FULL_BUDGET: Budget = { warmUpMs: 200, measureMs: 400, batchMs: 2 }
export const SMOKE_BUDGET: Budget = { warmUpMs: 2, measureMs: 2, batchMs: 0.2 }

/** mitata unrolls its loop by as many calls. */
const UNROLL = 4
const MAX_BATCH_CALLS = 1 << 20

/** CPU nanoseconds a call. */
export async function measureCall({ run }: Contender, budget: Budget): Promise<number> {
  const callNs = await warmUp(run, budget.warmUpMs * 1e6)
  const batchCalls = Math.ceil((budget.batchMs * 1e6) / callNs / UNROLL) * UNROLL
  const { avg } = await measure(isAsync(run) ? run : () => do_not_optimize(run()), {
    now: cpuNs,
    min_cpu_time: budget.measureMs * 1e6,
    batch_unroll: UNROLL,
    batch_samples: Math.min(batchCalls, MAX_BATCH_CALLS),
    // The first calls after a warm-up may still be slow, and would be taken for what the row is like.
    warmup_samples: 10,
  })
  return avg
}

function isAsync(run: () => unknown): run is () => Promise<unknown> {
  return run() instanceof Promise
}

/** Calls until the compiler is done with it; returns about how long a call takes. */
async function warmUp(run: () => unknown, untilNs: number): Promise<number> {
  let calls = 0
  let passedNs = 0
  const startNs = cpuNs()
  while (passedNs < untilNs) {
    for (let call = 0; call < 100; call += 1) {
      const made = run()
      if (made instanceof Promise) await made
      else do_not_optimize(made)
    }
    calls += 100
    passedNs = cpuNs() - startNs
  }
  return passedNs / calls
}

function cpuNs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1000
}
