/** What a session has once the parameters of its stream are known: made together, so that they are all there or none. */
import type { StreamRequest } from '../protocol/stream-request.ts'
import { AudioSender } from './audio-sender.ts'
import { Coverage } from './coverage.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { SessionLimits } from './limits.ts'
import type { MessageBudget } from './message-budget.ts'
import { TokenBucket } from './pace.ts'
import type { SessionMetrics } from './ports.ts'
import { ResultForwarder, type ForwarderPorts } from './result-forwarder.ts'
import { SilencePolicy } from './silence-policy.ts'

export interface StreamParts {
  readonly request: StreamRequest
  readonly audio: AudioSender
  readonly coverage: Coverage
  /** Tokens are bytes of audio. */
  readonly pace: TokenBucket
  readonly forwarder: ResultForwarder
  readonly silence: SilencePolicy
}

/** Most audio that a client may be behind when it comes back: the longest window, and the time until a loss is noticed. */
const MAX_CATCH_UP_MS = 360_000

/** What of the time that a client was away it may make up for. */
export function catchUpMs(awayMs: number): number {
  return Math.min(awayMs, MAX_CATCH_UP_MS)
}

/** Audio that is later than this had a network that kept it, or there was none: who knows until it comes. */
const STALL_MS = 1000

/**
 * What may come at once after audio that was `lateMs` later than its length: as much as could be kept if the stream were lost on
 * top of it; 0 when it is not worth it.
 */
export function stalledMs(lateMs: number, { replaySeconds }: Pick<SessionLimits, 'replaySeconds'>): number {
  return lateMs < STALL_MS ? 0 : Math.min(lateMs, replaySeconds * 1000)
}

/** The client may send at once what it could not send in `awayMs`; the stream gets it at the pace of a replay. */
export function expectBacklog(
  parts: StreamParts | null,
  messages: MessageBudget,
  awayMs: number,
  nowMs: number,
): void {
  messages.grant(awayMs)
  if (parts === null) return
  parts.pace.grant((parts.request.parameters.bytesPerSecond * awayMs) / 1000)
  parts.audio.catchUp(nowMs)
}

export function createStreamParts(
  request: StreamRequest,
  limits: SessionLimits,
  metrics: SessionMetrics,
  client: Pick<ForwarderPorts, 'deliver' | 'deliverAll' | 'isBehind'>,
  memory: RecycledBuffers,
  nowMs: number,
): StreamParts {
  const { bytesPerSecond, channels, isPcm, wire } = request.parameters
  const audio = new AudioSender(request.parameters, limits, metrics, memory)
  const coverage = new Coverage(wire['enable-channel-identification'] === 'true' ? channels : 1)
  const forwarder = new ResultForwarder(request, limits.allowUnredactedPartials, {
    ...client,
    metrics,
    coverage,
    timeline: audio.timeline,
    onCovered: seconds => audio.coverUpTo(seconds),
  })
  const pace = {
    capacity: (bytesPerSecond * limits.paceBurstMs) / 1000,
    tokensPerSecond: bytesPerSecond * limits.paceRate,
  }
  return {
    request,
    audio,
    coverage,
    pace: new TokenBucket(pace, nowMs),
    forwarder,
    silence: new SilencePolicy(limits, isPcm, nowMs),
  }
}
