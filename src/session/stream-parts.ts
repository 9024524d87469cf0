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

/**
 * Most audio that a client may be behind when it comes back: the longest window, and a minute until a loss is noticed. Who was
 * away for longer has to send the rest in real time.
 */
const MAX_CATCH_UP_MS = 360_000
/** Audio that is later than this had a network that kept it, or there was none: who knows until it comes. */
const STALL_MS = 1000

/**
 * Audio is here, later than the one before it ended by more than a moment: what a network kept meanwhile may follow at once, as
 * much as could be kept if the stream were lost on top of it.
 */
export function noticeStall(
  parts: StreamParts,
  messages: MessageBudget,
  audioBytes: number,
  replaySeconds: number,
  nowMs: number,
): void {
  const { bytesPerSecond, isPcm } = parts.request.parameters
  const lateMs = messages.audioArrived(nowMs) - (audioBytes * 1000) / bytesPerSecond
  if (isPcm && lateMs >= STALL_MS) {
    expectBacklog(parts, messages, Math.min(lateMs, replaySeconds * 1000), nowMs)
  }
}

/** The client may send at once what it could not send in `awayMs`; the stream gets it at the pace of a replay. */
export function expectBacklog(
  parts: StreamParts | null,
  messages: MessageBudget,
  awayMs: number,
  nowMs: number,
): void {
  const backlogMs = Math.min(awayMs, MAX_CATCH_UP_MS)
  messages.grant(backlogMs, nowMs)
  if (parts === null) return
  const { audio, pace, request } = parts
  const backlogBytes = (request.parameters.bytesPerSecond * backlogMs) / 1000
  pace.grant(backlogBytes, nowMs)
  audio.catchUp(backlogBytes, nowMs)
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
