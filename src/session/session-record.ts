/**
 * What is written down about a session: the two log records. Structured, the same members every time, no speech and
 * no secret: parameters are names of things, a URL is never among them.
 */
import { ERRORS, type ErrorCode, type RelayError } from '../errors.ts'
import { roundMs } from '../protocol/server-messages.ts'
import type { SessionRequest } from './host.ts'
import type { UpstreamOpening } from './ports.ts'
import type { StreamParts } from './stream-parts.ts'

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
  readonly receivedBytes: number
  /** Of compressed audio only the results tell how long it was. */
  readonly audioSeconds: number
  readonly silenceSeconds: number
  /** What Amazon bills for. */
  readonly billedSeconds: number
  readonly frames: number
  readonly finals: number
}

/** The service bills each stream for at least this long. */
const MIN_BILLED_SECONDS = 15

const NO_AUDIO: SessionFigures = {
  receivedBytes: 0,
  audioSeconds: 0,
  silenceSeconds: 0,
  billedSeconds: 0,
  frames: 0,
  finals: 0,
}

/** `parts` is `null` for a session that never knew its parameters. */
export function sessionFigures(
  parts: Pick<StreamParts, 'audio' | 'forwarder' | 'request'> | null,
  opening: UpstreamOpening | null,
): SessionFigures {
  if (parts === null) return NO_AUDIO
  const { audio, forwarder, request } = parts
  const { timeline } = audio
  const audioSeconds = request.parameters.isPcm ? timeline.clientSeconds : forwarder.lastEndSeconds
  // Rounded first: a sum of 200 tenths is a little more than 20.
  const wholeSeconds = Math.ceil(roundMs(audioSeconds + timeline.silenceSeconds))
  return {
    receivedBytes: audio.receivedBytes,
    audioSeconds,
    silenceSeconds: timeline.silenceSeconds,
    billedSeconds: opening === null ? 0 : Math.max(MIN_BILLED_SECONDS, wholeSeconds),
    frames: audio.sentFrames,
    finals: forwarder.finals,
  }
}

export function endRecord(
  sessionId: string,
  code: ErrorCode,
  error: RelayError | null,
  durationSeconds: number,
  figures: SessionFigures,
  opening: UpstreamOpening | null,
): SessionRecord {
  return {
    session_id: sessionId,
    reason: code,
    class: ERRORS[code].class,
    ...(error?.detail == null ? {} : { detail: error.detail }),
    duration_seconds: roundMs(durationSeconds),
    audio_bytes: figures.receivedBytes,
    audio_seconds: roundMs(figures.audioSeconds),
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
