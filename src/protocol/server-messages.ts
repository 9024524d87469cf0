/**
 * What the relay says: one builder a message, each returning the JSON text that goes on the wire. The shapes are the
 * contract of docs/protocol.md; fields are only ever added.
 */
import { ERRORS, type RelayError } from '../errors.ts'

/** Something is probably wrong, the session goes on. A closed list: it is documented and tested. */
export const WARNINGS = {
  parameter: 'A parameter was accepted, but may not do what it says.',
  wav_header_removed: 'The audio began with a WAV header. It was removed; send raw PCM.',
  silence_only: 'Every sample so far is zero. Is the microphone muted?',
  odd_bytes: 'The audio ended inside a sample. The last bytes were left out.',
  audio_too_fast: 'Audio arrives faster than real time. The session ends if this goes on.',
  audio_after_end: 'Audio after the end of the stream was left out.',
  pause_ignored: 'Compressed audio cannot go on in another stream, so it is not paused.',
  token_expiring: 'The token of this session is about to be over. Send a fresh one with Authenticate.',
  token_not_checked: 'The fresh token cannot be checked right now. Send it again later.',
  session_expiring: 'The session is about to reach its maximum duration.',
} as const

export type WarningCode = keyof typeof WARNINGS

export interface BeginMessage {
  readonly sessionId: string
  /** Effective parameters of Amazon Transcribe, wire names. */
  readonly parameters: Readonly<Record<string, string>>
  readonly format: string
  readonly region: string
  /** When the session reaches its maximum duration, ms since 1970. */
  readonly expiresAtMs: number
  readonly maxMessageBytes: number
  readonly audioTimeoutMs: number
  /** Absent: the session ends with its connection. */
  readonly resume?: ResumeOffer
}

/** What a client needs to come back. */
export interface ResumeOffer {
  /** Good for one connection; the answer to it has the next. */
  readonly token: string
  /** How long the session waits for a client that is gone. */
  readonly windowSeconds: number
}

export function beginMessage(begin: BeginMessage): string {
  return JSON.stringify({
    type: 'Begin',
    session_id: begin.sessionId,
    region: begin.region,
    format: begin.format,
    parameters: begin.parameters,
    expires_at: new Date(begin.expiresAtMs).toISOString(),
    limits: { max_message_bytes: begin.maxMessageBytes, audio_timeout_ms: begin.audioTimeoutMs },
    ...(begin.resume === undefined ? {} : resumeMembers(begin.resume)),
  })
}

/** Of the audio that the relay has: what a client need not keep any more. */
export interface AudioPosition {
  /** Of all binary messages, over all connections of the session. */
  readonly bytes: number
  /** `null`: how long compressed audio is cannot be told from its size. */
  readonly seconds: number | null
}

/** Belongs to the connection: it has no `seq`, and is never said again. */
export function ackMessage(position: AudioPosition): string {
  return JSON.stringify({ type: 'Ack', ...positionMembers(position) })
}

export interface ResumedMessage extends AudioPosition {
  readonly sessionId: string
  readonly resume: ResumeOffer
}

/** The first message of a connection that goes on with a session; what was missed follows. It has no `seq` either. */
export function resumedMessage(resumed: ResumedMessage): string {
  return JSON.stringify({
    type: 'Resumed',
    session_id: resumed.sessionId,
    ...positionMembers(resumed),
    ...resumeMembers(resumed.resume),
  })
}

/**
 * `message` with its number in the session as `seq`, in the place of the number that a result has among results.
 * `message` is the work of this layer: a JSON object that begins with its type.
 */
export function numberedMessage(message: string, seq: number): string {
  return message.replace(/^\{"type":"(\w+)"(?:,"seq":\d+)?/, `{"type":"$1","seq":${seq}`)
}

function resumeMembers({ token, windowSeconds }: ResumeOffer) {
  return { resume_token: token, resume_seconds: windowSeconds }
}

function positionMembers({ bytes, seconds }: AudioPosition) {
  return { audio_bytes: bytes, ...(seconds === null ? {} : { audio_seconds: roundMs(seconds) }) }
}

export function warningMessage(code: WarningCode, message: string = WARNINGS[code]): string {
  return JSON.stringify({ type: 'Warning', code, message })
}

export function drainingMessage(reconnectInMs: number): string {
  return JSON.stringify({ type: 'Draining', reconnect_in_ms: Math.round(reconnectInMs) })
}

export interface RolloverMessage {
  /** A code of the error catalogue, or why it was planned. */
  readonly reason: string
  /** Of the stream that goes on. */
  readonly region: string
  readonly replayedSeconds: number
  readonly lostSeconds: number
  readonly gapMs: number
  readonly rollovers: number
}

/** Another stream goes on where the one before ended. The partial result of the moment is void; finals stay. */
export function rolloverMessage(rollover: RolloverMessage): string {
  return JSON.stringify({
    type: 'Rollover',
    reason: rollover.reason,
    region: rollover.region,
    replayed_seconds: roundMs(rollover.replayedSeconds),
    lost_seconds: roundMs(rollover.lostSeconds),
    gap_ms: Math.round(rollover.gapMs),
    rollovers: rollover.rollovers,
  })
}

/** Sent before every abnormal close, and as the body of an HTTP refusal. */
export function errorMessage(error: RelayError, requestId: string): string {
  return JSON.stringify({
    type: 'Error',
    code: error.code,
    message: error.message,
    retryable: ERRORS[error.code].retryable,
    ...(error.retryAfterMs === null ? {} : { retry_after_ms: error.retryAfterMs }),
    request_id: requestId,
  })
}

/** A fresh token counts from now on. `expiresAtMs` since 1970; `null`: this session does not end with its token. */
export function authenticatedMessage(expiresAtMs: number | null): string {
  const expiresAt = expiresAtMs === null ? {} : { expires_at: new Date(expiresAtMs).toISOString() }
  return JSON.stringify({ type: 'Authenticated', ...expiresAt })
}

export interface EndMessage {
  readonly sessionId: string
  readonly audioSeconds: number
  /** What Amazon bills for: audio and silence sent, 1-second steps, at least 15 s a stream. */
  readonly billedSeconds: number
  readonly finals: number
  readonly rollovers: number
}

export function endMessage(end: EndMessage): string {
  return JSON.stringify({
    type: 'End',
    session_id: end.sessionId,
    audio_seconds: roundMs(end.audioSeconds),
    billed_seconds: end.billedSeconds,
    finals: end.finals,
    rollovers: end.rollovers,
  })
}

/** Times on the wire have whole milliseconds: `0.1 + 0.2` is nobody's business. */
export function roundMs(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
