/** What a process uses: its own view (microseconds of CPU), and the kernel's of any process (ticks). */
import { readFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

export interface Usage {
  /** User and system time of all threads since the start. */
  readonly cpuMicros: number
  /** Of it in the kernel. */
  readonly systemMicros: number
  readonly rssBytes: number
  /** Time that the event loop was late, since the last question. */
  readonly loopDelayP99Ms: number
  readonly loopDelayMaxMs: number
}

const LOOP_RESOLUTION_MS = 20
/** Linux counts CPU in hundredths of a second. */
const TICK_MICROS = 10_000
const RSS_PAGE_BYTES = 4096

/** Starts watching the event loop of this process, and returns the question. */
export function watchUsage(): () => Usage {
  const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS })
  loop.enable()
  return () => {
    const { user, system } = process.cpuUsage()
    const usage = {
      cpuMicros: user + system,
      systemMicros: system,
      rssBytes: process.memoryUsage.rss(),
      loopDelayP99Ms: Math.max(0, loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS),
      loopDelayMaxMs: Math.max(0, loop.max / 1e6 - LOOP_RESOLUTION_MS),
    }
    loop.reset()
    return usage
  }
}

/** The kernel's figures of a process on this machine, or `null` when there is none to see. */
export function readProcess(pid: number): { readonly cpuMicros: number; readonly rssBytes: number } | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name may hold anything but ends with the last bracket; user and system time are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const ticks = Number(fields[11]) + Number(fields[12])
    const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1])
    return { cpuMicros: ticks * TICK_MICROS, rssBytes: pages * RSS_PAGE_BYTES }
  } catch {
    return null
  }
}
