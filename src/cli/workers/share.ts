/**
 * How many workers there are, and what part of the relay's limits each of them gets.
 */
import type { RelayOptions } from '../../config/options.ts'
import { OPTIONS } from '../../config/options.ts'

/** `auto` is one a core, as far as there are sessions for them. */
export function countWorkers({ workers, maxSessions }: RelayOptions, cores: number): number {
  if (workers !== 'auto') return workers
  return Math.max(1, Math.min(cores, maxSessions, OPTIONS.workers.max))
}

/**
 * The options of each worker: its share of `maxSessions` (the remainder goes to the first), of the memory and of the queue,
 * and nothing to divide. Quotas are not among them: a worker knows among how many processes its relay divides its part.
 */
export function divideOptions(
  options: RelayOptions,
  workers: number,
  memoryBytes: number,
): readonly RelayOptions[] {
  const share = Math.floor(options.maxSessions / workers)
  const remainder = options.maxSessions % workers
  return Array.from({ length: workers }, (_, index) => ({
    ...options,
    workers: 1,
    memoryLimitBytes: Math.floor(memoryBytes / workers),
    startQueueLength: Math.ceil(options.startQueueLength / workers),
    maxSessions: share + (index < remainder ? 1 : 0),
  }))
}
