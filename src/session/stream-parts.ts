/** What a session has once the parameters of its stream are known: made together, so that they are all there or none. */
import type { StreamRequest } from '../protocol/stream-request.ts'
import { AudioSender } from './audio-sender.ts'
import type { SessionLimits } from './limits.ts'
import { TokenBucket } from './pace.ts'
import type { SessionMetrics } from './ports.ts'
import { ResultForwarder, type ForwarderPorts } from './result-forwarder.ts'
import { SilencePolicy } from './silence-policy.ts'
import { StallWatch } from './stall-watch.ts'
import { UpstreamReader } from './upstream-reader.ts'

export interface StreamParts {
  readonly request: StreamRequest
  readonly audio: AudioSender
  /** Tokens are bytes of audio. */
  readonly pace: TokenBucket
  readonly forwarder: ResultForwarder
  readonly reader: UpstreamReader
  readonly silence: SilencePolicy
  readonly stall: StallWatch
}

export function createStreamParts(
  request: StreamRequest,
  limits: SessionLimits,
  metrics: SessionMetrics,
  client: Pick<ForwarderPorts, 'deliver' | 'isBehind'>,
  nowMs: number,
): StreamParts {
  const { bytesPerSecond, isPcm } = request.parameters
  const audio = new AudioSender(request.parameters, limits, metrics)
  const forwarder = new ResultForwarder(request, limits.allowUnredactedPartials, {
    ...client,
    metrics,
    timeline: audio.timeline,
  })
  const pace = {
    capacity: (bytesPerSecond * limits.paceBurstMs) / 1000,
    tokensPerSecond: bytesPerSecond * limits.paceRate,
  }
  return {
    request,
    audio,
    pace: new TokenBucket(pace, nowMs),
    forwarder,
    reader: new UpstreamReader(forwarder, metrics),
    silence: new SilencePolicy(limits, isPcm, nowMs),
    stall: new StallWatch(limits.upstreamStallMs),
  }
}
