/**
 * The figures of a running relay. Sessions and sockets write plain numbers; everything that Prometheus wants is done
 * when it scrapes.
 *
 * Implements what the session, the listening and the dialling side ask for (`SessionMetrics`, and the ports of
 * `server/` and `upstream/`, matched by shape, as adapters do not import each other).
 */
import type { Histogram } from 'prom-client'
import { Registry } from 'prom-client'
import type { ErrorCode } from '../errors.ts'
import { ERRORS } from '../errors.ts'
import type { AdmissionReason, LoadReason } from '../session/admission-gate.ts'
import type { SessionMetrics } from '../session/ports.ts'
import type { QueueRefusal, RedisOperation, SpillReason } from '../session/region-labels.ts'
import type { RolloverReason } from '../session/rollover-policy.ts'
import type { BufferedBytes } from './collectors.ts'
import { Collectors } from './collectors.ts'
import type { LabelLists } from './definitions.ts'
import { METRICS } from './definitions.ts'
import { processMetrics } from './process-metrics.ts'
import type { RegionSources } from './region-figures.ts'
import { NO_REGION_SOURCES, RegionFigures } from './region-figures.ts'
import type { SeriesCounts } from './series-counts.ts'
import type { MetricsSnapshot } from './snapshot.ts'
import { takeSnapshot } from './snapshot.ts'

/** Why new sessions are refused; by reason. */
export interface AdmissionSource {
  refusals(reason: AdmissionReason): number
  isClosed(reason: LoadReason): boolean
  load(reason: LoadReason): number
}

/** Asked at each scrape. */
export interface MetricSources {
  activeSessions(): number
  maxSessions(): number
  sessionsAway(): number
  admission: AdmissionSource
  isReady(): boolean
  isDraining(): boolean
  clientBufferedBytes(): BufferedBytes
  upstreamBufferedBytes(): BufferedBytes
  /** `expiresAtMs`: wall clock; `null`: never, or there are none yet. */
  credentials(): {
    readonly refreshesOk: number
    readonly refreshesFailed: number
    readonly expiresAtMs: number | null
  }
  logLines(): Readonly<Record<string, number>>
  lostLogLines?(): number
  /** By outcome; `null`: no traces. */
  traceSpans?(): Readonly<Record<'exported' | 'failed' | 'dropped', number>> | null
  auditLines?(): number
  lostAuditLines?(): number
  /** Of the client port, wall clock; `null`: none. */
  certificateExpiresAtMs?(): number | null
  readonly regions?: RegionSources
}

export interface MetricsOptions extends LabelLists {
  /** Of the relay. */
  readonly version: string
  readonly sources: MetricSources
}

export interface Scrape {
  readonly contentType: string
  readonly body: string
}

export interface RelayMetrics extends SessionMetrics {
  /** Once a request of a client is answered: `normal` when accepted, else the code it was refused with. */
  countHandshake(outcome: 'accepted' | 'rejected', code: ErrorCode): void
  observeHandshakeSeconds(seconds: number): void
  countViolation(reason: string): void
  countForcedClose(): void
  countConnectionRefused(): void
  /** Streams that wait for their turn to be opened. */
  upstreamDialsWaiting: number
  /** Once an attempt to connect to the upstream; `reason` is `none` for `ok`. */
  countConnect(outcome: 'ok' | 'error', reason: string): void
  countSpill(region: string, reason: SpillReason): void
  countRegionStream(region: string): void
  observeQueueSeconds(seconds: number): void
  countQueueRefusal(reason: QueueRefusal): void
  countRedisFailure(operation: RedisOperation): void
  /** Names the native build that serves clients, once it is known. */
  setBuild(native: string): void
  /** The text that Prometheus reads. */
  scrape(): Promise<Scrape>
  /** The same as data, for a process that answers for several. */
  takeSnapshot(): Promise<MetricsSnapshot>
}

export function createMetrics(options: MetricsOptions): RelayMetrics {
  return new PrometheusMetrics(options)
}

class PrometheusMetrics implements RelayMetrics {
  clientAudioBytes = 0
  clientAudioMessages = 0
  clientAudioSeconds = 0
  upstreamAudioBytes = 0
  upstreamFrames = 0
  silenceFilledSeconds = 0
  upstreamStreamsActive = 0
  upstreamDialsWaiting = 0
  replayedSeconds = 0
  rolloverLostSeconds = 0
  parkedSeconds = 0
  audioDroppedBytes = 0
  resultsPartial = 0
  resultsFinal = 0
  partialsDropped = 0
  partialsWithheld = 0
  resultsRepeated = 0
  clientSentBytes = 0
  warnings = 0
  connectionsLost = 0
  connectionsResumed = 0
  unknownEvents = 0
  #sessionsStarted = 0
  #forcedCloses = 0
  #connectionsRefused = 0
  #native = 'unknown'
  readonly #registry = new Registry()
  readonly #sessionsClosed: SeriesCounts
  readonly #handshakes: SeriesCounts
  readonly #violations: SeriesCounts
  readonly #connects: SeriesCounts
  readonly #exceptions: SeriesCounts
  readonly #decodeErrors: SeriesCounts
  readonly #rollovers: SeriesCounts
  readonly #sessionDuration: Histogram
  readonly #handshakeDuration: Histogram
  readonly #connectDuration: Histogram
  readonly #partialLag: Histogram
  readonly #finalLag: Histogram
  readonly #regions: RegionFigures

  constructor(options: MetricsOptions) {
    const collect = new Collectors(this.#registry, options)
    this.#registerTotals(collect)
    registerSources(collect, options.sources)
    collect.info(METRICS.buildInfo, () => ({
      version: options.version,
      node: process.versions.node,
      native: this.#native,
    }))
    this.#sessionsClosed = collect.counts(METRICS.sessionsClosed)
    this.#handshakes = collect.counts(METRICS.handshakes)
    this.#violations = collect.counts(METRICS.protocolViolations)
    this.#connects = collect.counts(METRICS.upstreamConnects)
    this.#exceptions = collect.counts(METRICS.upstreamExceptions)
    this.#decodeErrors = collect.counts(METRICS.decodeErrors)
    this.#rollovers = collect.counts(METRICS.rollovers)
    this.#sessionDuration = collect.histogram(METRICS.sessionDuration)
    this.#handshakeDuration = collect.histogram(METRICS.handshakeDuration)
    this.#connectDuration = collect.histogram(METRICS.upstreamConnectDuration)
    this.#partialLag = collect.histogram(METRICS.partialLag)
    this.#finalLag = collect.histogram(METRICS.finalLag)
    this.#regions = new RegionFigures(collect, options.sources.regions ?? NO_REGION_SOURCES)
  }

  countSessionStarted(): void {
    this.#sessionsStarted += 1
  }

  countSessionEnded(code: ErrorCode, durationSeconds: number): void {
    this.#sessionsClosed.count(ERRORS[code].class, code)
    observe(this.#sessionDuration, durationSeconds)
  }

  countHandshake(outcome: 'accepted' | 'rejected', code: ErrorCode): void {
    this.#handshakes.count(outcome, code)
  }

  observeHandshakeSeconds(seconds: number): void {
    observe(this.#handshakeDuration, seconds)
  }

  countViolation(reason: string): void {
    this.#violations.count(reason)
  }

  countForcedClose(): void {
    this.#forcedCloses += 1
  }

  countConnectionRefused(): void {
    this.#connectionsRefused += 1
  }

  countConnect(outcome: 'ok' | 'error', reason: string): void {
    this.#connects.count(outcome, reason)
  }

  countUpstreamException(exception: string): void {
    this.#exceptions.count(exception)
  }

  countDecodeError(reason: string): void {
    this.#decodeErrors.count(reason)
  }

  countRollover(reason: RolloverReason): void {
    this.#rollovers.count(reason)
  }

  observePartialLagSeconds(seconds: number): void {
    observe(this.#partialLag, seconds)
  }

  observeFinalLagSeconds(seconds: number): void {
    observe(this.#finalLag, seconds)
  }

  observeUpstreamConnectSeconds(seconds: number): void {
    observe(this.#connectDuration, seconds)
  }

  countSpill(region: string, reason: SpillReason): void {
    this.#regions.countSpill(region, reason)
  }

  countRegionStream(region: string): void {
    this.#regions.countRegionStream(region)
  }

  observeQueueSeconds(seconds: number): void {
    this.#regions.observeQueueSeconds(seconds)
  }

  countQueueRefusal(reason: QueueRefusal): void {
    this.#regions.countQueueRefusal(reason)
  }

  countRedisFailure(operation: RedisOperation): void {
    this.#regions.countRedisFailure(operation)
  }

  setBuild(native: string): void {
    this.#native = native
  }

  async scrape(): Promise<Scrape> {
    const texts = await Promise.all([this.#registry.metrics(), processMetrics().metrics()])
    return { contentType: this.#registry.contentType, body: texts.join('\n') }
  }

  async takeSnapshot(): Promise<MetricsSnapshot> {
    return takeSnapshot([this.#registry, processMetrics()])
  }

  #registerTotals(collect: Collectors): void {
    collect.counter(METRICS.sessionsStarted, () => this.#sessionsStarted)
    collect.counter(METRICS.forcedCloses, () => this.#forcedCloses)
    collect.counter(METRICS.connectionsRefused, () => this.#connectionsRefused)
    collect.counter(METRICS.clientAudioMessages, () => this.clientAudioMessages)
    collect.counter(METRICS.clientAudioBytes, () => this.clientAudioBytes)
    collect.counter(METRICS.clientAudioSeconds, () => this.clientAudioSeconds)
    collect.counter(METRICS.audioDroppedBytes, () => this.audioDroppedBytes)
    collect.counter(METRICS.upstreamFrames, () => this.upstreamFrames)
    collect.counter(METRICS.upstreamAudioBytes, () => this.upstreamAudioBytes)
    collect.counter(METRICS.silenceFilledSeconds, () => this.silenceFilledSeconds)
    collect.gauge(METRICS.upstreamDialsWaiting, () => this.upstreamDialsWaiting)
    collect.gauge(METRICS.upstreamStreamsActive, () => this.upstreamStreamsActive)
    collect.counter(METRICS.replayedSeconds, () => this.replayedSeconds)
    collect.counter(METRICS.rolloverLostSeconds, () => this.rolloverLostSeconds)
    collect.counter(METRICS.parkedSeconds, () => this.parkedSeconds)
    collect.counter(METRICS.resultsRepeated, () => this.resultsRepeated)
    collect.counter(METRICS.partialsDropped, () => this.partialsDropped)
    collect.counter(METRICS.partialsWithheld, () => this.partialsWithheld)
    collect.counter(METRICS.connectionsLost, () => this.connectionsLost)
    collect.counter(METRICS.connectionsResumed, () => this.connectionsResumed)
    collect.counter(METRICS.clientSentBytes, () => this.clientSentBytes)
    collect.counter(METRICS.warnings, () => this.warnings)
    collect.counter(METRICS.upstreamUnknownEvents, () => this.unknownEvents)
    collect.series(METRICS.results, kind => (kind === 'final' ? this.resultsFinal : this.resultsPartial))
  }
}

/** What others know, asked at each scrape. */
function registerSources(collect: Collectors, sources: MetricSources): void {
  collect.gauge(METRICS.sessionsActive, () => sources.activeSessions())
  collect.gauge(METRICS.sessionsLimit, () => sources.maxSessions())
  const { admission } = sources
  collect.series(METRICS.admissionRefusals, reason => admission.refusals(reason as AdmissionReason))
  collect.gauges(METRICS.admissionClosed, reason => Number(admission.isClosed(reason as LoadReason)))
  collect.gauges(METRICS.admissionLoad, reason => admission.load(reason as LoadReason))
  collect.gauge(METRICS.sessionsAway, () => sources.sessionsAway())
  collect.gauge(METRICS.ready, () => Number(sources.isReady()))
  collect.gauge(METRICS.draining, () => Number(sources.isDraining()))
  collect.buffered(METRICS.clientBuffered, () => sources.clientBufferedBytes())
  collect.buffered(METRICS.upstreamBuffered, () => sources.upstreamBufferedBytes())
  collect.gauge(METRICS.credentialsExpiry, () => {
    const { refreshesOk, expiresAtMs } = sources.credentials()
    if (expiresAtMs !== null) return expiresAtMs / 1000
    return refreshesOk > 0 ? Infinity : Number.NaN
  })
  collect.series(METRICS.credentialRefreshes, outcome => {
    const { refreshesOk, refreshesFailed } = sources.credentials()
    return outcome === 'ok' ? refreshesOk : refreshesFailed
  })
  collect.gauge(METRICS.certificateExpiry, () => {
    const expiresAtMs = sources.certificateExpiresAtMs?.() ?? null
    return expiresAtMs === null ? Number.NaN : expiresAtMs / 1000
  })
  collect.series(METRICS.logLines, level => sources.logLines()[level] ?? 0)
  collect.counter(METRICS.auditLines, () => sources.auditLines?.() ?? 0)
  collect.counter(METRICS.auditLinesLost, () => sources.lostAuditLines?.() ?? 0)
  collect.counter(METRICS.logLinesLost, () => sources.lostLogLines?.() ?? 0)
  collect.series(METRICS.traceSpans, outcome => {
    const counts: Readonly<Record<string, number>> = sources.traceSpans?.() ?? {}
    return counts[outcome] ?? 0
  })
}

/** The library throws on what is no number; a wrong measurement must not end a session. */
function observe(histogram: Histogram, seconds: number): void {
  if (Number.isFinite(seconds) && seconds >= 0) histogram.observe(seconds)
}
