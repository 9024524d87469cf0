/** What the kernel knows of this process: open sockets and memory. It tells nobody of changes, so who waits looks often. */
import { readdirSync, readlinkSync } from 'node:fs'

const LOOK_INTERVAL_MS = 5
const LOOK_LIMIT_MS = 10_000

/** Sockets that the process has open, listening ones included. */
export function countSockets(): number {
  return readdirSync('/proc/self/fd').filter(isSocket).length
}

/** Waits until there are at most `most`, ten seconds at the longest. Resolves with how many are too many then. */
export async function surplusSockets(most: number): Promise<number> {
  const startedMs = performance.now()
  let count = countSockets()
  while (count > most && performance.now() - startedMs < LOOK_LIMIT_MS) {
    await new Promise(resolve => setTimeout(resolve, LOOK_INTERVAL_MS))
    count = countSockets()
  }
  return Math.max(0, count - most)
}

function isSocket(descriptor: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:')
  } catch {
    // Closed since it was listed.
    return false
  }
}
