/**
 * The door between the listening side and the sessions: `server/` asks to come in and hands over a socket,
 * `session/registry.ts` answers. Nothing else of the sessions is visible to the server.
 */
import type { RelayError } from '../errors.ts'
import type { StreamQuery, StreamRequest } from '../protocol/stream-request.ts'
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
}

export interface SessionHost {
  /** Whether one more session may start now. The error (`overloaded`, `draining`, `not_ready`) says why not. */
  admit(): RelayError | null
  /** Starts a session on an open socket. It counts as active until it is closed, by whomever. */
  open(client: ClientPort, request: SessionRequest): ClientListener
}
