/**
 * One run of the canary: a known sample through a relay at the pace of speech, and a judgement of what came back. The
 * record of a run holds no transcript.
 */
import type { Clock } from '../clock.ts'
import type { CanaryOutcome, CanaryRun } from '../metrics/canary.ts'
import { cutChunks, openAudioFile } from './audio-input.ts'
import type { AudioInput } from './audio-input.ts'
import { readResults } from './server-message.ts'
import { percentile } from './statistics.ts'
import { buildUrl } from './stream-session.ts'
import { streamAudio } from './thin-client.ts'
import type { StreamOutcome } from './thin-client.ts'
import { splitWords, wordRecall } from './word-recall.ts'

export interface CanaryPlan {
  readonly url: string
  readonly token: string | null
  /** Path of a WAV file, or of raw 16 kHz mono PCM. */
  readonly sample: string
  readonly words: readonly string[]
  /** Below it the run has `wrong_words`; 0 to 1. */
  readonly minRecall: number
  /** Above it the run is `slow`. */
  readonly maxFinalLagMs: number
  readonly connectTimeoutMs: number
  readonly endTimeoutMs: number
}

export interface JudgedRun extends CanaryRun {
  /** Code of the relay's catalogue, or of the client's own; `null`: the stream ended in order. */
  readonly failureCode: string | null
  /** The relay's id of the request, to be found in its log. */
  readonly requestId: string | null
}

const RAW = { sampleRate: 16_000, channels: 1, forced: false } as const
const CHUNK_MS = 100
const SAMPLE_BYTES = 2

/** Throws `CommandError` when the sample cannot be read; all else is in the record. */
export async function runCanary(plan: CanaryPlan, clock: Clock, stop: AbortSignal): Promise<JudgedRun> {
  const input = await openAudioFile(plan.sample, RAW)
  try {
    return await judgeRun(input, plan, clock, stop)
  } finally {
    await input.close()
  }
}

async function judgeRun(
  input: AudioInput,
  plan: CanaryPlan,
  clock: Clock,
  stop: AbortSignal,
): Promise<JudgedRun> {
  const frameBytes = input.channels * SAMPLE_BYTES
  const bytesPerSecond = input.sampleRate * frameBytes
  const heard: string[] = []
  const startedAtMs = clock.monotonicMs()
  let beginMs: number | null = null
  let sessionId: string | null = null
  const outcome = await streamAudio(
    {
      url: buildUrl({ url: plan.url, parameters: {}, input }),
      token: plan.token,
      chunks: cutChunks(input.pcm, (bytesPerSecond * CHUNK_MS) / 1000, frameBytes),
      bytesPerSecond,
      speed: 1,
      connectTimeoutMs: plan.connectTimeoutMs,
      endTimeoutMs: plan.endTimeoutMs,
      stop,
    },
    {
      onMessage: message => {
        if (message.type === 'Begin') {
          beginMs ??= clock.monotonicMs() - startedAtMs
          sessionId = typeof message['session_id'] === 'string' ? message['session_id'] : null
        }
        if (message.type !== 'Transcript') return
        for (const result of readResults(message)) if (result.isFinal) heard.push(...splitWords(result.text))
      },
      onAudioSent: () => undefined,
    },
    clock,
  )
  const { firstResultMs, finalLagsMs } = outcome.statistics
  const recall = wordRecall(plan.words, heard)
  const finalLagMs = percentile(finalLagsMs, 1)
  return {
    outcome: judge(outcome, recall, finalLagMs, plan),
    endedAtMs: clock.now(),
    wordRecall: recall,
    beginMs,
    firstResultMs,
    finalLagMs,
    failureCode: outcome.kind === 'failed' ? outcome.failure.code : null,
    requestId: (outcome.kind === 'failed' ? outcome.failure.requestId : null) ?? sessionId,
  }
}

function judge(
  outcome: StreamOutcome,
  recall: number,
  finalLagMs: number | null,
  { minRecall, maxFinalLagMs }: CanaryPlan,
): CanaryOutcome {
  if (outcome.kind === 'failed') return 'failed'
  if (recall < minRecall) return 'wrong_words'
  return finalLagMs !== null && finalLagMs > maxFinalLagMs ? 'slow' : 'ok'
}
