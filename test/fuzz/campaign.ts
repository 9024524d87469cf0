/**
 * Runs a target in a thread of its own and watches it: an input that throws, or takes longer than a second, is a finding.
 * The thread writes down each input before it tries it, so that one that never returns is known.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

export const CORPUS_FOLDER = fileURLToPath(new URL('corpus/', import.meta.url))
const TARGETS_MODULE = new URL('targets.ts', import.meta.url).href

/** A thread does not inherit the loader of TypeScript (Node.js 20), so it is told to take it. */
const WORKER_CODE = `import('tsx/esm/api').then(({ register }) => {
  register()
  return import(${JSON.stringify(new URL('fuzz-worker.ts', import.meta.url).href)})
})`
const DEFAULT_HANG_MS = 1000
const LOOK_INTERVAL_MS = 100
const MAX_RESIDENT_BYTES = 512 * 1024 * 1024

/** Shared with the thread: words of 32 bits, then the bytes of the input. */
export const SHARED = { countWord: 0, lengthWord: 1, inputOffset: 8, maxInputBytes: 64 * 1024 } as const

export interface CampaignOptions {
  readonly target: string
  /** Where `TARGETS` is. Default: those of the relay. */
  readonly module?: string
  readonly corpus: readonly Buffer[]
  readonly seed: number
  /** Whichever comes first ends it. */
  readonly maxInputs: number
  readonly maxMs: number
  /** An input may take so much processor time. Default 1000. */
  readonly hangMs?: number
}

export interface Finding {
  readonly kind: 'crash' | 'hang' | 'memory'
  readonly message: string
  readonly input: Buffer
}

export interface CampaignResult {
  readonly inputs: number
  readonly seconds: number
  /** Highest resident memory seen, of the whole process. */
  readonly residentBytes: number
  readonly finding: Finding | null
}

export interface WorkerTask extends Omit<CampaignOptions, 'corpus'> {
  readonly module: string
  readonly corpus: readonly Uint8Array[]
  readonly shared: SharedArrayBuffer
}

export type WorkerNews = { readonly done: true } | { readonly crash: string }

/** Every file of a target's folder. */
export function readCorpus(target: string): readonly Buffer[] {
  const folder = join(CORPUS_FOLDER, target)
  return readdirSync(folder)
    .toSorted()
    .map(name => readFileSync(join(folder, name)))
}

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const shared = new SharedArrayBuffer(SHARED.inputOffset + SHARED.maxInputBytes)
  const words = new Int32Array(shared, 0, 2)
  const task: WorkerTask = { module: TARGETS_MODULE, ...options, shared }
  const { hangMs = DEFAULT_HANG_MS } = options
  const startedMs = performance.now()
  const worker = new Worker(WORKER_CODE, { eval: true, workerData: task })
  let residentBytes = 0
  const count = (): number => Atomics.load(words, SHARED.countWord)
  const input = (): Buffer =>
    Buffer.from(new Uint8Array(shared, SHARED.inputOffset, Atomics.load(words, SHARED.lengthWord)).slice())
  const finding = await new Promise<Finding | null>((resolve, reject) => {
    let lastCount = 0
    let lastCpu = process.cpuUsage()
    const watch = setInterval(() => {
      residentBytes = Math.max(residentBytes, process.memoryUsage.rss())
      // Of this process, and not by the clock: on a busy machine the thread may have to wait.
      const { system, user } = process.cpuUsage(lastCpu)
      const isLate = (system + user) / 1000 > hangMs && lastCount > 0
      if (count() !== lastCount) {
        lastCount = count()
        lastCpu = process.cpuUsage()
      } else if (isLate) {
        end({ kind: 'hang', message: `no answer within ${hangMs} ms of processor time`, input: input() })
      }
      if (residentBytes > MAX_RESIDENT_BYTES)
        end({ kind: 'memory', message: `${residentBytes} bytes`, input: input() })
    }, LOOK_INTERVAL_MS)
    const end = (found: Finding | null): void => {
      clearInterval(watch)
      resolve(found)
    }
    worker.once('message', (news: WorkerNews) =>
      end('done' in news ? null : { kind: 'crash', message: news.crash, input: input() }),
    )
    worker.once('error', reject)
  })
  await worker.terminate()
  return { inputs: count(), seconds: (performance.now() - startedMs) / 1000, residentBytes, finding }
}
