/** What a session has once the parameters of its stream are known: made together, so that they are all there or none. */
import type { StreamRequest } from '../protocol/stream-request.ts'
import { AudioSender } from './audio-sender.ts'
import { Coverage } from './coverage.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { SessionLimits } from './limits.ts'
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

/** A client is back, and may send at once what it could not send in `awayMs`. */
export function expectBacklog({ audio, pace, request }: StreamParts, awayMs: number, nowMs: number): void {
  pace.grant((request.parameters.bytesPerSecond * catchUpMs(awayMs)) / 1000)
  audio.catchUp(nowMs)
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
