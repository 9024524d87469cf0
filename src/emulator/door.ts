/**
 * A request on its way to a stream, whichever transport it came by. Faults, judgement and quotas are the same for all;
 * what an answer, an acceptance and a reset look like on the wire is the door's.
 */
import type { HandshakeVerdict } from './handshake.ts'
import type { HttpAnswer } from './http-answer.ts'
import type { StreamSocket, StreamSocketListener } from './stream-socket.ts'

/** What every answer to one request carries. */
export interface AnswerIdentity {
  readonly requestId: string
  /** Wall clock that this connection is shown. */
  readonly nowMs: number
}

export type Acceptance = Extract<HandshakeVerdict, { kind: 'accepted' }>

export interface Door {
  /** `Host` as it was sent. */
  readonly host: string
  readonly origin: string | null
  /** The client has left. */
  readonly isGone: boolean
  /** Path, signature and parameters. */
  judge(nowMs: number): HandshakeVerdict
  /** An HTTP answer instead of a stream. */
  answer(answer: HttpAnswer, identity: AnswerIdentity): void
  /** TCP RST. */
  reset(): void
  /** Completes the handshake, then calls `open` once, unless the client has left by then. */
  accept(
    acceptance: Acceptance,
    identity: AnswerIdentity,
    open: (socket: StreamSocket) => StreamSocketListener,
  ): void
}

/** A port at which requests arrive. */
export interface DoorListener {
  /** Fulfilled with the port number. */
  listen(host: string, port: number): Promise<number>
  /** Cuts every connection and frees the port. */
  close(): Promise<void>
}
