/**
 * The life of a command that serves: it starts, runs until somebody stops it or it breaks, then ends in order.
 *
 * | what happens                            | what is done                       | exit code  |
 * | --------------------------------------- | ---------------------------------- | ---------- |
 * | SIGTERM or SIGINT                       | drain; while it starts: after that | 0          |
 * | another one before the drain is over    | close at once                      | 143 or 130 |
 * | uncaught exception, unhandled rejection | report, drain                      | 1          |
 * | the drain fails                         | report                             | 1          |
 *
 * The first signal into the drain of a crash is the first: a supervisor sends one, and cannot know of the crash.
 *
 * Signals are listened to before anything starts: a supervisor may stop a process as soon as it says that it runs.
 */
import type { Clock } from '../clock.ts'
import type { ProcessEvents } from './command.ts'
import type { StopSignal } from './exit-codes.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK } from './exit-codes.ts'

export interface Service {
  /** Ends in order, within a time that the service bounds. Rejects when it has ended, but not in order. */
  drain(): Promise<void>
  /** Ends now. */
  close(): Promise<void>
  /** For the log. */
  serviceOnStop(signal: StopSignal): void
  serviceOnCrash(error: unknown): void
}

export interface ServiceContext {
  readonly events: ProcessEvents
  readonly clock: Clock
}

/** Ours: a forced end does not wait longer for sockets to close. */
const FORCED_CLOSE_MS = 2000

/** Resolves with the exit code once the service has ended. Rejects with what `start` throws, or with a crash in it. */
export function runService(start: () => Promise<Service>, context: ServiceContext): Promise<number> {
  return new Promise((resolve, reject) => {
    new ServiceRun(context, resolve, reject).begin(start)
  })
}

class ServiceRun {
  readonly #clock: Clock
  readonly #resolve: (exitCode: number) => void
  readonly #reject: (error: unknown) => void
  readonly #releases: readonly (() => void)[]
  /** `null` while it starts. */
  #service: Service | null = null
  /** The signal that came first. */
  #stopSignal: StopSignal | null = null
  #isDraining = false
  /** From here on the end of the drain, which a close brings about, is no success. */
  #isForced = false
  #hasCrashed = false

  constructor(
    { events, clock }: ServiceContext,
    resolve: (exitCode: number) => void,
    reject: (error: unknown) => void,
  ) {
    this.#clock = clock
    this.#resolve = resolve
    this.#reject = reject
    this.#releases = [
      events.onStopSignal(signal => this.#processOnSignal(signal)),
      events.onCrash(error => this.#processOnCrash(error)),
    ]
  }

  begin(start: () => Promise<Service>): void {
    start().then(
      service => this.#startOnDone(service),
      (error: unknown) => this.#abandon(error),
    )
  }

  #startOnDone(service: Service): void {
    this.#service = service
    if (this.#stopSignal !== null) this.#stop(service, this.#stopSignal)
  }

  #processOnSignal(signal: StopSignal): void {
    const isSecond = this.#stopSignal !== null
    this.#stopSignal ??= signal
    if (isSecond) this.#force(signal)
    else if (this.#service !== null) this.#stop(this.#service, signal)
  }

  #processOnCrash(error: unknown): void {
    if (this.#service === null) {
      this.#abandon(error)
      return
    }
    this.#hasCrashed = true
    this.#service.serviceOnCrash(error)
    if (!this.#isDraining) this.#drain(this.#service, EXIT_FAILURE)
  }

  #stop(service: Service, signal: StopSignal): void {
    service.serviceOnStop(signal)
    if (!this.#isDraining) this.#drain(service, EXIT_OK)
  }

  #drain(service: Service, exitCode: number): void {
    this.#isDraining = true
    service.drain().then(
      () => this.#drainOnDone(exitCode),
      (error: unknown) => {
        service.serviceOnCrash(error)
        this.#drainOnDone(EXIT_FAILURE)
      },
    )
  }

  #drainOnDone(exitCode: number): void {
    if (!this.#isForced) this.#finish(this.#hasCrashed ? EXIT_FAILURE : exitCode)
  }

  #force(signal: StopSignal): void {
    this.#isForced = true
    const service = this.#service
    if (service === null) {
      this.#finish(EXIT_FORCED[signal])
      return
    }
    const end = (): void => {
      timer.cancel()
      this.#finish(EXIT_FORCED[signal])
    }
    const timer = this.#clock.setTimer(FORCED_CLOSE_MS, end)
    service.close().then(end, (error: unknown) => {
      service.serviceOnCrash(error)
      end()
    })
  }

  #finish(exitCode: number): void {
    this.#release()
    this.#resolve(exitCode)
  }

  #abandon(error: unknown): void {
    this.#release()
    this.#reject(error)
  }

  #release(): void {
    for (const release of this.#releases) release()
  }
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
