/**
 * A session's way to Amazon Transcribe, over any number of streams, of which one at a time gets audio.
 *
 *      start ─▶ dialling ─▶ stream ───────────── asked to end, all results there ─▶ nothing (parked, or the end)
 *                  ▲          │  └─ old or its credentials about to end: dial the next one, then change over
 *                  └──────────┘  lost: wait, dial again
 *
 * Every stream but the first begins with the audio that no final result covers, and whatever the one before it says
 * from then on is left out: so nothing is lost and nothing repeated, whichever way a stream came to its end. The session
 * decides what follows from each event (`LinkOwner`); this file knows how.
 */
import type { Clock } from '../clock.ts'
import type { DialOrigin } from './dial-requests.ts'
import { DialRequests } from './dial-requests.ts'
import { RelayError } from '../errors.ts'
import { HandoverPlan } from './handover-plan.ts'
import type { SessionLimits } from './limits.ts'
import type { Restart, SessionMetrics, SessionTrace, UpstreamDialer, UpstreamOpening } from './ports.ts'
import { isCurable, RolloverPolicy, type RolloverReason } from './rollover-policy.ts'
import type { StreamParts } from './stream-parts.ts'
import { UpstreamStream, type StreamOwner } from './upstream-stream.ts'

export interface LinkOwner {
  /** A stream takes audio. `restart` is `null` for the first, and for one that nothing had to be told again. */
  linkOnOpen(opening: UpstreamOpening, restart: Restart | null): void
  /** The stream was lost, and another one is on its way. `isIdle`: because it got no audio. */
  linkOnLost(isIdle: boolean): void
  /** The stream is gone, and nothing is unfinished. */
  linkOnFinished(): void
  /** There will be no other stream. */
  linkOnFailed(error: RelayError): void
  linkOnBug(error: unknown): void
}

export interface LinkDependencies {
  readonly clock: Clock
  readonly dialer: UpstreamDialer
  readonly metrics: SessionMetrics
  readonly limits: SessionLimits
  /** In [0, 1). */
  readonly random: () => number
}

/** Of one session. */
export interface LinkParts extends LinkDependencies {
  readonly trace: SessionTrace | null
}

/** Sums over the streams that are gone. */
interface Totals {
  frames: number
  billedSeconds: number
  lostSeconds: number
  parkedSeconds: number
}

const MIN_HANDOVER_RETRY_MS = 1000
/** However early a change is begun, it must not be put off until the service ends the stream. */
const MAX_HANDOVER_RETRY_MS = 15_000
/** The service gives up a stream without audio after 15 s; whatever it could say about the audio before is said by then. */
const IDLE_MS = 10_000
/** Longer than any word. Sent again after a park; every stream is billed for more than that. */
const CONTEXT_SECONDS = 2

export class UpstreamLink implements StreamOwner {
  readonly #requests: DialRequests
  readonly #owner: LinkOwner
  readonly #deps: LinkParts
  readonly #parts: StreamParts
  readonly #policy: RolloverPolicy
  readonly #totals: Totals = {
    frames: 0,
    billedSeconds: 0,
    lostSeconds: 0,
    parkedSeconds: 0,
  }
  /** Gets audio, or was asked to end. */
  #stream: UpstreamStream | null = null
  /** Is being dialled. */
  #next: UpstreamStream | null = null
  #opened = 0
  #rollovers = 0
  #firstOpening: UpstreamOpening | null = null
  #dialAtMs = Infinity
  #flushDeadlineMs = Infinity
  #flushSinceMs = Infinity
  #handover: HandoverPlan | null = null
  /** Why the last stream was lost; ends the session if no other is to be had. */
  #cause: RelayError | null = null
  #reason: RolloverReason | null = null
  #parkedSinceMs: number | null = null
  /** The last stream closed well without a final of the last segment. */
  #wasEarly = false

  constructor(origin: DialOrigin, parts: StreamParts, owner: LinkOwner, deps: LinkParts) {
    this.#requests = new DialRequests(origin, parts.request)
    this.#parts = parts
    this.#owner = owner
    this.#deps = deps
    this.#policy = new RolloverPolicy(deps.limits, deps.random)
  }

  /** Of the first stream. */
  get opening(): UpstreamOpening | null {
    return this.#firstOpening
  }

  get streams(): number {
    return this.#opened
  }

  get rollovers(): number {
    return this.#rollovers
  }

  get bufferedBytes(): number {
    return this.#stream?.bufferedBytes ?? 0
  }

  /** No stream is open or on its way. */
  get isIdle(): boolean {
    return this.#stream === null && this.#next === null && this.#dialAtMs === Infinity
  }

  get totals(): Readonly<Totals> {
    const current = this.#stream
    if (current === null) return this.#totals
    return {
      ...this.#totals,
      frames: this.#totals.frames + current.sentFrames,
      billedSeconds: this.#totals.billedSeconds + this.#billedSeconds(current),
    }
  }

  start(): void {
    this.#dial()
  }

  /** A stream is wanted again, after one was asked to end. If that one is not done yet, it is given up. */
  resume(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#addParked(nowMs)
    this.#parkedSinceMs = null
    this.#reason = this.#stream === null ? null : 'resumed'
    this.#drop()?.retire()
    this.#cause = null
    this.#policy.startGap(nowMs)
    if (this.#next === null) this.#dial()
  }

  /** The stream is ended once it has all audio so far; then `linkOnFinished`, or `linkOnLost`. */
  endStream(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const { audio } = this.#parts
    this.#next?.retire()
    this.#next = null
    this.#handover = null
    audio.endStream(nowMs)
    const aheadMs = Math.max(0, (this.#stream?.aheadMs(nowMs) ?? 0) + audio.unsentSeconds * 1000)
    this.#flushSinceMs = Math.min(this.#flushSinceMs, nowMs)
    this.#flushDeadlineMs = nowMs + this.#deps.limits.flushTimeoutMs + aheadMs
  }

  /** The last call. `isPolite`: the stream is told that the audio is over. */
  close(): void {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#addParked(nowMs)
    this.#parkedSinceMs = null
    this.#dialAtMs = Infinity
    this.#next?.retire()
    this.#next = null
    this.#drop()?.retire()
  }

  tick(nowMs: number): void {
    this.#addParked(nowMs)
    this.#parts.audio.pump(nowMs)
    if (this.#policy.isGapTooLong(nowMs)) return this.#giveUp(this.#cause)
    if (nowMs >= this.#dialAtMs) this.#dial()
    const stream = this.#stream
    if (stream === null) return
    if (this.#isStuck(stream, nowMs)) {
      stream.cut()
      this.#lose(stream, new RelayError('upstream_stalled'))
    } else if (nowMs >= this.#flushDeadlineMs) {
      stream.retire()
      this.#lose(stream, new RelayError('flush_timeout'))
    } else if (this.#next === null && this.#isHandoverDue(nowMs, stream)) {
      this.#reason = this.#handover?.reason ?? null
      this.#dial()
    }
  }

  // ── what a stream says ──────────────────────────────────────────────────────────────────────────────────────────

  streamOnOpen(stream: UpstreamStream, opening: UpstreamOpening): void {
    const nowMs = this.#deps.clock.monotonicMs()
    this.#next = null
    // Made before broken: the one before took audio until now.
    this.#drop()?.retire()
    this.#stream = stream
    this.#opened += 1
    this.#firstOpening ??= opening
    this.#requests.streamOpened(nowMs)
    this.#handover = this.#parts.audio.canReplay ? this.#planHandover(opening, nowMs) : null
    const restart = this.#attach(stream, nowMs)
    this.#reason = null
    this.#owner.linkOnOpen(opening, restart)
  }

  streamOnEnd(stream: UpstreamStream, error: RelayError | null): void {
    if (stream === this.#next) return this.#dialOnFailure(error)
    // Once, because a service that says no more the second time has no more to say.
    const isEarly = error === null && !this.#wasEarly && this.#lacksResults(stream)
    this.#wasEarly = isEarly
    if (error !== null) return this.#lose(stream, error)
    if (isEarly) return this.#lose(stream, new RelayError('upstream_closed', { detail: 'no last result' }))
    this.#drop()
    this.#finish()
  }

  streamOnBug(error: unknown): void {
    this.#owner.linkOnBug(error)
  }

  // ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #dial(): void {
    this.#dialAtMs = Infinity
    const { clock, dialer, limits, metrics, trace } = this.#deps
    const request = this.#requests.next(clock.monotonicMs())
    this.#next = new UpstreamStream(this.#requests.count, request, {
      owner: this,
      dialer,
      metrics,
      trace,
      forwarder: this.#parts.forwarder,
      stallMs: limits.upstreamStallMs,
      nowMs: () => clock.monotonicMs(),
    })
  }

  #attach(stream: UpstreamStream, nowMs: number): Restart | null {
    const { audio, coverage } = this.#parts
    const { metrics } = this.#deps
    const gapMs = this.#policy.endGap(nowMs)
    if (this.#opened === 1) {
      audio.attach(stream, false, nowMs)
      return null
    }
    const sentSeconds = audio.onceSentSeconds
    const startSeconds = audio.rewind(coverage.coveredSeconds)
    const lostSeconds = Math.min(coverage.restart(startSeconds), audio.takeFallenSeconds())
    const replayedSeconds = Math.max(0, sentSeconds - startSeconds)
    stream.startAt(startSeconds, coverage.snapshot())
    audio.attach(stream, this.#reason !== null, nowMs)
    this.#totals.lostSeconds += lostSeconds
    metrics.rolloverLostSeconds += lostSeconds
    const reason = this.#reason
    if (reason === null) return null
    this.#rollovers += 1
    metrics.countRollover(reason)
    return { reason, replayedSeconds, lostSeconds, gapMs, rollovers: this.#rollovers }
  }

  #planHandover({ credentialsExpireAtMs }: UpstreamOpening, nowMs: number): HandoverPlan {
    const leftMs = credentialsExpireAtMs === null ? null : credentialsExpireAtMs - this.#deps.clock.now()
    return new HandoverPlan(this.#deps.limits, nowMs, leftMs)
  }

  #isHandoverDue(nowMs: number, stream: UpstreamStream): boolean {
    const plan = this.#handover
    if (plan === null) return false
    if (this.#requests.isLeaving(this.#deps.dialer, stream)) {
      plan.leaveRegion(nowMs, nowMs + this.#deps.limits.handoverLeadMs)
    }
    if (!plan.isNear(nowMs)) return false
    const { coverage } = this.#parts
    const uncoveredSeconds = stream.timeline.sentSeconds - coverage.coveredSeconds
    return plan.isDue(nowMs, coverage.hasOpenSegment, uncoveredSeconds)
  }

  /** It closed as if all was well; but a segment has no final, or speech no result, and it did not say that it is done. */
  #lacksResults(stream: UpstreamStream): boolean {
    const { audio, coverage } = this.#parts
    if (coverage.hasOpenSegment) return true
    return !stream.isConfirmed && audio.loudSecondsFrom(coverage.coveredSeconds) >= 1
  }

  /** It takes nothing, or more waits for it than may. */
  #isStuck(stream: UpstreamStream, nowMs: number): boolean {
    const { replaySeconds, upstreamBufferBytes } = this.#deps.limits
    const { bufferedBytes } = stream
    if (bufferedBytes > upstreamBufferBytes || stream.isStalled(bufferedBytes, nowMs)) return true
    const { audio, request } = this.#parts
    const replayBytes = replaySeconds * request.parameters.bytesPerSecond
    return audio.queuedBytes > replayBytes + audio.expectedBytes + upstreamBufferBytes
  }

  #lose(stream: UpstreamStream, error: RelayError): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const { audio, coverage } = this.#parts
    const isFlushing = this.#flushDeadlineMs !== Infinity
    const livedMs = stream.livedMs(Math.min(nowMs, this.#flushSinceMs))
    const isHandingOver = this.#next !== null
    this.#drop()
    // With one session id for two streams, the service ends the one that is there. If nobody else has the id, the other
    // one is of a planned change, or an attempt to dial that was given up and arrived all the same.
    const isOwnId = this.#parts.request.parameters.wire['session-id'] === undefined
    const isOurs = isHandingOver || isOwnId || stream.attempts > 1
    const cause = isOurs && error.code === 'session_conflict' ? new RelayError('upstream_closed') : error
    if (!audio.canReplay) return this.#giveUp(error)
    const isIdle = cause.code === 'audio_timeout' && audio.quietMs(nowMs) >= IDLE_MS
    if (isFlushing && !audio.hasUnfinished) return this.#finish()
    const { hasAlternative, number } = stream
    const ended = { livedMs, isFirst: number === 1, hasAlternative }
    this.#requests.streamLost(stream, cause)
    if (!this.#policy.streamEnded(cause, ended, nowMs)) return this.#giveUp(error)
    if (isIdle && !coverage.hasOpenSegment && !audio.hasUnsent) {
      this.#next?.retire()
      this.#next = null
      return this.#finish()
    }
    this.#cause = cause
    this.#reason = isCurable(cause.code) ? cause.code : 'upstream_closed'
    if (!isHandingOver) this.#dialAtMs = nowMs + this.#policy.backoffMs()
    this.#owner.linkOnLost(isIdle)
  }

  #dialOnFailure(error: RelayError | null): void {
    const nowMs = this.#deps.clock.monotonicMs()
    const failure = error ?? new RelayError('upstream_closed')
    this.#next = null
    if (this.#stream !== null) {
      // The stream of the moment still takes audio: there is time for another try.
      const waitMs = Math.max(MIN_HANDOVER_RETRY_MS, this.#deps.limits.handoverLeadMs / 4)
      this.#handover?.postpone(nowMs + Math.min(waitMs, MAX_HANDOVER_RETRY_MS))
      return
    }
    if (this.#opened === 0) return this.#owner.linkOnFailed(failure)
    this.#cause ??= failure
    if (this.#policy.dialFailed(failure)) this.#dialAtMs = nowMs + this.#policy.backoffMs()
    else this.#giveUp(this.#cause)
  }

  #giveUp(error: RelayError | null): void {
    this.#dialAtMs = Infinity
    this.#next?.retire()
    this.#next = null
    this.#owner.linkOnFailed(error ?? new RelayError('upstream_timeout'))
  }

  /** All results are there. */
  #finish(): void {
    const { audio, coverage } = this.#parts
    const nowMs = this.#deps.clock.monotonicMs()
    this.#policy.streamFinished()
    this.#policy.endGap(nowMs)
    audio.settle(CONTEXT_SECONDS)
    coverage.restart(audio.onceSentSeconds - CONTEXT_SECONDS)
    this.#parkedSinceMs = nowMs
    this.#owner.linkOnFinished()
  }

  /** The stream of the moment is the last one's no more; its figures are kept. */
  #drop(): UpstreamStream | null {
    const stream = this.#stream
    if (stream === null) return null
    this.#stream = null
    this.#handover = null
    this.#flushDeadlineMs = Infinity
    this.#flushSinceMs = Infinity
    this.#parts.audio.detach()
    this.#totals.frames += stream.sentFrames
    this.#totals.billedSeconds += this.#billedSeconds(stream)
    return stream
  }

  #billedSeconds(stream: UpstreamStream): number {
    const { audio, forwarder } = this.#parts
    return stream.billedSeconds(audio.canReplay ? 0 : forwarder.lastEndSeconds)
  }

  #addParked(nowMs: number): void {
    if (this.#parkedSinceMs === null) return
    const seconds = (nowMs - this.#parkedSinceMs) / 1000
    this.#parkedSinceMs = nowMs
    this.#totals.parkedSeconds += seconds
    this.#deps.metrics.parkedSeconds += seconds
  }
}
