/** What the kernel says another process uses. */
import { readFileSync } from 'node:fs'

/** Linux reports processor time to processes in hundredths of a second, whatever the kernel counts in. */
const TICKS_PER_SECOND = 100

export interface ProcessUsage {
  /** Of all threads, user and system. */
  readonly cpuSeconds: number
  readonly residentMiB: number
  readonly peakResidentMiB: number
}

export function usageOf(pid: number): ProcessUsage {
  // The name of the process, in parentheses, may hold anything; what is counted stands behind it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ')
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  const kibibytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1])
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    residentMiB: Math.round(kibibytes('VmRSS') / 1024),
    peakResidentMiB: Math.round(kibibytes('VmHWM') / 1024),
  }
}
