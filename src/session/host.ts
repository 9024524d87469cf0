/**
 * The door between the listening side and the sessions: `server/` asks to come in and hands over a socket,
 * `session/registry.ts` answers. Nothing else of the sessions is visible to the server.
 */
import type { RelayError } from '../errors.ts'
import type { ResumeQuery } from '../protocol/resume-query.ts'
import type { WarningCode } from '../protocol/server-messages.ts'
import type { StreamQuery, StreamRequest } from '../protocol/stream-request.ts'
import type { TraceParent } from '../protocol/trace-parent.ts'
import type { ClientListener, ClientPort } from './ports.ts'

/** What an accepted client may do. Made by the server, asked by the session; it may not throw. */
export interface ClientAccess {
  /** Who it is, for the log. `null`: nobody was asked. */
  readonly principal: string | null
  /** How it was known: `key`, `jwt`, …; for the log. */
  readonly method: string
  /** Where its streams may go. Absent or `null`: anywhere. */
  readonly regions?: readonly string[] | null
  /** `null`, or why these parameters may not be used. Asked for a `Configure` message; the query was checked before. */
  refusalOf(stream: StreamRequest): RelayError | null
  /** `null`, or what ends the session now: the allowance ran out. Asked at every tick. */
  endOf(nowMs: number): RelayError | null
  /** What the client should be told now. Asked at every tick; answers each once. */
  takeWarning(): WarningCode | null
  /**
   * A fresh token of the same client. Resolves with when the session would end with it, ms since 1970; `null`: it does
   * not. Rejects with a `RelayError`.
   */
  renew(token: string): Promise<number | null>
}

/** Of a client that wants to be able to come back: its session may outlive its socket. */
export interface KeptSession {
  /** Who may come back, compared as it is; `null`: whoever has the token. */
  readonly owner: string | null
  /** Called once, when neither the session nor a socket of it is left. */
  readonly onOver: () => void
}

/** What the server knows of an accepted client. */
export interface SessionRequest {
  /** UUID, made at the upgrade; in every message, log line and, as `session-id`, at Amazon Transcribe. */
  readonly sessionId: string
  readonly query: StreamQuery
  /** Address of the peer, for the log. */
  readonly remoteAddress: string
  /** Absent: everything is allowed. */
  readonly access?: ClientAccess
  /** The span of the client that this session continues. */
  readonly traceParent?: TraceParent
  /** Absent: the session ends with the socket. */
  readonly kept?: KeptSession
}

/** A client that wants to go on with a session. */
export interface ResumeClaim extends ResumeQuery {
  readonly owner: string | null
}

/** A session that waits for the client. Good at once, and not after anything was waited for. */
export interface Resumption {
  readonly sessionId: string
  /** What the session was asked for. */
  readonly query: StreamQuery
  /** Goes on over an open socket. An older socket of the session is closed with `resume_taken`. */
  attach(client: ClientPort): ClientListener
}

export interface SessionHost {
  /** Whether one more session may start now. The error (`overloaded`, `draining`, `not_ready`) says why not. */
  admit(): RelayError | null
  /** Starts a session on an open socket. It counts as active until it is closed, by whomever. */
  open(client: ClientPort, request: SessionRequest): ClientListener
  /** The session that a client may go on with. @throws RelayError `resume_not_found`, `resume_elsewhere`, `resume_gap` */
  findResumable(claim: ResumeClaim): Resumption
}
