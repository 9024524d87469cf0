/**
 * From TranscriptEvents of the upstream to `Transcript` messages of the client: format, word details, one timeline,
 * and which partial results go out.
 *
 * Final results are always delivered. A partial is left out when the client does not want any, when redaction is on
 * (the service redacts finals only) and the operator did not allow it, or when the client is behind: the next
 * partial says the same and more.
 */
import {
  awsTranscript,
  awsTranscriptAsCame,
  simpleTranscript,
  type ClientTime,
} from '../protocol/result-formats.ts'
import type { StreamRequest } from '../protocol/stream-request.ts'
import { parseTranscriptEvent, TranscriptEventError, type TranscribeResult } from '../transcribe/results.ts'
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
  #lastEndSeconds = 0
  readonly #clientTime: ClientTime

  constructor(stream: StreamRequest, allowUnredactedPartials: boolean, ports: ForwarderPorts) {
    this.#stream = stream
    this.#withholdsPartials = stream.parameters.redactsPartials && !allowUnredactedPartials
    this.#ports = ports
    this.#clientTime = seconds => ports.timeline.clientTime(seconds)
  }

  /** Final results so far. */
  get finals(): number {
    return this.#finals
  }

  /** The latest end of a result so far, in the client's time. */
  get lastEndSeconds(): number {
    return this.#lastEndSeconds
  }

  /** `payload`: JSON of one TranscriptEvent, valid during the call. Throws TranscriptEventError when it is none. */
  forward(payload: Uint8Array, nowMs: number): void {
    const json = decodeUtf8(payload)
    const results = parseTranscriptEvent(json).Transcript.Results
    if (results.length === 0) return
    const wanted = results.filter(result => this.#measure(result, nowMs))
    if (wanted.length === 0) return
    if (this.#stream.format === 'aws') this.#deliverAws(json, results, wanted)
    else for (const result of wanted) this.#deliverSimple(result)
  }

  /** Counts a result and says whether it goes out. */
  #measure(result: TranscribeResult, nowMs: number): boolean {
    const { metrics, timeline } = this.#ports
    const endSeconds = this.#clientTime(result.EndTime ?? 0)
    this.#lastEndSeconds = Math.max(this.#lastEndSeconds, endSeconds)
    const arrivalMs = timeline.arrivalMs(endSeconds)
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
    const message = simpleTranscript(result, this.#seq, this.#stream.words, this.#clientTime)
    this.#ports.deliver(JSON.stringify(message))
  }

  #deliverAws(json: string, results: readonly TranscribeResult[], wanted: readonly TranscribeResult[]): void {
    // Without silence of the relay the two times are one, and nothing moves.
    const isAsCame = wanted.length === results.length && this.#ports.timeline.silenceSeconds === 0
    this.#ports.deliver(isAsCame ? awsTranscriptAsCame(json) : awsTranscript(wanted, this.#clientTime))
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decodeUtf8(payload: Uint8Array): string {
  try {
    return utf8.decode(payload)
  } catch {
    // The decoder's own error says no more than that.
    throw new TranscriptEventError('not_utf8')
  }
}
