/** What is measured: how many sessions, what they send, and who is slow. */
import type { Candidate } from './relay-process.ts'

export interface Scenario {
  readonly id: string
  readonly title: string
  readonly sessions: number
  readonly chunkMs: number
  /** New sessions per second until all are open. */
  readonly rampPerSecond: number
  readonly warmupMs: number
  readonly steadyMs: number
  readonly sampleRateHz: number
  /** Audio between two results of the upstream. */
  readonly resultEveryMs: number
  /** More text in every result, to make clients fall behind. */
  readonly fillerBytes: number
  readonly isIdle: boolean
  readonly isClientSlow: boolean
  readonly isUpstreamSlow: boolean
  readonly candidates: readonly Candidate[]
}

/** What a client of one language sends in a call: 16 kHz, two results a second. */
const SPEECH = {
  chunkMs: 100,
  rampPerSecond: 200,
  warmupMs: 4000,
  steadyMs: 10_000,
  sampleRateHz: 16_000,
  resultEveryMs: 500,
  fillerBytes: 0,
  isIdle: false,
  isClientSlow: false,
  isUpstreamSlow: false,
} as const

const SHORT = { steadyMs: 1000, sessions: 10 } as const
const SHORT_WARMUP_MS = 500
/** The SDK's relay is alone on its core with about three hundred sessions; it is compared where it still keeps up. */
export const SDK_SESSIONS = 100
export const FEW_SESSIONS = 100
export const MANY_SESSIONS = 500
export const MOST_SESSIONS = 1000
/** With more, the plain relay has no core left for 20 ms frames. */
export const SMALL_FRAME_SESSIONS = 200
const SLOW_SESSIONS = 50

function streams(sessions: number, chunkMs: number, candidates: readonly Candidate[]): Scenario {
  return {
    ...SPEECH,
    id: `frames-${chunkMs}ms-${sessions}`,
    title: `${sessions} sessions, ${chunkMs} ms frames`,
    sessions,
    chunkMs,
    candidates,
  }
}

/** A sample rate and results that fill the kernel's own buffers within the time of a bench. */
function slow(isClientSlow: boolean, isUpstreamSlow: boolean): Scenario {
  const who = [isClientSlow ? 'client' : null, isUpstreamSlow ? 'upstream' : null].filter(
    name => name !== null,
  )
  return {
    ...SPEECH,
    id: `slow-${who.join('-')}`,
    title: `${SLOW_SESSIONS} sessions, ${who.join(' and ')} slow`,
    sessions: SLOW_SESSIONS,
    sampleRateHz: 48_000,
    resultEveryMs: 100,
    fillerBytes: 24_000,
    isClientSlow,
    isUpstreamSlow,
    warmupMs: 500,
    steadyMs: 25_000,
    candidates: ['ours', 'plain'],
  }
}

export const SCENARIOS: readonly Scenario[] = [
  streams(FEW_SESSIONS, 100, ['ours', 'plain', 'sdk', 'floor']),
  streams(MANY_SESSIONS, 100, ['ours', 'plain', 'floor']),
  streams(MOST_SESSIONS, 100, ['ours', 'plain', 'floor']),
  streams(FEW_SESSIONS, 20, ['ours', 'plain', 'sdk', 'floor']),
  streams(SMALL_FRAME_SESSIONS, 20, ['ours', 'plain', 'floor']),
  {
    ...SPEECH,
    id: 'idle',
    title: `${MOST_SESSIONS} idle sessions`,
    sessions: MOST_SESSIONS,
    isIdle: true,
    candidates: ['ours', 'plain'],
  },
  {
    ...SPEECH,
    id: 'storm',
    title: `${MANY_SESSIONS} sessions at once`,
    sessions: MANY_SESSIONS,
    rampPerSecond: 1_000_000,
    warmupMs: 0,
    steadyMs: 10_000,
    candidates: ['ours', 'plain', 'floor'],
  },
  slow(true, false),
  slow(false, true),
  slow(true, true),
]

/** The same in seconds: it shows that the bench works, its figures mean nothing. */
export function smokeOf(scenario: Scenario): Scenario {
  return { ...scenario, ...SHORT, warmupMs: Math.min(scenario.warmupMs, SHORT_WARMUP_MS) }
}
