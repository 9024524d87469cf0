/**
 * From TranscriptEvents of the upstream to `Transcript` messages of the client: format, word details, one timeline,
 * and which partial results go out.
 *
 * Final results are always delivered. A partial is left out when the client does not want any, when redaction is on
 * (the service redacts finals only) and the operator did not allow it, or when the client is behind: the next
 * partial says the same and more. Of a stream that is given audio again, what the client has already is left out.
 */
import {
  awsTranscript,
  awsTranscriptAsCame,
  simpleTranscript,
  type ClientTime,
} from '../protocol/result-formats.ts'
import type { StreamRequest } from '../protocol/stream-request.ts'
import { parseOutline } from '../transcribe/results-outline.ts'
import {
  parseTranscriptEvent,
  TranscriptEventError,
  type TranscribeResult,
  type TranscriptEvent,
} from '../transcribe/results.ts'
import type { Coverage } from './coverage.ts'
import type { SessionMetrics } from './ports.ts'
import { withoutRepeated } from './repeated-words.ts'
import type { StreamTimeline } from './stream-timeline.ts'
import type { Timeline } from './timeline.ts'

export interface ForwarderPorts {
  /** Sends one message to the client, or several that leave together. */
  deliver(message: string): void
  deliverAll(messages: readonly string[]): void
  /** Whether the client reads more slowly than results arrive. */
  isBehind(): boolean
  readonly metrics: SessionMetrics
  readonly timeline: Timeline
  readonly coverage: Coverage
  /** Every channel is covered up to here. */
  onCovered(seconds: number): void
}

/** What has to be known of the stream that results are from. */
export interface StreamResults {
  readonly timeline: StreamTimeline
  /** What the client had of each channel when the stream began, seconds of its audio; `null` for the first stream. */
  heard: ReadonlyMap<string, number> | null
}

export class ResultForwarder {
  readonly #stream: StreamRequest
  readonly #withholdsPartials: boolean
  /** The words of a partial result are in none of its messages, as long as no time has to be moved. */
  readonly #mayCutItems: boolean
  readonly #ports: ForwarderPorts
  #seq = 0
  #finals = 0
  #lastEndSeconds = 0

  constructor(stream: StreamRequest, allowUnredactedPartials: boolean, ports: ForwarderPorts) {
    this.#stream = stream
    const { redactsPartials, wire } = stream.parameters
    this.#withholdsPartials = (redactsPartials && !allowUnredactedPartials) || !stream.partials
    const isTextOnly = stream.format === 'simple' && !stream.words && wire['show-speaker-label'] !== 'true'
    this.#mayCutItems = isTextOnly || this.#withholdsPartials
    this.#ports = ports
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
  forward(payload: Uint8Array, stream: StreamResults, nowMs: number): void {
    const json = decodeUtf8(payload)
    const results = this.#read(json, stream).Transcript.Results
    const { coverage } = this.#ports
    if (results.length === 0) return coverage.addQuiet(stream.timeline.sentSeconds)
    const clientTime: ClientTime = seconds => stream.timeline.clientTime(seconds)
    const wanted: TranscribeResult[] = []
    for (const came of results) {
      const result = this.#withoutRepeated(came, stream, clientTime)
      if (result !== null && this.#measure(result, clientTime, nowMs)) wanted.push(result)
    }
    if (wanted.length === 0) return
    if (this.#stream.format === 'simple') {
      const [first, ...others] = wanted
      if (first !== undefined && others.length === 0) this.#ports.deliver(this.#simple(first, clientTime))
      else this.#ports.deliverAll(wanted.map(result => this.#simple(result, clientTime)))
      return
    }
    // Where the two times are one and nothing is left out, nothing is rewritten. Of an outline all or nothing goes out.
    const isAsCame = stream.timeline.isSame && wanted.length === results.length && stream.heard === null
    this.#ports.deliver(isAsCame ? awsTranscriptAsCame(json) : awsTranscript(wanted, clientTime))
  }

  /** With its items, unless nobody looks at them. What the client had of a stream before is told by them. */
  #read(json: string, { heard, timeline }: StreamResults): TranscriptEvent {
    const isAsCame = this.#stream.format === 'aws' && timeline.isSame
    const outline = heard === null && (this.#mayCutItems || isAsCame) ? parseOutline(json) : null
    return outline ?? parseTranscriptEvent(json)
  }

  #withoutRepeated(
    result: TranscribeResult,
    { heard }: StreamResults,
    clientTime: ClientTime,
  ): TranscribeResult | null {
    const heardSeconds = heard?.get(result.ChannelId ?? '')
    const kept = heardSeconds === undefined ? result : withoutRepeated(result, heardSeconds, clientTime)
    if (kept === null) this.#ports.metrics.resultsRepeated += 1
    return kept
  }

  /** Counts a result and says whether it goes out. */
  #measure(result: TranscribeResult, clientTime: ClientTime, nowMs: number): boolean {
    const { coverage, metrics, timeline } = this.#ports
    const endSeconds = clientTime(result.EndTime ?? 0)
    this.#lastEndSeconds = Math.max(this.#lastEndSeconds, endSeconds)
    coverage.add(result, clientTime)
    const arrivalMs = timeline.arrivalMs(endSeconds)
    const lagSeconds = arrivalMs === null ? null : (nowMs - arrivalMs) / 1000
    if (result.IsPartial === false) {
      this.#ports.onCovered(coverage.coveredSeconds)
      metrics.resultsFinal += 1
      if (lagSeconds !== null) metrics.observeFinalLagSeconds(lagSeconds)
      this.#finals += 1
      return true
    }
    metrics.resultsPartial += 1
    if (lagSeconds !== null) metrics.observePartialLagSeconds(lagSeconds)
    if (this.#withholdsPartials) {
      metrics.partialsWithheld += 1
      return false
    }
    if (this.#ports.isBehind()) {
      metrics.partialsDropped += 1
      return false
    }
    return true
  }

  #simple(result: TranscribeResult, clientTime: ClientTime): string {
    this.#seq += 1
    return JSON.stringify(simpleTranscript(result, this.#seq, this.#stream.words, clientTime))
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
