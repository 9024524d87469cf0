/**
 * The door between the listening side and the sessions: `server/` asks to come in and hands over a socket,
 * `session/registry.ts` answers. Nothing else of the sessions is visible to the server.
 */
import type { RelayError } from '../errors.ts'
import type { StreamQuery } from '../protocol/stream-request.ts'
import type { ClientListener, ClientPort } from './ports.ts'

/** What the server knows of an accepted client. */
export interface SessionRequest {
  /** UUID, made at the upgrade; in every message, log line and, as `session-id`, at Amazon Transcribe. */
  readonly sessionId: string
  readonly query: StreamQuery
  /** Address of the peer, for the log. */
  readonly remoteAddress: string
}

export interface SessionHost {
  /** Whether one more session may start now. The error (`overloaded`, `draining`, `not_ready`) says why not. */
  admit(): RelayError | null
  /** Starts a session on an open socket. It counts as active until it is closed, by whomever. */
  open(client: ClientPort, request: SessionRequest): ClientListener
}
