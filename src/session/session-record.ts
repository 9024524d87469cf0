/**
 * What is written down about a session: the two log records. Structured, the same members every time, no speech and
 * no secret: parameters are names of things, a URL is never among them.
 */
import { ERRORS, type ErrorCode, type RelayError } from '../errors.ts'
import { roundMs } from '../protocol/server-messages.ts'
import type { ClientAccess, SessionRequest } from './host.ts'
import type { StreamParts } from './stream-parts.ts'
import type { UpstreamLink } from './upstream-link.ts'

export type SessionRecord = Readonly<Record<string, unknown>>

export function startRecord({ sessionId, query, remoteAddress, access }: SessionRequest): SessionRecord {
  return {
    session_id: sessionId,
    ...principalOf(access),
    client_address: remoteAddress,
    ...(query.kind === 'configure'
      ? { configure: true }
      : { parameters: query.stream.parameters.wire, format: query.stream.format }),
  }
}

export interface SessionFigures {
  /** Effective ones, by wire name; `null` before they were known. */
  readonly parameters: Readonly<Record<string, string>> | null
  readonly receivedBytes: number
  /** Of compressed audio only the results tell how long it was. */
  readonly audioSeconds: number
  readonly silenceSeconds: number
  /** What Amazon bills for, over all streams. */
  readonly billedSeconds: number
  readonly frames: number
  readonly finals: number
  readonly streams: number
  readonly rollovers: number
  readonly replayedSeconds: number
  readonly lostSeconds: number
  readonly parkedSeconds: number
}

const NO_AUDIO: SessionFigures = {
  parameters: null,
  receivedBytes: 0,
  audioSeconds: 0,
  silenceSeconds: 0,
  billedSeconds: 0,
  frames: 0,
  finals: 0,
  streams: 0,
  rollovers: 0,
  replayedSeconds: 0,
  lostSeconds: 0,
  parkedSeconds: 0,
}

/** Both are `null` for a session that never knew its parameters. */
export function sessionFigures(
  parts: Pick<StreamParts, 'audio' | 'forwarder' | 'request'> | null,
  link: Pick<UpstreamLink, 'totals' | 'streams' | 'rollovers'> | null,
): SessionFigures {
  if (parts === null || link === null) return NO_AUDIO
  const { audio, forwarder, request } = parts
  return {
    parameters: request.parameters.wire,
    receivedBytes: audio.receivedBytes,
    audioSeconds: request.parameters.isPcm ? audio.timeline.clientSeconds : forwarder.lastEndSeconds,
    silenceSeconds: audio.silenceSeconds,
    replayedSeconds: audio.replayedSeconds,
    finals: forwarder.finals,
    streams: link.streams,
    rollovers: link.rollovers,
    ...link.totals,
  }
}

/** Who it was, in both lines: an audit needs no join. */
function principalOf(access: ClientAccess | undefined): SessionRecord {
  return access?.principal == null ? {} : { principal: access.principal, auth: access.method }
}

export function endRecord(
  { sessionId, access, query }: SessionRequest,
  code: ErrorCode,
  error: RelayError | null,
  durationSeconds: number,
  figures: SessionFigures,
  link: Pick<UpstreamLink, 'opening'> | null,
): SessionRecord {
  const opening = link?.opening ?? null
  return {
    session_id: sessionId,
    ...principalOf(access),
    reason: code,
    class: ERRORS[code].class,
    // What a Configure message said was not known at the start.
    ...(query.kind === 'configure' && figures.parameters !== null ? { parameters: figures.parameters } : {}),
    ...(error?.detail == null ? {} : { detail: error.detail }),
    duration_seconds: roundMs(durationSeconds),
    audio_bytes: figures.receivedBytes,
    audio_seconds: roundMs(figures.audioSeconds),
    silence_seconds: roundMs(figures.silenceSeconds),
    billed_seconds: figures.billedSeconds,
    frames: figures.frames,
    finals: figures.finals,
    streams: figures.streams,
    rollovers: figures.rollovers,
    replayed_seconds: roundMs(figures.replayedSeconds),
    lost_seconds: roundMs(figures.lostSeconds),
    parked_seconds: roundMs(figures.parkedSeconds),
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
