/**
 * One session: one client, one stream after another at Amazon Transcribe, one state (`states.ts`), one place that decides.
 *
 * Audio comes in (`clientOnAudio`), is re-cut and framed by `AudioSender` and goes to the stream of the moment, which
 * `UpstreamLink` provides; results come back through that stream's reader, are chosen and written by `ResultForwarder`
 * and go to the client. Everything that depends on time happens in `tick`. Every way out leads through `#end`, once;
 * what calls later finds the state `closed`.
 */
import { RelayError, type ErrorCode } from '../errors.ts'
import { MAX_TEXT_BYTES, readClientMessage } from '../protocol/client-messages.ts'
import { drainingMessage, rolloverMessage, type WarningCode } from '../protocol/server-messages.ts'
import { type StreamDefaults, type StreamRequest } from '../protocol/stream-request.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import { describeBegin } from './begin.ts'
import { configureStream } from './configure.ts'
import { dialOrigin } from './dial-requests.ts'
import { sayFarewell } from './farewell.ts'
import type { SessionRequest } from './host.ts'
import { MessageBudget } from './message-budget.ts'
import { Outbox } from './outbox.ts'
import type { ClientEnd, ClientPort, Restart, SessionLog, UpstreamOpening } from './ports.ts'
import type { SessionTrace, SessionTracer } from './ports.ts'
import { warnAboutRegion } from '../transcribe/region-features.ts'
import { AccessRenewal } from './renewal.ts'
import type { ResumableSession } from './resumable-client.ts'
import { endRecord, sessionFigures, startRecord } from './session-record.ts'
import { SessionWatch } from './session-watch.ts'
import { mayMove, type SessionState } from './states.ts'
import { createStreamParts, expectBacklog, noticeStall, type StreamParts } from './stream-parts.ts'
import { UpstreamLink, type LinkDependencies, type LinkOwner } from './upstream-link.ts'

export interface SessionDependencies extends LinkDependencies {
  readonly log: SessionLog
  readonly tracer?: SessionTracer | undefined
  readonly defaults: StreamDefaults
  /** For the frames of all sessions. */
  readonly frameMemory: RecycledBuffers
  /** Called once, when the session is closed. */
  readonly onClosed: (session: Session) => void
}

export class Session implements ResumableSession, LinkOwner {
  readonly id: string
  readonly #request: SessionRequest
  readonly #deps: SessionDependencies
  readonly #client: ClientPort
  readonly #startedMs: number
  readonly #trace: SessionTrace | null
  readonly #messages: MessageBudget
  #state: SessionState = 'configuring'
  #parts: StreamParts | null = null
  #link: UpstreamLink | null = null
  /** The end of the audio is decided; `#outcome` is how the session ends once the results are there. */
  #isEnding = false
  /** The stream is to be parked as soon as there is one. */
  #isPausing = false
  #outcome: RelayError | null = null
  readonly #watch: SessionWatch
  readonly #outbox: Outbox
  readonly #renewal: AccessRenewal

  constructor(request: SessionRequest, client: ClientPort, deps: SessionDependencies) {
    this.id = request.sessionId
    this.#request = request
    this.#client = client
    this.#deps = deps
    const { clock, limits } = deps
    this.#startedMs = clock.monotonicMs()
    this.#trace = deps.tracer?.sessionOnStart(request) ?? null
    this.#outbox = new Outbox({
      client,
      metrics: deps.metrics,
      softBufferBytes: limits.clientSoftBufferBytes,
      onSlow: () => this.#fail('slow_consumer'),
    })
    this.#renewal = new AccessRenewal(request.access, this.#outbox, this)
    const watched = {
      state: () => this.#state,
      parts: () => this.#parts,
      warn: (code: WarningCode) => this.#outbox.warn(code),
      fail: (code: ErrorCode) => this.#fail(code),
      finishWith: (code: ErrorCode) => this.finishWith(code),
      park: () => this.#park(),
    }
    this.#watch = new SessionWatch(watched, limits, this.#startedMs)
    this.#messages = new MessageBudget(limits.messagesPerSecond, this.#startedMs)
  }

  get state(): SessionState {
    return this.#state
  }

  get audioBytesPerSecond(): number | null {
    const parameters = this.#parts?.request.parameters
    return parameters?.isPcm === true ? parameters.bytesPerSecond : null
  }

  /** Bytes waiting for the upstream, open or not; for the gauges. */
  get upstreamBufferedBytes(): number {
    return (this.#parts?.audio.queuedBytes ?? 0) + (this.#link?.bufferedBytes ?? 0)
  }

  get clientBufferedBytes(): number {
    return this.#state === 'closed' ? 0 : this.#client.bufferedBytes()
  }

  /** Dials, unless a Configure message has to come first. */
  start(): void {
    const { query } = this.#request
    this.#deps.metrics.countSessionStarted()
    this.#deps.log.sessionOnStart(startRecord(this.#request))
    if (query.kind === 'ready') this.#open(query.stream)
  }

  // ── what the client says ────────────────────────────────────────────────────────────────────────────────────────

  clientOnAudio(pcm: Uint8Array): void {
    if (this.#state === 'closed') return
    const { clock, limits, metrics } = this.#deps
    const nowMs = clock.monotonicMs()
    metrics.clientAudioMessages += 1
    metrics.clientAudioBytes += pcm.length
    const parts = this.#parts
    if (parts !== null) noticeStall(parts, this.#messages, pcm.length, limits.replaySeconds, nowMs)
    if (!this.#messages.take(nowMs)) return this.#refuseAudio(pcm, 'rate_limited')
    if (pcm.length === 0) return this.#finish(null)
    if (parts === null) {
      return this.#refuseAudio(pcm, 'unsupported_data', 'A binary message came before Configure.')
    }
    if (this.#isEnding) {
      metrics.audioDroppedBytes += pcm.length
      return this.#outbox.warn('audio_after_end')
    }
    const { request, audio, silence, pace } = parts
    const { bytesPerSecond, isPcm } = request.parameters
    const seconds = pcm.length / bytesPerSecond
    if (isPcm) metrics.clientAudioSeconds += seconds
    silence.audioArrived(seconds * 1000, nowMs)
    const level = pace.take(pcm.length, nowMs)
    if (level === 'empty') return this.#refuseAudio(pcm, 'audio_too_fast')
    if (this.#state === 'parked') this.#unpark()
    this.#isPausing = false
    const outcome = audio.push(pcm, nowMs)
    if (outcome.kind === 'refused') return this.#fail('unsupported_audio', outcome.rule)
    if (this.#state === 'rolling-over') audio.trim()
    if (this.#state === 'dialling' && audio.queuedBytes > limits.pendingAudioBytes) {
      return this.#fail(
        'upstream_timeout',
        'Amazon Transcribe did not answer before the audio buffer was full.',
      )
    }
    if (level === 'low') this.#outbox.warn('audio_too_fast')
    if (outcome.removedHeader) this.#outbox.warn('wav_header_removed')
  }

  clientOnText(text: string): void {
    if (this.#state === 'closed') return
    const nowMs = this.#deps.clock.monotonicMs()
    if (!this.#messages.take(nowMs)) return this.#fail('rate_limited')
    const textBytes = Buffer.byteLength(text)
    if (textBytes > MAX_TEXT_BYTES) return this.clientOnOversize(textBytes)
    const result = readClientMessage(text)
    if (!result.ok) return this.#fail(result.code, result.rule)
    switch (result.message.type) {
      case 'CloseStream':
        return this.#finish(null)
      case 'KeepAlive':
        return this.#parts?.silence.keepAlive(nowMs)
      case 'Pause':
        return this.#pause()
      case 'Resume':
        this.#isPausing = false
        return this.#state === 'parked' ? this.#unpark() : undefined
      case 'Authenticate':
        return this.#renewal.renew(result.message.token)
      case 'Configure':
        return this.#configure(result.message.given)
    }
  }

  clientOnOversize(messageBytes: number): void {
    const { maxMessageBytes } = this.#deps.limits
    this.#fail(
      'message_too_big',
      `A message may have ${maxMessageBytes} bytes of audio or ${MAX_TEXT_BYTES} of text, got ${messageBytes}.`,
    )
  }

  clientOnClose(end: ClientEnd): void {
    this.#end(end.code, null)
  }

  clientOnFailure(error: unknown): void {
    if (error instanceof RelayError) this.#endWith(error)
    else this.#failInternal(error)
  }

  clientOnResume(awayMs: number): void {
    expectBacklog(this.#parts, this.#messages, awayMs, this.#deps.clock.monotonicMs())
  }

  // ── what the upstream says ──────────────────────────────────────────────────────────────────────────────────────

  linkOnOpen(opening: UpstreamOpening, restart: Restart | null): void {
    const parts = this.#parts
    if (parts === null) return
    const isFirst = this.#state === 'dialling'
    if (restart !== null) this.#trace?.sessionOnRestart(restart)
    // With a planned change of the stream it never ceased to be open.
    if (this.#state !== 'open') this.#move(this.#isEnding ? 'finishing' : 'open')
    parts.silence.upstreamOpened(this.#deps.clock.monotonicMs())
    if (this.#isEnding) this.#link?.endStream()
    if (isFirst) {
      const about = { sessionId: this.id, region: opening.region, startedMs: this.#startedMs }
      this.#outbox.begin(describeBegin(parts, about, this.#client, this.#deps))
      this.#outbox.warnOfParameters(warnAboutRegion(parts.request.parameters, opening.region))
    }
    if (restart !== null) this.#outbox.send(rolloverMessage({ ...restart, region: opening.region }))
    // The client may have been too slow even for this.
    if (this.#isPausing && this.#state === 'open') this.#park()
  }

  linkOnLost(isIdle: boolean): void {
    if (isIdle || this.#state === 'parked') this.#isPausing = true
    this.#move('rolling-over')
  }

  linkOnFinished(): void {
    if (this.#state === 'open') this.#move('parked')
    if (this.#state === 'finishing') this.#endFinished()
  }

  linkOnFailed(error: RelayError): void {
    // The reason that the audio was ended for counts more than that its last results did not come in time.
    this.#endWith(error.code === 'flush_timeout' ? (this.#outcome ?? error) : error)
  }

  linkOnBug(error: unknown): void {
    this.#failInternal(error)
  }

  // ── what the relay says ─────────────────────────────────────────────────────────────────────────────────────────

  /** The one clock of a session; called by the registry every `tickMs`. A bug ends this session and no other. */
  tick(nowMs: number): void {
    try {
      this.#watch.tick(nowMs)
      if (this.#state !== 'closed') this.#link?.tick(nowMs)
    } catch (error) {
      this.#failInternal(error)
    }
  }

  /** Tells the client to move on; the session goes on for now. */
  announceDrain(reconnectInMs: number): void {
    if (this.#state !== 'closed') this.#outbox.send(drainingMessage(reconnectInMs))
  }

  warn(code: WarningCode): void {
    this.#outbox.warnOf(code)
  }

  /** Ends the audio here, delivers what is final, then closes with the error. */
  finishWith(outcome: ErrorCode | RelayError): void {
    try {
      this.#finish(typeof outcome === 'string' ? new RelayError(outcome) : outcome)
    } catch (error) {
      this.#failInternal(error)
    }
  }

  /** Ends at once. */
  abort(code: ErrorCode): void {
    this.#fail(code)
  }

  // ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #configure(given: ReadonlyMap<string, string>): void {
    const { query } = this.#request
    if (this.#state !== 'configuring' || query.kind !== 'configure') {
      return this.#fail(
        'bad_control_message',
        'Configure must be the first message, and needs configure=true in the URL.',
      )
    }
    const stream = configureStream(new Map([...query.given, ...given]), this.#deps.defaults, this.#request)
    if (stream instanceof RelayError) return this.#endWith(stream)
    this.#open(stream)
  }

  #open(stream: StreamRequest): void {
    const { clock, frameMemory, limits, metrics } = this.#deps
    const client = {
      deliver: (message: string) => this.#outbox.send(message),
      deliverAll: (messages: readonly string[]) => this.#outbox.sendAll(messages),
      isBehind: () => this.#client.bufferedBytes() > limits.clientPartialsBufferBytes,
    }
    this.#parts = createStreamParts(stream, limits, metrics, client, frameMemory, clock.monotonicMs())
    const origin = dialOrigin(this.#request, stream)
    this.#link = new UpstreamLink(origin, this.#parts, this, { ...this.#deps, trace: this.#trace })
    this.#move('dialling')
    this.#outbox.warnOfParameters(stream.warnings)
    this.#link.start()
  }

  #pause(): void {
    if (this.#parts === null || this.#isEnding) return
    if (!this.#parts.audio.canReplay) return this.#outbox.warn('pause_ignored')
    if (this.#state === 'open') this.#park()
    else if (this.#state !== 'parked') this.#isPausing = true
  }

  /** Nobody speaks: the stream delivers its last results and is gone, the session waits. */
  #park(): void {
    this.#isPausing = false
    this.#move('parked')
    this.#link?.endStream()
  }

  #unpark(): void {
    this.#move('rolling-over')
    this.#link?.resume()
  }

  /** No more audio; `outcome` is how it ends once the results are there. */
  #finish(outcome: RelayError | null): void {
    if (this.#state === 'closed' || this.#isEnding) return
    this.#isEnding = true
    this.#isPausing = false
    this.#outcome = outcome
    const { audio } = this.#parts ?? {}
    const link = this.#link
    if (audio === undefined || link === null || (this.#state === 'dialling' && audio.receivedBytes === 0)) {
      return this.#endFinished()
    }
    if (audio.finish(this.#deps.clock.monotonicMs()) > 0) this.#outbox.warn('odd_bytes')
    switch (this.#state) {
      case 'open':
        this.#move('finishing')
        return link.endStream()
      case 'parked':
        // A few bytes that were too few to tell whether they are a header are audio after all.
        if (audio.hasUnsent) return this.#unpark()
        return link.isIdle ? this.#endFinished() : this.#move('finishing')
      case 'rolling-over':
        return audio.hasUnfinished ? undefined : this.#endFinished()
      default:
    }
  }

  #endFinished(): void {
    return this.#outcome === null ? this.#end('normal', null) : this.#endWith(this.#outcome)
  }

  #refuseAudio(pcm: Uint8Array, code: ErrorCode, message?: string): void {
    this.#deps.metrics.audioDroppedBytes += pcm.length
    this.#fail(code, message)
  }

  #failInternal(error: unknown): void {
    this.#deps.log.sessionOnFailure(this.id, error)
    this.#fail('internal')
  }

  #fail(code: ErrorCode, message?: string): void {
    this.#endWith(new RelayError(code, message === undefined ? {} : { message }))
  }

  #endWith(error: RelayError): void {
    this.#end(error.code, error)
  }

  /** The only way into `closed`. Sockets call back at once when they are closed, so the state comes first. */
  #end(code: ErrorCode, error: RelayError | null): void {
    if (this.#state === 'closed') return
    const wasOpen = this.#state === 'open'
    this.#move('closed')
    // What is left of an open stream's audio still goes out.
    if (wasOpen) this.#parts?.audio.finish(this.#deps.clock.monotonicMs())
    this.#link?.close()
    this.#parts?.audio.discard()
    const figures = sessionFigures(this.#parts, this.#link)
    const { closeCode, message } = sayFarewell(this.id, code, error, figures)
    this.#outbox.end(message)
    if (closeCode !== null) this.#client.close(closeCode, code)
    const { clock, log, metrics, onClosed } = this.#deps
    const durationSeconds = (clock.monotonicMs() - this.#startedMs) / 1000
    metrics.countSessionEnded(code, durationSeconds)
    this.#trace?.sessionOnEnd(code, closeCode, figures)
    log.sessionOnEnd(endRecord(this.#request, code, error, durationSeconds, figures, this.#link))
    onClosed(this)
  }

  #move(to: SessionState): void {
    if (!mayMove(this.#state, to)) throw new Error(`session may not move from ${this.#state} to ${to}`)
    this.#trace?.sessionOnMove(this.#state, to)
    this.#state = to
  }
}
