/**
 * From TranscriptEvents of the upstream to `Transcript` messages of the client: format, word details, one timeline,
 * and which partial results go out.
 *
 * Final results are always delivered. A partial is left out when the client does not want any, when redaction is on
 * (the service redacts finals only) and the operator did not allow it, or when the client is behind: the next
 * partial says the same and more.
 */
import { awsTranscript, awsTranscriptAsCame, simpleTranscript } from '../protocol/result-formats.ts'
import type { StreamRequest } from '../protocol/stream-request.ts'
import { parseTranscriptEvent, type TranscribeResult } from '../transcribe/results.ts'
import type { SessionMetrics } from './ports.ts'
import type { Timeline } from './timeline.ts'

export interface ForwarderPorts {
  /** Sends one message to the client. */
  deliver(message: string): void
  /** Whether the client reads more slowly than results arrive. */
  isBehind(): boolean
  readonly metrics: SessionMetrics
  readonly timeline: Timeline
}

export class ResultForwarder {
  readonly #stream: StreamRequest
  readonly #withholdsPartials: boolean
  readonly #ports: ForwarderPorts
  #seq = 0
  #finals = 0
  #firstResultAtMs: number | null = null
  readonly #textDecoder = new TextDecoder('utf-8', { fatal: true })

  constructor(stream: StreamRequest, allowUnredactedPartials: boolean, ports: ForwarderPorts) {
    this.#stream = stream
    this.#withholdsPartials = stream.parameters.redactsPartials && !allowUnredactedPartials
    this.#ports = ports
  }

  /** Final results delivered. */
  get finals(): number {
    return this.#finals
  }

  /** Monotonic time of the first result of any kind; `null` before. */
  get firstResultAtMs(): number | null {
    return this.#firstResultAtMs
  }

  /** `payload`: JSON of one TranscriptEvent, valid during the call. Throws when it is none. */
  forward(payload: Uint8Array, nowMs: number): void {
    const json = this.#textDecoder.decode(payload)
    const results = parseTranscriptEvent(json).Transcript.Results
    if (results.length === 0) return
    this.#firstResultAtMs ??= nowMs
    const wanted = results.filter(result => this.#measure(result, nowMs))
    if (wanted.length === 0) return
    if (this.#stream.format === 'aws') this.#deliverAws(json, results, wanted)
    else for (const result of wanted) this.#deliverSimple(result)
  }

  /** Counts a result and says whether it goes out. */
  #measure(result: TranscribeResult, nowMs: number): boolean {
    const { metrics, timeline } = this.#ports
    const end = result.EndTime ?? 0
    const arrivalMs = timeline.arrivalMs(end + timeline.shiftAt(end))
    const lagSeconds = arrivalMs === null ? null : (nowMs - arrivalMs) / 1000
    if (result.IsPartial === false) {
      metrics.resultsFinal += 1
      if (lagSeconds !== null) metrics.observeFinalLagSeconds(lagSeconds)
      this.#finals += 1
      return true
    }
    metrics.resultsPartial += 1
    if (lagSeconds !== null) metrics.observePartialLagSeconds(lagSeconds)
    if (this.#withholdsPartials || !this.#stream.partials) {
      metrics.partialsWithheld += 1
      return false
    }
    if (this.#ports.isBehind()) {
      metrics.partialsDropped += 1
      return false
    }
    return true
  }

  #deliverSimple(result: TranscribeResult): void {
    this.#seq += 1
    const shift = this.#ports.timeline.shiftAt(result.EndTime ?? 0)
    this.#ports.deliver(JSON.stringify(simpleTranscript(result, this.#seq, this.#stream.words, shift)))
  }

  #deliverAws(json: string, results: readonly TranscribeResult[], wanted: readonly TranscribeResult[]): void {
    const shift = this.#ports.timeline.shiftAt(wanted[0]?.EndTime ?? 0)
    const isAsCame = wanted.length === results.length && shift === 0
    this.#ports.deliver(isAsCame ? awsTranscriptAsCame(json) : awsTranscript(wanted, shift))
  }
}
