/**
 * The spans of one session:
 *
 *     session                     from the upgrade to the close
 *     ├─ dial                     from the first attempt to the answer of Amazon Transcribe
 *     ├─ rollover                 from the loss of a stream to the next that takes audio; `resume`: after a pause
 *     │  └─ dial
 *     └─ flush                    from the end of the audio of a stream to the end of its results
 *
 * Attributes are names, codes and figures: no audio, no transcript, no address, no URL, and of who it is nothing.
 */
import type { Context, HrTime, Span, Tracer } from '@opentelemetry/api'
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api'
import type { Clock } from '../clock.ts'
import { ERRORS, type ErrorCode, type RelayError } from '../errors.ts'
import { roundMs } from '../protocol/server-messages.ts'
import type { TraceParent } from '../protocol/trace-parent.ts'
import type { SessionRequest } from '../session/host.ts'
import type { DialRequest, Restart, SessionTrace, UpstreamOpening } from '../session/ports.ts'
import type { SessionFigures } from '../session/session-record.ts'
import type { SessionState } from '../session/states.ts'

/** Those of a session that are open, by the number of the stream. */
interface StreamSpans {
  readonly dialledAt: HrTime
  dial: Span | null
  flush: Span | null
}

const NS_PER_MS = 1e6
const MS_PER_SECOND = 1000

export class SessionSpans implements SessionTrace {
  readonly #tracer: Tracer
  readonly #clock: Clock
  /** Wall clock minus monotonic clock when the session began: a wall clock that jumps bends no span. */
  readonly #offsetMs: number
  readonly #session: Span
  readonly #context: Context
  readonly #streams = new Map<number, StreamSpans>()
  #rollover: Span | null = null
  /** Of the stream that was opened last. */
  #openedDialAt: HrTime | null = null

  constructor(tracer: Tracer, clock: Clock, { sessionId, traceParent }: SessionRequest) {
    this.#tracer = tracer
    this.#clock = clock
    this.#offsetMs = clock.now() - clock.monotonicMs()
    const startTime = this.#now()
    const attributes = { 'session.id': sessionId }
    const options = { kind: SpanKind.SERVER, startTime, attributes }
    this.#session = tracer.startSpan('session', options, parentContext(traceParent))
    this.#context = trace.setSpan(ROOT_CONTEXT, this.#session)
  }

  streamOnDial(stream: number, { parameters }: DialRequest): void {
    const startTime = this.#now()
    const context = this.#rollover === null ? this.#context : trace.setSpan(ROOT_CONTEXT, this.#rollover)
    const attributes = { 'transcribe_relay.stream': stream }
    const options = { kind: SpanKind.CLIENT, startTime, attributes }
    const dial = this.#tracer.startSpan('dial', options, context)
    this.#streams.set(stream, { dialledAt: startTime, dial, flush: null })
    if (stream === 1) this.#session.setAttribute('transcribe_relay.language', languageOf(parameters))
  }

  streamOnOpen(stream: number, { attempts, region, requestId }: UpstreamOpening): void {
    const spans = this.#streams.get(stream)
    if (spans === undefined) return
    const where = { 'cloud.region': region, ...(requestId === null ? {} : { 'aws.request_id': requestId }) }
    spans.dial?.setAttributes({ ...where, 'transcribe_relay.attempts': attempts })
    spans.dial?.end(this.#now())
    spans.dial = null
    this.#openedDialAt = spans.dialledAt
    if (stream === 1) this.#session.setAttributes(where)
  }

  streamOnFlush(stream: number): void {
    const spans = this.#streams.get(stream)
    if (spans === undefined) return
    spans.flush = this.#startChild('flush', this.#now())
    spans.flush.setAttribute('transcribe_relay.stream', stream)
  }

  streamOnOver(stream: number, error: RelayError | null): void {
    const spans = this.#streams.get(stream)
    if (spans === undefined) return
    this.#streams.delete(stream)
    for (const span of [spans.dial, spans.flush]) {
      if (span === null) continue
      if (error !== null) setError(span, error.code)
      span.end(this.#now())
    }
  }

  sessionOnMove(from: SessionState, to: SessionState): void {
    if (from === 'rolling-over') {
      this.#rollover?.end(this.#now())
      this.#rollover = null
    }
    if (to === 'rolling-over') {
      this.#rollover = this.#startChild(from === 'parked' ? 'resume' : 'rollover', this.#now())
    }
  }

  sessionOnRestart({ lostSeconds, reason, replayedSeconds }: Restart): void {
    // One that was planned was never without a stream: it took as long as its dial.
    const planned = this.#rollover === null
    const span = this.#rollover ?? this.#startChild('rollover', this.#openedDialAt ?? this.#now())
    span.setAttributes({
      'transcribe_relay.rollover_reason': reason,
      'transcribe_relay.replayed_seconds': roundMs(replayedSeconds),
      'transcribe_relay.lost_seconds': roundMs(lostSeconds),
      'transcribe_relay.planned': planned,
    })
    if (planned) span.end(this.#now())
  }

  sessionOnEnd(code: ErrorCode, closeCode: number | null, figures: SessionFigures): void {
    for (const stream of this.#streams.keys()) this.streamOnOver(stream, null)
    this.#session.setAttributes({
      'transcribe_relay.reason': code,
      ...(closeCode === null ? {} : { 'transcribe_relay.close_code': closeCode }),
      'transcribe_relay.audio_seconds': roundMs(figures.audioSeconds),
      'transcribe_relay.frames': figures.frames,
      'transcribe_relay.finals': figures.finals,
      'transcribe_relay.streams': figures.streams,
      'transcribe_relay.rollovers': figures.rollovers,
    })
    if (ERRORS[code].class !== 'ok') setError(this.#session, code)
    this.#session.end(this.#now())
  }

  #startChild(name: string, startTime: HrTime): Span {
    return this.#tracer.startSpan(name, { startTime }, this.#context)
  }

  #now(): HrTime {
    const nowMs = this.#offsetMs + this.#clock.monotonicMs()
    const seconds = Math.floor(nowMs / MS_PER_SECOND)
    return [seconds, Math.round((nowMs - seconds * MS_PER_SECOND) * NS_PER_MS)]
  }
}

function parentContext(parent: TraceParent | undefined): Context {
  if (parent === undefined) return ROOT_CONTEXT
  const { isSampled, spanId, traceId } = parent
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true })
}

/** What a client did wrong is told by its name, and is no failure of the relay. */
function setError(span: Span, code: ErrorCode): void {
  const { class: errorClass } = ERRORS[code]
  span.setAttribute('error.type', code)
  if (errorClass === 'server_error' || errorClass === 'upstream_error')
    span.setStatus({ code: SpanStatusCode.ERROR })
}

/** `en-US`, or those that the service may choose from. */
function languageOf(parameters: Readonly<Record<string, string>>): string {
  return parameters['language-code'] ?? parameters['language-options'] ?? 'unknown'
}
