/**
 * Two processes of one relay as a client sees them: a session that one has, and the other does not. Who answers is
 * decided by the test and not by the kernel.
 */
import { createRelayName } from '../../src/session/resume-token.ts'
import { CuttingProxy } from './cutting-proxy.ts'
import { startWorld, type Closing, type World, type WorldOptions } from './world.ts'

export interface WorkerPair {
  /** In front of both; leads to the first. */
  readonly proxy: CuttingProxy
  readonly first: World
  readonly second: World
}

export async function startWorkerPair(t: Closing, options: WorldOptions = {}): Promise<WorkerPair> {
  const relay = createRelayName()
  const start = (process: number): Promise<World> =>
    startWorld(t, { ...options, dependencies: { ...options.dependencies, resumeOrigin: { relay, process } } })
  const [first, second] = [await start(1), await start(2)]
  return { first, second, proxy: await CuttingProxy.start(t, first.port) }
}
