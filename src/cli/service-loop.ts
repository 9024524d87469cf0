/**
 * The life of a command that serves: it runs until somebody stops it or it breaks, then ends in order.
 *
 * | what happens                          | what is done        | exit code  |
 * | ------------------------------------- | ------------------- | ---------- |
 * | SIGTERM or SIGINT                     | drain               | 0          |
 * | another one while it drains           | close at once       | 143 or 130 |
 * | uncaught exception, unhandled rejection | report, drain     | 1          |
 */
import type { Clock } from '../clock.ts'
import type { ProcessEvents } from './command.ts'
import type { StopSignal } from './exit-codes.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK } from './exit-codes.ts'

export interface Service {
  /** Ends in order, within a time that the service bounds. */
  drain(): Promise<void>
  /** Ends now. */
  close(): Promise<void>
}

export interface ServiceReports {
  serviceOnStop(signal: StopSignal): void
  serviceOnCrash(error: unknown): void
}

/** Ours: a forced end does not wait longer for sockets to close. */
const FORCED_CLOSE_MS = 2000

/** Resolves with the exit code once the service has ended. */
export function runUntilStopped(
  service: Service,
  reports: ServiceReports,
  { events, clock }: { readonly events: ProcessEvents; readonly clock: Clock },
): Promise<number> {
  return new Promise(resolve => {
    let isStopping = false
    const finish = (exitCode: number): void => {
      releaseSignals()
      releaseCrashes()
      resolve(exitCode)
    }
    const drain = (exitCode: number): void => {
      isStopping = true
      service.drain().then(
        () => finish(exitCode),
        (error: unknown) => {
          reports.serviceOnCrash(error)
          finish(EXIT_FAILURE)
        },
      )
    }
    const force = (signal: StopSignal): void => {
      const end = (): void => {
        timer.cancel()
        finish(EXIT_FORCED[signal])
      }
      const timer = clock.setTimer(FORCED_CLOSE_MS, end)
      service.close().then(end, (error: unknown) => {
        reports.serviceOnCrash(error)
        end()
      })
    }
    const releaseSignals = events.onStopSignal(signal => {
      if (isStopping) return force(signal)
      reports.serviceOnStop(signal)
      return drain(EXIT_OK)
    })
    const releaseCrashes = events.onCrash(error => {
      reports.serviceOnCrash(error)
      if (!isStopping) drain(EXIT_FAILURE)
    })
  })
}

/** A port in use or not allowed, in one line; `null` for any other error. */
export function describeListenFailure(error: unknown, what: string): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  switch (error.code) {
    case 'EADDRINUSE':
      return `${what} is in use by another process`
    case 'EACCES':
      return `${what} may not be opened by this user (ports below 1024 need a right of their own)`
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `${what} is no address of this machine`
    default:
      return null
  }
}
