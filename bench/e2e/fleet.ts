/** The load generators of one run as one: shares of the sessions out, figures together again. */
import { decodeFromCompressedBase64, type Histogram } from 'hdr-histogram-js'
import { startChild, type Child } from './child.ts'
import type { GeneratorConfig, GeneratorProgress, GeneratorReport } from './load-generator.ts'

export interface FleetOptions extends Omit<GeneratorConfig, 'firstNumber'> {
  readonly processes: number
  readonly core: number | null
  /** Certificate to trust, PEM file. */
  readonly caFile: string | null
}

export interface Quantiles {
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly count: number
}

export interface FleetReport extends Omit<GeneratorReport, 'latency' | 'lateness' | 'connect'> {
  readonly latency: Quantiles
  readonly lateness: Quantiles
  readonly connect: Quantiles
  /** Of the busiest generator: CPU time over time. */
  readonly busiestShare: number
}

export class Fleet {
  readonly #children: readonly Child[]

  constructor(options: FleetOptions) {
    const { caFile, core, processes, rampPerSecond, sessions, ...shared } = options
    const share = Math.ceil(sessions / processes)
    this.#children = Array.from({ length: processes }, (_, index) => {
      const firstNumber = index * share
      const config: GeneratorConfig = {
        ...shared,
        rampPerSecond: rampPerSecond / processes,
        firstNumber,
        sessions: Math.max(0, Math.min(share, sessions - firstNumber)),
      }
      const env = caFile === null ? {} : { NODE_EXTRA_CA_CERTS: caFile }
      return startChild('load-generator.ts', { config, core, env })
    })
  }

  async start(): Promise<void> {
    await this.#ask<null>('start')
  }

  async mark(): Promise<void> {
    await this.#ask<null>('mark')
  }

  async progress(): Promise<GeneratorProgress> {
    const parts = await this.#ask<GeneratorProgress>('progress')
    return {
      openSessions: sum(parts, part => part.openSessions),
      sentFrames: sum(parts, part => part.sentFrames),
      results: sum(parts, part => part.results),
      errorCount: sum(parts, part => part.errorCount),
    }
  }

  async report(): Promise<FleetReport> {
    const parts = await this.#ask<GeneratorReport>('report')
    const errors: Record<string, number> = {}
    for (const part of parts) {
      for (const [code, count] of Object.entries(part.errors)) errors[code] = (errors[code] ?? 0) + count
    }
    return {
      elapsedMs: Math.max(...parts.map(part => part.elapsedMs)),
      openSessions: sum(parts, part => part.openSessions),
      sentFrames: sum(parts, part => part.sentFrames),
      results: sum(parts, part => part.results),
      errors,
      cpuMicros: sum(parts, part => part.cpuMicros),
      rssBytes: sum(parts, part => part.rssBytes),
      latency: quantilesOf(parts.map(part => part.latency)),
      lateness: quantilesOf(parts.map(part => part.lateness)),
      connect: quantilesOf(parts.map(part => part.connect)),
      busiestShare: Math.max(...parts.map(part => part.cpuMicros / 1000 / part.elapsedMs)),
    }
  }

  /** Ends all sessions in good order. Resolves with how many the relay did not close. */
  async finish(): Promise<number> {
    return sum(await this.#ask<number>('finish'), count => count)
  }

  async kill(): Promise<void> {
    await Promise.all(this.#children.map(child => child.kill()))
  }

  #ask<Value>(name: string): Promise<Value[]> {
    return Promise.all(this.#children.map(child => child.ask<Value>(name)))
  }
}

function quantilesOf(encoded: readonly string[]): Quantiles {
  const histograms: readonly Histogram[] = encoded.map(text => decodeFromCompressedBase64(text))
  const [all, ...others] = histograms
  if (all === undefined) throw new RangeError('A fleet has at least one generator.')
  for (const other of others) all.add(other)
  const at = (percent: number): number =>
    all.totalCount === 0 ? 0 : all.getValueAtPercentile(percent) / 1000
  return { p50Ms: at(50), p90Ms: at(90), p99Ms: at(99), p999Ms: at(99.9), count: all.totalCount }
}

function sum<Part>(parts: readonly Part[], numberOf: (part: Part) => number): number {
  return parts.reduce((total, part) => total + numberOf(part), 0)
}
