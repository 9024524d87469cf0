/** What `Begin` says of a session. */
import type { Clock } from '../clock.ts'
import { beginMessage } from '../protocol/server-messages.ts'
import type { SessionLimits } from './limits.ts'
import type { ClientPort } from './ports.ts'
import { longestSessionMs } from './session-watch.ts'
import type { StreamParts } from './stream-parts.ts'

export interface BeginContext {
  readonly sessionId: string
  readonly region: string
  /** Of the session, monotonic. */
  readonly startedMs: number
}

export function describeBegin(
  { request, audio }: StreamParts,
  { region, sessionId, startedMs }: BeginContext,
  client: Pick<ClientPort, 'offerResume'>,
  { clock, limits }: { readonly clock: Clock; readonly limits: SessionLimits },
): string {
  const { parameters, format } = request
  const resume = client.offerResume?.()
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
