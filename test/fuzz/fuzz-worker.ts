/** The thread of `campaign.ts`: first the corpus as it is, then what becomes of it. Not to be run by itself. */
import { parentPort, workerData } from 'node:worker_threads'
import { createRandom } from '../support/random.ts'
import type { WorkerNews, WorkerTask } from './campaign.ts'
import { SHARED } from './campaign.ts'
import { below, mutate } from './mutations.ts'
import type { FuzzTarget } from './targets.ts'

/** Inputs that grow from the corpus and are kept for a while, so that steps add up. */
const MAX_POOL = 4096
const CLOCK_EVERY = 256

const task = workerData as WorkerTask
const { TARGETS } = (await import(task.module)) as { readonly TARGETS: Readonly<Record<string, FuzzTarget>> }
const target = TARGETS[task.target]
if (target === undefined) throw new Error(`there is no target ${task.target}`)
// Most inputs end in an error, and most of the cost of an error is its stack.
Error.stackTraceLimit = 0
tell(runAll(target))

function runAll({ maxBytes, repair, run, words }: FuzzTarget): WorkerNews {
  const counters = new Int32Array(task.shared, 0, 2)
  const inputBytes = new Uint8Array(task.shared, SHARED.inputOffset)
  const random = createRandom(task.seed)
  const dictionary = words.map(word => Buffer.from(word, 'latin1'))
  const pool: Buffer[] = task.corpus.map(bytes => Buffer.from(bytes))
  const corpusSize = pool.length
  const endMs = performance.now() + task.maxMs
  for (let count = 0; count < task.maxInputs; count += 1) {
    if (count % CLOCK_EVERY === 0 && performance.now() > endMs) break
    const seedInput = pool[below(random, pool.length)] ?? Buffer.alloc(0)
    const other = pool[below(random, pool.length)] ?? Buffer.alloc(0)
    const input =
      count < corpusSize
        ? Buffer.from(pool[count] ?? [])
        : mutate(seedInput, { random, maxBytes, words: dictionary, other })
    if (count >= corpusSize && repair !== undefined && random() < 0.7) repair(input)
    inputBytes.set(input)
    Atomics.store(counters, SHARED.lengthWord, input.length)
    Atomics.store(counters, SHARED.countWord, count + 1)
    try {
      run(input)
    } catch {
      return { crash: describeCrash(run, input) }
    }
    if (random() < 0.02)
      pool[pool.length < MAX_POOL ? pool.length : corpusSize + below(random, MAX_POOL - corpusSize)] = input
  }
  return { done: true }
}

/** Once more, with the stack that was left out for speed. */
function describeCrash(run: FuzzTarget['run'], input: Buffer): string {
  Error.stackTraceLimit = 20
  try {
    run(input)
    return 'it does not happen again'
  } catch (error) {
    return error instanceof Error ? String(error.stack) : String(error)
  }
}

function tell(news: WorkerNews): void {
  // A thread's port has no origin.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(news)
}
