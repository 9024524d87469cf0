/**
 * How many sessions the limit of open files allows. When descriptors run out the native library spins on accept and
 * nothing is logged, so the cap is computed and checked before the port is opened.
 */
import { readFileSync } from 'node:fs'

/** A session has two sockets: client and upstream. */
const FILES_PER_SESSION = 2
/** Everything else a process opens: listen sockets, logs, credential files, connections that are being refused. */
const RESERVED_FILES = 256

/** The most that the option of the server takes. */
const MAX_CONNECTIONS = 1_000_000

const LIMITS_FILE = '/proc/self/limits'

/** Soft limit of open files of this process; `null` where the system does not say (not Linux) or has none. */
export function readOpenFileLimit(limitsFile: string = LIMITS_FILE): number | null {
  let limits: string
  try {
    limits = readFileSync(limitsFile, 'utf8')
  } catch {
    // No such file outside Linux: there is nothing to compare with.
    return null
  }
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? null : Number(soft)
}

/** Most sessions that a limit of open files carries. */
export function sessionCapacity(openFileLimit: number): number {
  return Math.max(0, Math.floor((openFileLimit - RESERVED_FILES) / FILES_PER_SESSION))
}

/**
 * Most connections of clients: what is left beside the streams of so many sessions. Those that are no session yet, or never
 * will be, may not take the descriptors of those that are.
 */
export function connectionCapacity(
  maxSessions: number,
  openFileLimit: number | null = readOpenFileLimit(),
): number | null {
  if (openFileLimit === null) return null
  return Math.min(MAX_CONNECTIONS, Math.max(1, openFileLimit - RESERVED_FILES / 2 - maxSessions))
}

/** What is wrong with so many sessions in so many processes like this one, as a rule; `null`: nothing. */
export function openFilesRule(
  maxSessions: number,
  processes: number,
  openFileLimit: number | null = readOpenFileLimit(),
): string | null {
  if (openFileLimit === null) return null
  const capacity = sessionCapacity(openFileLimit) * processes
  if (maxSessions <= capacity) return null
  const among = processes === 1 ? '' : ` with ${processes} workers`
  return `must be at most ${capacity}${among}: the limit of open files is ${openFileLimit}, and each session takes two`
}
