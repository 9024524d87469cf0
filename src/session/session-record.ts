/**
 * What is written down about a session: the two log records. Structured, the same members every time, no speech and
 * no secret: parameters are names of things, a URL is never among them.
 */
import { ERRORS, type ErrorCode, type RelayError } from '../errors.ts'
import { roundMs } from '../protocol/server-messages.ts'
import type { SessionRequest } from './host.ts'
import type { UpstreamOpening } from './ports.ts'

export type SessionRecord = Readonly<Record<string, unknown>>

export function startRecord({ sessionId, query, remoteAddress }: SessionRequest): SessionRecord {
  return {
    session_id: sessionId,
    client_address: remoteAddress,
    ...(query.kind === 'configure'
      ? { configure: true }
      : { parameters: query.stream.parameters.wire, format: query.stream.format }),
  }
}

export interface SessionFigures {
  readonly durationSeconds: number
  readonly receivedBytes: number
  readonly clientSeconds: number
  readonly silenceSeconds: number
  readonly billedSeconds: number
  readonly frames: number
  readonly finals: number
}

export function endRecord(
  sessionId: string,
  code: ErrorCode,
  error: RelayError | null,
  figures: SessionFigures,
  opening: UpstreamOpening | null,
): SessionRecord {
  return {
    session_id: sessionId,
    reason: code,
    class: ERRORS[code].class,
    ...(error?.detail == null ? {} : { detail: error.detail }),
    duration_seconds: roundMs(figures.durationSeconds),
    audio_bytes: figures.receivedBytes,
    audio_seconds: roundMs(figures.clientSeconds),
    silence_seconds: roundMs(figures.silenceSeconds),
    billed_seconds: figures.billedSeconds,
    frames: figures.frames,
    finals: figures.finals,
    ...(opening === null
      ? {}
      : {
          region: opening.region,
          upstream_session_id: opening.upstreamSessionId,
          request_id: opening.requestId,
          connect_ms: Math.round(opening.connectMs),
          attempts: opening.attempts,
        }),
  }
}
