/**
 * The loads of this process that decide over new sessions: how they are measured, and against what.
 */
import { readdir } from 'node:fs/promises'
import { totalmem } from 'node:os'
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { readOpenFileLimit } from '../server/file-limit.ts'
import { AdmissionGate, SAMPLE_MS, type LoadProbe } from '../session/admission-gate.ts'
import { LoopLag } from '../session/loop-lag.ts'

const OPEN_FILES_FOLDER = '/proc/self/fd'
/** The list of open files is as long as there are sessions, so it is not read with every sample. */
const FILES_INTERVAL_MS = 1000

export function createAdmission(options: RelayOptions, clock: Clock, logger: Logger): AdmissionGate {
  const { maxSessions } = options
  return new AdmissionGate({
    clock,
    maxSessions,
    probes: [lagProbe(options), memoryProbe(options), filesProbe(options)],
    onChange: (reason, isClosed, load) => {
      const value = Math.round(load * 1000) / 1000
      if (isClosed) logger.warn('new sessions refused', { reason, value })
      else logger.info('new sessions let in again', { reason, value })
    },
  })
}

function lagProbe({ overloadLagMs, overloadLagRecoveryMs }: RelayOptions): LoadProbe {
  const lag = new LoopLag(SAMPLE_MS)
  return {
    reason: 'lag',
    closeAt: overloadLagMs,
    openBelow: overloadLagRecoveryMs,
    read: nowMs => lag.measure(nowMs),
  }
}

/** Of the whole process: sockets, TLS and audio are outside of the heap of JavaScript. */
function memoryProbe(options: RelayOptions): LoadProbe {
  const { overloadMemoryRatio, overloadMemoryRecoveryRatio } = options
  const limitBytes = memoryLimit(options.memoryLimitBytes)
  return {
    reason: 'memory',
    closeAt: overloadMemoryRatio,
    openBelow: overloadMemoryRecoveryRatio,
    read: () => process.memoryUsage.rss() / limitBytes,
  }
}

/**
 * Bytes that the processes of this relay may use together. `givenBytes` is the option, 0 when it is not set: then the
 * limit of the control group (both versions), or the memory of the machine where there is none.
 */
export function memoryLimit(
  givenBytes: number,
  constrainedBytes: number | undefined = process.constrainedMemory(),
  totalBytes: number = totalmem(),
): number {
  if (givenBytes > 0) return givenBytes
  // Without a limit Node says 0, nothing, or a number beyond every machine.
  if (constrainedBytes === undefined || constrainedBytes <= 0) return totalBytes
  return Math.min(constrainedBytes, totalBytes)
}

function filesProbe({ overloadFilesRatio, overloadFilesRecoveryRatio }: RelayOptions): LoadProbe {
  const limit = readOpenFileLimit()
  const files = new OpenFiles()
  return {
    reason: 'files',
    closeAt: overloadFilesRatio,
    openBelow: overloadFilesRecoveryRatio,
    read(nowMs) {
      const count = files.count(nowMs)
      return count === null || limit === null ? null : count / limit
    },
  }
}

/** How many files this process has open, as of a second ago; `null` where the system does not say. */
export class OpenFiles {
  readonly #folder: string
  #count: number | null = null
  #readAtMs = -Infinity

  constructor(folder: string = OPEN_FILES_FOLDER) {
    this.#folder = folder
  }

  count(nowMs: number): number | null {
    if (nowMs - this.#readAtMs >= FILES_INTERVAL_MS) {
      this.#readAtMs = nowMs
      void this.refresh()
    }
    return this.#count
  }

  async refresh(): Promise<void> {
    try {
      const names = await readdir(this.#folder)
      // The folder itself is open while it is read.
      this.#count = names.length - 1
    } catch {
      // Not Linux, or not one descriptor left to look with: the last count stands.
    }
  }
}
