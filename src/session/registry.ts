/**
 * All sessions of a process: lets them in, ticks them, drains them. The one timer of the session layer is here.
 */
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { AdmissionGate } from './admission-gate.ts'
import { createFrameMemory } from './frame-memory.ts'
import type { ClientAccess, ResumeClaim, Resumption, SessionHost, SessionRequest } from './host.ts'
import type { ClientListener, ClientPort } from './ports.ts'
import { ResumeDesk } from './resume-desk.ts'
import type { ResumeOrigin } from './resume-token.ts'
import { Session, type SessionDependencies } from './session.ts'

export interface RegistryOptions {
  /** Most sessions whose last words are kept; how many may be open is the gate's. */
  readonly maxSessions: number
  readonly tickMs: number
  /** How long after the announcement of a drain the last client should reconnect. */
  readonly reconnectSpreadMs: number
}

export interface RegistryDependencies extends Omit<SessionDependencies, 'onClosed' | 'frameMemory'> {
  readonly clock: Clock
  /** `null`: sessions may start. Else what is missing (credentials). */
  readonly readiness: () => RelayError | null
  /** Own memory unless given. */
  readonly frameMemory?: RecycledBuffers
  readonly gate: AdmissionGate
  /** In the tokens of sessions that can be resumed. */
  readonly origin: ResumeOrigin
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
  /** When each session is ended, monotonic ms; empty before the deadline of a drain. */
  readonly #finishAtMs = new Map<Session, number>()
  readonly #desk: ResumeDesk
  #ticker: Timer | null
  #isDraining = false
  #isPastDeadline = false

  constructor(options: RegistryOptions, deps: RegistryDependencies) {
    this.#options = options
    this.#deps = deps
    const frameMemory = deps.frameMemory ?? createFrameMemory()
    this.#sessionDeps = { ...deps, frameMemory, onClosed: session => this.#sessionOnClosed(session) }
    const { clock, limits, metrics, origin } = deps
    this.#desk = new ResumeDesk({ clock, limits, metrics, origin, maxSessions: options.maxSessions })
    this.#ticker = deps.clock.setTicker(options.tickMs, () => this.tick())
  }

  get activeCount(): number {
    return this.#sessions.size
  }

  /** Sessions whose client is away, and may come back. */
  get awayCount(): number {
    return this.#desk.awayCount
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  admit(): RelayError | null {
    if (this.#isDraining) return new RelayError('draining')
    const reason = this.#deps.gate.refuse(this.#sessions.size)
    if (reason !== null) return new RelayError('overloaded', { detail: reason })
    return this.#deps.readiness()
  }

  open(client: ClientPort, request: SessionRequest): ClientListener {
    const { kept } = request
    if (kept === undefined) {
      const session = new Session(request, client, this.#sessionDeps)
      this.#start(session, request)
      return session
    }
    const resumable = this.#desk.open(request, kept)
    const session = new Session(request, resumable, this.#sessionDeps)
    const listener = resumable.begin(client, session)
    this.#start(session, request)
    return listener
  }

  findResumable(claim: ResumeClaim): Resumption {
    return this.#desk.find(claim)
  }

  tick(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#finishDue(nowMs)
    // Not `for … of`: that makes a pair for every session and tick.
    this.#sessions.forEach((access, session) => tickSession(session, access, nowMs))
    this.#desk.tick(nowMs)
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
    this.#desk.announceDrain()
  }

  /**
   * Ends the audio of every session, each at a moment of its own within `spreadMs`; each delivers its finals and closes
   * with 1012. The window is cut into as many slots as there are sessions, and chance decides within a slot only: all at
   * random would leave gaps and heaps.
   */
  finishAll(spreadMs: number): void {
    this.#isPastDeadline = true
    const { clock, random } = this.#deps
    const nowMs = clock.monotonicMs()
    const slotMs = spreadMs / this.#sessions.size
    let slot = 0
    for (const session of this.#sessions.keys()) {
      this.#finishAtMs.set(session, nowMs + (slot + random()) * slotMs)
      slot += 1
    }
    this.#finishDue(nowMs)
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

  #start(session: Session, { access }: SessionRequest): void {
    this.#sessions.set(session, access ?? null)
    session.start()
    // It was let in before the drain and opened after it.
    if (this.#isDraining) this.#announceDrain(session)
    if (this.#isPastDeadline) session.finishWith('drain_deadline')
  }

  #announceDrain(session: Session): void {
    session.announceDrain(this.#deps.random() * this.#options.reconnectSpreadMs)
  }

  #finishDue(nowMs: number): void {
    for (const [session, atMs] of this.#finishAtMs) {
      if (nowMs < atMs) continue
      this.#finishAtMs.delete(session)
      session.finishWith('drain_deadline')
    }
  }

  #sessionOnClosed(session: Session): void {
    this.#sessions.delete(session)
    this.#finishAtMs.delete(session)
    this.#desk.sessionOnClosed(session.id)
    if (this.#sessions.size === 0) for (const resolve of this.#emptyWaiters.splice(0)) resolve()
  }
}

function tickSession(session: Session, access: ClientAccess | null, nowMs: number): void {
  session.tick(nowMs)
  if (access === null) return
  const overrun = access.endOf(nowMs)
  if (overrun !== null) session.finishWith(overrun)
  const warning = access.takeWarning()
  if (warning !== null) session.warn(warning)
}
