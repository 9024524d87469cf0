/**
 * A load generator, a process of its own: opens its share of the sessions at the pace of the ramp, sends speech by the
 * audio's own clock, and counts. It is asked for its figures; it never decides anything.
 */
import { build, encodeIntoCompressedBase64, type Histogram } from 'hdr-histogram-js'
import { answer, readConfig } from './child.ts'
import { ClientSession, type ClientListener, type ClientTarget } from './client-session.ts'
import { cutSpeech } from './speech.ts'
import { TimerWheel } from './timer-wheel.ts'
import { watchUsage } from './usage.ts'

export interface GeneratorConfig {
  readonly url: string
  readonly token: string | null
  readonly sessions: number
  /** How many sessions other generators have before this one's first. */
  readonly firstNumber: number
  readonly rampPerSecond: number
  readonly chunkMs: number
  readonly sampleRateHz: number
  readonly isIdle: boolean
  readonly isSlow: boolean
}

/** Since the last `mark`. */
export interface GeneratorReport {
  readonly elapsedMs: number
  readonly openSessions: number
  readonly sentFrames: number
  readonly results: number
  readonly errors: Readonly<Record<string, number>>
  readonly cpuMicros: number
  readonly rssBytes: number
  /** Microseconds, as compressed HdrHistograms. */
  readonly latency: string
  readonly lateness: string
  /** Since the start. */
  readonly connect: string
}

/** Of latencies: a minute, in microseconds, to three digits. */
const HISTOGRAM = {
  lowestDiscernibleValue: 1,
  highestTrackableValue: 60_000_000,
  numberOfSignificantValueDigits: 3,
} as const
const RAMP_TICK_MS = 5
const FINISH_TIMEOUT_MS = 15_000

/** For the eyes, while it runs: cheap enough to be asked for every second. */
export interface GeneratorProgress {
  readonly openSessions: number
  /** Since the last `mark`. */
  readonly sentFrames: number
  readonly results: number
  readonly errorCount: number
}

class Generator implements ClientListener {
  readonly #config: GeneratorConfig
  readonly #target: ClientTarget
  readonly #wheel: TimerWheel
  readonly #sessions = new Set<ClientSession>()
  readonly #usage = watchUsage()
  readonly #latency = build(HISTOGRAM)
  readonly #lateness = build(HISTOGRAM)
  readonly #connect = build(HISTOGRAM)
  #errors: Record<string, number> = {}
  #startedCount = 0
  #openCount = 0
  #sentFrames = 0
  #results = 0
  #markedMs = performance.now()
  #markedCpuMicros = 0
  #isFinishing = false

  constructor(config: GeneratorConfig) {
    this.#config = config
    const url = new URL(config.url)
    url.searchParams.set('sample-rate', String(config.sampleRateHz))
    this.#target = { ...config, url, frames: cutSpeech(config.chunkMs, config.sampleRateHz) }
    this.#wheel = new TimerWheel(config.chunkMs, lateMs => record(this.#lateness, lateMs))
  }

  /** Answers at once; the sessions follow at the pace of the ramp. */
  start(): null {
    const { rampPerSecond, sessions, firstNumber } = this.#config
    const startedMs = performance.now()
    this.#wheel.start()
    const timer = setInterval(() => {
      const due = Math.min(sessions, Math.ceil(((performance.now() - startedMs) / 1000) * rampPerSecond))
      while (this.#startedCount < due && !this.#isFinishing) {
        this.#sessions.add(new ClientSession(this.#target, firstNumber + this.#startedCount++, this))
      }
      if (this.#startedCount >= sessions || this.#isFinishing) clearInterval(timer)
    }, RAMP_TICK_MS)
    return null
  }

  mark(): null {
    this.#latency.reset()
    this.#lateness.reset()
    this.#sentFrames = 0
    this.#results = 0
    this.#errors = {}
    this.#markedMs = performance.now()
    this.#markedCpuMicros = this.#usage().cpuMicros
    return null
  }

  report(): GeneratorReport {
    const { cpuMicros, rssBytes } = this.#usage()
    return {
      elapsedMs: performance.now() - this.#markedMs,
      openSessions: this.#openCount,
      sentFrames: this.#sentFrames,
      results: this.#results,
      errors: this.#errors,
      cpuMicros: cpuMicros - this.#markedCpuMicros,
      rssBytes,
      latency: encodeIntoCompressedBase64(this.#latency),
      lateness: encodeIntoCompressedBase64(this.#lateness),
      connect: encodeIntoCompressedBase64(this.#connect),
    }
  }

  progress(): GeneratorProgress {
    return {
      openSessions: this.#openCount,
      sentFrames: this.#sentFrames,
      results: this.#results,
      errorCount: Object.values(this.#errors).reduce((total, count) => total + count, 0),
    }
  }

  /** Ends the audio of all sessions and waits for the relay to close them. Resolves with how many it did not. */
  finish(): Promise<number> {
    this.#isFinishing = true
    for (const session of this.#sessions) session.finish()
    return new Promise(resolve => {
      const startedMs = performance.now()
      const timer = setInterval(() => {
        if (this.#sessions.size > 0 && performance.now() - startedMs < FINISH_TIMEOUT_MS) return
        clearInterval(timer)
        this.#wheel.stop()
        const leftCount = this.#sessions.size
        for (const session of this.#sessions) session.destroy()
        resolve(leftCount)
      }, RAMP_TICK_MS)
    })
  }

  sessionOnOpen(session: ClientSession, connectMs: number): void {
    this.#openCount++
    record(this.#connect, connectMs)
    this.#wheel.add(session)
  }

  sessionOnSent(): void {
    this.#sentFrames++
  }

  sessionOnResult(addedMs: number): void {
    this.#results++
    record(this.#latency, addedMs)
  }

  sessionOnClose(session: ClientSession, error: string | null): void {
    if (!this.#sessions.delete(session)) return
    if (session.wasOpened) this.#openCount--
    this.#wheel.remove(session)
    if (error !== null) this.#errors[error] = (this.#errors[error] ?? 0) + 1
  }
}

function record(histogram: Histogram, ms: number): void {
  histogram.recordValue(Math.max(1, Math.min(HISTOGRAM.highestTrackableValue, Math.round(ms * 1000))))
}

const generator = new Generator(readConfig() as GeneratorConfig)

answer({
  start: () => generator.start(),
  mark: () => generator.mark(),
  progress: () => generator.progress(),
  report: () => generator.report(),
  finish: () => generator.finish(),
})
