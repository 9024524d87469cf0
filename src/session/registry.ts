/**
 * All sessions of a process: lets them in, ticks them, drains them. The one timer of the session layer is here.
 */
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ClientAccess, SessionHost, SessionRequest } from './host.ts'
import type { ClientListener, ClientPort } from './ports.ts'
import { Session, type SessionDependencies } from './session.ts'

export interface RegistryOptions {
  readonly maxSessions: number
  readonly tickMs: number
  /** How long after the announcement of a drain the last client should reconnect. */
  readonly reconnectSpreadMs: number
}

export interface RegistryDependencies extends Omit<SessionDependencies, 'onClosed'> {
  readonly clock: Clock
  /** `null`: sessions may start. Else what is missing (credentials). */
  readonly readiness: () => RelayError | null
}

/** Bytes waiting in all sessions: their sum and the largest. */
export interface BufferedBytes {
  readonly sum: number
  readonly max: number
}

export class SessionRegistry implements SessionHost {
  readonly #options: RegistryOptions
  readonly #deps: RegistryDependencies
  readonly #sessionDeps: SessionDependencies
  readonly #sessions = new Map<Session, ClientAccess | null>()
  readonly #emptyWaiters: (() => void)[] = []
  #ticker: Timer | null
  #isDraining = false

  constructor(options: RegistryOptions, deps: RegistryDependencies) {
    this.#options = options
    this.#deps = deps
    this.#sessionDeps = { ...deps, onClosed: session => this.#sessionOnClosed(session) }
    this.#ticker = deps.clock.setTicker(options.tickMs, () => this.tick())
  }

  get activeCount(): number {
    return this.#sessions.size
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  admit(): RelayError | null {
    if (this.#isDraining) return new RelayError('draining')
    if (this.#sessions.size >= this.#options.maxSessions) return new RelayError('overloaded')
    return this.#deps.readiness()
  }

  open(client: ClientPort, request: SessionRequest): ClientListener {
    const session = new Session(request, client, this.#sessionDeps)
    this.#sessions.set(session, request.access ?? null)
    session.start()
    // It was let in before the drain and opened after it.
    if (this.#isDraining) this.#announceDrain(session)
    return session
  }

  tick(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    for (const [session, access] of this.#sessions) {
      session.tick(nowMs)
      const overrun = access?.endOf(nowMs) ?? null
      if (overrun !== null) session.finishWith(overrun)
      const warning = access?.takeWarning() ?? null
      if (warning !== null) session.warn(warning)
    }
  }

  buffered(side: 'client' | 'upstream'): BufferedBytes {
    let sum = 0
    let max = 0
    for (const session of this.#sessions.keys()) {
      const bytes = side === 'client' ? session.clientBufferedBytes : session.upstreamBufferedBytes
      sum += bytes
      if (bytes > max) max = bytes
    }
    return { sum, max }
  }

  /** Lets nobody in any more and tells every client to move on. Sessions go on. */
  announceDrain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    for (const session of this.#sessions.keys()) this.#announceDrain(session)
  }

  /** Ends the audio of every session; each delivers its finals and closes with 1012. */
  finishAll(): void {
    for (const session of this.#sessions.keys()) session.finishWith('drain_deadline')
  }

  /** Ends every session now, with 1012. */
  abortAll(): void {
    for (const session of this.#sessions.keys()) session.abort('drain_deadline')
  }

  /** Resolves when no session is left. */
  async whenEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return
    await new Promise<void>(resolve => this.#emptyWaiters.push(resolve))
  }

  /** Stops the ticker; for the end of the process. */
  close(): void {
    this.#ticker?.cancel()
    this.#ticker = null
  }

  #announceDrain(session: Session): void {
    session.announceDrain(this.#deps.random() * this.#options.reconnectSpreadMs)
  }

  #sessionOnClosed(session: Session): void {
    this.#sessions.delete(session)
    if (this.#sessions.size === 0) for (const resolve of this.#emptyWaiters.splice(0)) resolve()
  }
}
