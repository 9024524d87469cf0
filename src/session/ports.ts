/**
 * What a session needs of the world, and what the world may call on a session.
 *
 * A session opens no socket, starts no timer and knows no library: the client's socket, the way to Amazon
 * Transcribe, the time and the figures are handed in. `server/` and `upstream/` implement these ports, tests
 * implement them in memory. Listeners are named `<who speaks>On<what>`.
 */
import type { ErrorCode, RelayError } from '../errors.ts'
import type { ResumeOffer } from '../protocol/server-messages.ts'
import type { SessionRequest } from './host.ts'
import type { RolloverReason } from './rollover-policy.ts'
import type { SessionFigures } from './session-record.ts'
import type { SessionState } from './states.ts'

/**
 * What became of a message to the client. `buffered`: accepted, but the client is behind. `dropped`: the hard limit
 * of the socket is reached and the message is lost, so the session must end.
 */
export type SendResult = 'sent' | 'buffered' | 'dropped'

/** The client's socket. Every method does nothing once the socket is closed. */
export interface ClientPort {
  sendText(message: string): SendResult
  /** Several messages, which leave together. The worst of their results; what follows one that was dropped is not sent. */
  sendTexts(messages: readonly string[]): SendResult
  /** Bytes accepted by `sendText` that the kernel has not taken yet. */
  bufferedBytes(): number
  /** Sends a Close frame (code and reason as given) after everything accepted before, then ends the connection. */
  close(closeCode: number, reason: string): void
  /** What `Begin` says of coming back; asked once. Absent, or nothing: the session ends with the socket. */
  offerResume?(): ResumeOffer | undefined
}

/** Why the client's socket is gone, as the socket reports it. */
export interface ClientEnd {
  /** `client_closed` for a Close frame, else one of the `client_gone` or dropped codes of the catalogue. */
  readonly code: ErrorCode
  /** The close code the client sent, or 1006. */
  readonly closeCode: number
}

/** What the client's socket calls. Implemented by `Session`. */
export interface ClientListener {
  /** A binary message. `pcm` is a view, valid during the call only. */
  clientOnAudio(pcm: Uint8Array): void
  clientOnText(message: string): void
  /** A message above the size limit of the protocol; its content was not kept. */
  clientOnOversize(messageBytes: number): void
  /** The client has read some of what was buffered; told a moment later. A session by itself looks at the buffer with each message instead. */
  clientOnDrain?(): void
  /** Called exactly once; afterwards the port is dead. */
  clientOnClose(end: ClientEnd): void
  /** A `RelayError`: the socket wants the session to end with it. Anything else is a bug, and ends it with `internal`. */
  clientOnFailure(error: unknown): void
}

/** One open stream to Amazon Transcribe: one WebSocket. Every method does nothing once it is closed. */
export interface UpstreamPort {
  /**
   * Sends one whole event-stream message. A view, valid during the call: the bytes are not changed and not kept, so
   * the caller may send them again, to this stream or another, or use their memory anew.
   */
  send(message: Uint8Array): void
  /** Bytes accepted by `send` that the kernel has not taken yet. */
  bufferedBytes(): number
  /** Closing handshake with 1000, ended by force after a bounded time. */
  close(): void
  /** Ends the connection at once. */
  terminate(): void
}

/** What is known once the upstream has answered 101. */
export interface UpstreamOpening {
  readonly region: string
  /** The stream's `session-id` at Amazon Transcribe: ours, or the one the service chose. */
  readonly upstreamSessionId: string | null
  /** `x-amzn-RequestId` of the 101 answer. Amazon's support asks for it. */
  readonly requestId: string | null
  /** From the first byte of the (last) attempt to the 101 answer. */
  readonly connectMs: number
  /** How many connections were tried, this one included. */
  readonly attempts: number
  /** Wall clock, ms since 1970, at which the credentials of the URL end; `null`: they do not. */
  readonly credentialsExpireAtMs: number | null
  /** A stream that the region refuses later for its quota can be opened in another one. Absent: it cannot. */
  readonly hasAlternative?: boolean
}

/** Why an open upstream is gone. */
export interface UpstreamEnd {
  /** Close code from the wire, 1006 without a Close frame. */
  readonly closeCode: number
  /** Close reason from the wire, at most 123 bytes. For logs. */
  readonly reason: string
  /** Set when the connection broke or was broken off: reset, protocol violation, oversize message. */
  readonly error: RelayError | null
}

/** What a dial calls: either `upstreamOnOpen` and then the rest, or `upstreamOnFailure` alone. */
export interface UpstreamListener {
  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void
  /** One binary message of the upstream. A view, valid during the call only. */
  upstreamOnMessage(message: Uint8Array): void
  /** Called once, after `upstreamOnOpen`; the port is dead. */
  upstreamOnClose(end: UpstreamEnd): void
  /** Called once, instead of `upstreamOnOpen`: every attempt failed. */
  upstreamOnFailure(error: RelayError): void
}

export interface DialRequest {
  /** The relay's session id, for logs. */
  readonly sessionId: string
  /** Query of the upstream URL, wire names and wire values, without the `X-Amz-*` part. Already validated. */
  readonly parameters: Readonly<Record<string, string>>
  /** Who takes turns where streams are scarce; absent: a session of its own. */
  readonly principal?: string | undefined
  /** The session may go to these alone; absent or `null`: to any. */
  readonly regions?: readonly string[] | null | undefined
  /** The session is under way: it comes before those that begin. */
  readonly isContinuation?: boolean
  /** The region whose quota ended the stream before. */
  readonly throttledIn?: string | null | undefined
}

/** A dial under way, or a stream. After `cancel` the listener is not called any more, and any socket is ended. */
export interface Dial {
  cancel(): void
}

export interface UpstreamDialer {
  /**
   * Opens a stream: credentials, signature, connection, retries. Never throws and never calls the listener before it
   * returns.
   */
  dial(request: DialRequest, listener: UpstreamListener): Dial
  /** Whether streams of this region are to go elsewhere, and a session with these regions can. Absent: never. */
  isLeaving?(region: string, regions: readonly string[] | null): boolean
}

/**
 * Figures of all sessions of a process. The counters are plain numbers, written on the hot path and read at scrape.
 */
export interface SessionMetrics {
  clientAudioBytes: number
  clientAudioMessages: number
  /** Audio seconds received (by the declared sample rate; compressed formats count none). */
  clientAudioSeconds: number
  upstreamAudioBytes: number
  /** AudioEvents sent, the empty one included. */
  upstreamFrames: number
  silenceFilledSeconds: number
  /** Streams open now, of all sessions. */
  upstreamStreamsActive: number
  /** Audio sent to another stream after one had it already. */
  replayedSeconds: number
  /** Audio with speech in it that no result will ever cover. */
  rolloverLostSeconds: number
  /** Time that sessions lived without a stream, because nobody spoke. */
  parkedSeconds: number
  /** Audio received but never forwarded. */
  audioDroppedBytes: number
  resultsPartial: number
  resultsFinal: number
  /** Results not delivered: superseded partials of a slow client, partials withheld by redaction or by request. */
  partialsDropped: number
  partialsWithheld: number
  /** Results of audio that was sent again, which the client had already. */
  resultsRepeated: number
  /** Connections of sessions that wait for their client to come back, and clients that did. */
  connectionsLost: number
  connectionsResumed: number
  /** Bytes of text sent to clients. */
  clientSentBytes: number
  /** Warnings sent to clients, all codes. */
  warnings: number
  /** Events of the upstream with an unknown `:event-type`, ignored. */
  unknownEvents: number
  countUpstreamException(exception: string): void
  countDecodeError(reason: string): void
  countRollover(reason: RolloverReason): void
  /** From a sample's arrival to the arrival of the first result that covers it. */
  observePartialLagSeconds(seconds: number): void
  observeFinalLagSeconds(seconds: number): void
  observeUpstreamConnectSeconds(seconds: number): void
  countSessionStarted(): void
  countSessionEnded(code: ErrorCode, durationSeconds: number): void
}

/** The two log lines of a session: structured, no speech, no secret. */
export interface SessionLog {
  sessionOnStart(record: Readonly<Record<string, unknown>>): void
  sessionOnEnd(record: Readonly<Record<string, unknown>>): void
  /** A bug. `error` may carry a stack, never client data. */
  sessionOnFailure(sessionId: string, error: unknown): void
}

/** How the stream that is open now came after another. */
export interface Restart {
  readonly reason: RolloverReason
  /** Audio that is sent again. */
  readonly replayedSeconds: number
  /** Speech that no result will ever cover. */
  readonly lostSeconds: number
  /** Without a stream. */
  readonly gapMs: number
  /** Of this session, this one included. */
  readonly rollovers: number
}

/** Follows every session of a process, for traces. May not throw. */
export interface SessionTracer {
  sessionOnStart(request: SessionRequest): SessionTrace
}

/** Follows one session, whose streams have numbers from 1. */
export interface SessionTrace {
  streamOnDial(stream: number, request: DialRequest): void
  streamOnOpen(stream: number, opening: UpstreamOpening): void
  /** The end of the audio was sent; the last results are awaited. */
  streamOnFlush(stream: number): void
  /** Called once, last. `null`: it ended well, or another one took its place. */
  streamOnOver(stream: number, error: RelayError | null): void
  sessionOnMove(from: SessionState, to: SessionState): void
  /** Called before the move that follows from it. */
  sessionOnRestart(restart: Restart): void
  /** Called once, last. */
  sessionOnEnd(code: ErrorCode, closeCode: number | null, figures: SessionFigures): void
}
