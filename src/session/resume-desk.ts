/**
 * Every session that a client may come back to: finds it by token, tells who waits, and keeps the last words of those
 * that have ended, as many as there may be sessions.
 */
import type { Clock } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { KeptSession, ResumeClaim, Resumption, SessionRequest } from './host.ts'
import type { SessionMetrics } from './ports.ts'
import { ResumableClient, type ResumeLimits } from './resumable-client.ts'
import { parseResumeToken, SessionTokens, type ResumeOrigin } from './resume-token.ts'

export interface DeskContext {
  readonly clock: Clock
  readonly limits: ResumeLimits
  readonly metrics: SessionMetrics
  readonly origin: ResumeOrigin
  readonly maxSessions: number
}

interface DeskEntry {
  readonly client: ResumableClient
  readonly request: SessionRequest
  readonly owner: string | null
}

export class ResumeDesk {
  readonly #context: DeskContext
  readonly #entries = new Map<string, DeskEntry>()
  /** Ended sessions, the oldest first. */
  readonly #ended = new Set<ResumableClient>()
  #isDraining = false

  constructor(context: DeskContext) {
    this.#context = context
  }

  /** Sessions whose client is away. */
  get awayCount(): number {
    let count = 0
    for (const { client } of this.#entries.values()) if (client.isAway && !client.isSessionClosed) count += 1
    return count
  }

  /** Sessions and ended sessions that can be resumed. */
  get size(): number {
    return this.#entries.size
  }

  open(request: SessionRequest, { owner, onOver }: KeptSession): ResumableClient {
    const { clock, limits, metrics, origin } = this.#context
    const { sessionId } = request
    const client = new ResumableClient({
      sessionId,
      clock,
      limits,
      tokens: new SessionTokens(origin, sessionId),
      onAway: away => {
        metrics.connectionsLost += 1
        if (this.#isDraining) away.finishWith('drain_deadline')
      },
      onBack: () => {
        metrics.connectionsResumed += 1
      },
      onForgotten: forgotten => this.#forget(forgotten),
      onOver,
    })
    this.#entries.set(sessionId, { client, request, owner })
    return client
  }

  /** @throws RelayError `resume_not_found`, `resume_elsewhere`, `resume_gap`, `invalid_request` */
  find(claim: ResumeClaim): Resumption {
    const token = parseResumeToken(claim.token)
    const { relay, process } = this.#context.origin
    if (token === null || token.origin.relay !== relay) throw new RelayError('resume_not_found')
    if (token.origin.process !== process) throw new RelayError('resume_elsewhere')
    const entry = this.#entries.get(token.sessionId)
    // Who has no right to know learns no more than who guesses.
    if (entry === undefined || !entry.client.matches(token.secret) || entry.owner !== claim.owner) {
      throw new RelayError('resume_not_found')
    }
    const { client, request } = entry
    const refusal = client.refusalOf(claim.seq)
    if (refusal !== null) throw refusal
    return {
      sessionId: token.sessionId,
      query: request.query,
      attach: port => client.resume(port, claim.seq, token.secret),
    }
  }

  /** Nobody finds the way back to a relay that is going away: who is away now, or will be, need not be waited for. */
  announceDrain(): void {
    this.#isDraining = true
    for (const { client } of this.#entries.values()) {
      if (client.isAway && !client.isSessionClosed) client.finishWith('drain_deadline')
    }
  }

  tick(nowMs: number): void {
    for (const { client } of this.#entries.values()) client.tick(nowMs)
  }

  sessionOnClosed(sessionId: string): void {
    const client = this.#entries.get(sessionId)?.client
    if (client === undefined) return
    this.#ended.add(client)
    client.sessionOnClosed()
    const [oldest] = this.#ended
    if (oldest !== undefined && this.#ended.size > this.#context.maxSessions) oldest.forget()
  }

  #forget(client: ResumableClient): void {
    this.#entries.delete(client.sessionId)
    this.#ended.delete(client)
  }
}
