/** What `Begin` says of a session. */
import type { Clock } from '../clock.ts'
import { beginMessage, type ResumeOffer } from '../protocol/server-messages.ts'
import type { SessionLimits } from './limits.ts'
import { longestSessionMs } from './session-watch.ts'
import type { StreamParts } from './stream-parts.ts'

export interface BeginContext {
  readonly sessionId: string
  readonly region: string
  /** Of the session, monotonic. */
  readonly startedMs: number
  readonly resume: ResumeOffer | undefined
}

export function describeBegin(
  { request, audio }: StreamParts,
  { region, resume, sessionId, startedMs }: BeginContext,
  { clock, limits }: { readonly clock: Clock; readonly limits: SessionLimits },
): string {
  const { parameters, format } = request
  const startedAtMs = clock.now() - (clock.monotonicMs() - startedMs)
  return beginMessage({
    sessionId,
    parameters: parameters.wire,
    format,
    region,
    expiresAtMs: startedAtMs + longestSessionMs(limits, audio.canReplay),
    audioTimeoutMs: limits.audioTimeoutMs,
    maxMessageBytes: limits.maxMessageBytes,
    ...(resume === undefined ? {} : { resume }),
  })
}
