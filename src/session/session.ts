/**
 * One session: one client, one stream at Amazon Transcribe, one state (`states.ts`), one place that decides.
 *
 * Audio comes in (`clientOnAudio`), is re-cut and framed by `AudioSender` and goes to the upstream; results come back
 * (`upstreamOnMessage`), are chosen and written by `ResultForwarder` and go to the client. Everything that depends on
 * time happens in `tick`. Every way out leads through `#end`, once; what calls later finds the state `closed`.
 */
import type { Clock } from '../clock.ts'
import { RelayError, type ErrorCode } from '../errors.ts'
import { MAX_TEXT_BYTES, readClientMessage } from '../protocol/client-messages.ts'
import { beginMessage, drainingMessage, endMessage, errorMessage } from '../protocol/server-messages.ts'
import {
  describeProblems,
  readStreamRequest,
  type StreamDefaults,
  type StreamRequest,
} from '../protocol/stream-request.ts'
import { AudioSender } from './audio-sender.ts'
import type { SessionRequest } from './host.ts'
import type { SessionLimits } from './limits.ts'
import { TokenBucket } from './pace.ts'
import { Outbox } from './outbox.ts'
import type {
  ClientEnd,
  ClientListener,
  ClientPort,
  Dial,
  SessionLog,
  SessionMetrics,
  UpstreamDialer,
  UpstreamEnd,
  UpstreamListener,
  UpstreamOpening,
  UpstreamPort,
} from './ports.ts'
import { ResultForwarder } from './result-forwarder.ts'
import { endRecord, startRecord } from './session-record.ts'
import { SilencePolicy } from './silence-policy.ts'
import { mayMove, type SessionState } from './states.ts'
import { UpstreamReader } from './upstream-reader.ts'

export interface SessionDependencies {
  readonly clock: Clock
  readonly dialer: UpstreamDialer
  readonly metrics: SessionMetrics
  readonly log: SessionLog
  readonly limits: SessionLimits
  readonly defaults: StreamDefaults
  /** Called once, when the session is closed. */
  readonly onClosed: (session: Session) => void
}

/** The service bills each stream for at least this long. */
const MIN_BILLED_SECONDS = 15

/** Messages that may come at once, in seconds of the sustained rate. */
const MESSAGE_BURST_SECONDS = 2

export class Session implements ClientListener, UpstreamListener {
  readonly id: string
  readonly #request: SessionRequest
  readonly #deps: SessionDependencies
  readonly #client: ClientPort
  readonly #startedMs: number
  readonly #expiresAtMs: number
  readonly #messages: TokenBucket
  #state: SessionState = 'configuring'
  #stream: StreamRequest | null = null
  #audio: AudioSender | null = null
  #pace: TokenBucket | null = null
  #forwarder: ResultForwarder | null = null
  #reader: UpstreamReader | null = null
  #dial: Dial | null = null
  #upstream: UpstreamPort | null = null
  #opening: UpstreamOpening | null = null
  #silence: SilencePolicy | null = null
  /** The end of the audio is decided; `#outcome` is how the session ends once the results are there. */
  #isEnding = false
  #outcome: RelayError | null = null
  #flushDeadlineMs = Infinity
  #blockedSinceMs: number | null = null
  readonly #outbox: Outbox

  constructor(request: SessionRequest, client: ClientPort, deps: SessionDependencies) {
    this.id = request.sessionId
    this.#request = request
    this.#client = client
    this.#deps = deps
    const { clock, limits } = deps
    this.#startedMs = clock.monotonicMs()
    this.#outbox = new Outbox({
      client,
      metrics: deps.metrics,
      softBufferBytes: limits.clientSoftBufferBytes,
      onSlow: () => this.#fail('slow_consumer'),
    })
    this.#expiresAtMs = clock.now() + limits.maxSessionMs
    this.#messages = new TokenBucket(
      {
        capacity: limits.messagesPerSecond * MESSAGE_BURST_SECONDS,
        tokensPerSecond: limits.messagesPerSecond,
      },
      this.#startedMs,
    )
  }

  get state(): SessionState {
    return this.#state
  }

  /** Bytes waiting for the upstream, open or not; for the gauges. */
  get upstreamBufferedBytes(): number {
    return (this.#audio?.queuedBytes ?? 0) + (this.#upstream?.bufferedBytes() ?? 0)
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
    const nowMs = this.#deps.clock.monotonicMs()
    const { metrics } = this.#deps
    metrics.clientAudioMessages += 1
    metrics.clientAudioBytes += pcm.length
    if (this.#messages.take(1, nowMs) === 'empty') return this.#fail('rate_limited')
    if (this.#audio === null || this.#pace === null || this.#stream === null) {
      return this.#fail(
        'unsupported_data',
        'The first message must be Configure; a binary message came before it.',
      )
    }
    if (pcm.length === 0) return this.#finish(null)
    if (this.#isEnding) {
      metrics.audioDroppedBytes += pcm.length
      return this.#outbox.warn('audio_after_end')
    }
    metrics.clientAudioSeconds += pcm.length / this.#stream.parameters.bytesPerSecond
    this.#silence?.audioArrived(nowMs)
    const pace = this.#pace.take(pcm.length, nowMs)
    if (pace === 'empty') return this.#fail('audio_too_fast')
    if (pace === 'low') this.#outbox.warn('audio_too_fast')
    const outcome = this.#audio.push(pcm, nowMs)
    if (outcome.kind === 'refused') return this.#fail('unsupported_audio', outcome.rule)
    if (outcome.removedHeader) this.#outbox.warn('wav_header_removed')
    if (this.#audio.queuedBytes > this.#deps.limits.pendingAudioBytes) {
      this.#fail('upstream_timeout', 'Amazon Transcribe did not answer before the audio buffer was full.')
    }
  }

  clientOnText(text: string): void {
    if (this.#state === 'closed') return
    const nowMs = this.#deps.clock.monotonicMs()
    if (this.#messages.take(1, nowMs) === 'empty') return this.#fail('rate_limited')
    if (text.length > MAX_TEXT_BYTES) return this.clientOnOversize(text.length)
    const result = readClientMessage(text)
    if (!result.ok) return this.#fail(result.code, result.rule)
    switch (result.message.type) {
      case 'CloseStream':
        return this.#finish(null)
      case 'KeepAlive':
        return this.#silence?.keepAlive(nowMs)
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

  clientOnDrain(): void {
    // Partials flow again by themselves: each send looks at what is buffered.
  }

  clientOnClose(end: ClientEnd): void {
    this.#end(end.code, null)
  }

  clientOnFailure(error: unknown): void {
    this.#deps.log.sessionOnFailure(this.id, error)
    this.#fail('internal')
  }

  // ── what the upstream says ──────────────────────────────────────────────────────────────────────────────────────

  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void {
    if (this.#state !== 'dialling' || this.#audio === null || this.#stream === null)
      return upstream.terminate()
    const nowMs = this.#deps.clock.monotonicMs()
    this.#upstream = upstream
    this.#opening = opening
    this.#deps.metrics.observeUpstreamConnectSeconds(opening.connectMs / 1000)
    this.#move(this.#isEnding ? 'finishing' : 'open')
    this.#silence = new SilencePolicy(this.#deps.limits, this.#stream.parameters.isPcm, nowMs)
    this.#audio.attach(upstream)
    if (this.#isEnding) this.#startFlush(nowMs)
    const { limits } = this.#deps
    this.#outbox.begin(
      beginMessage({
        sessionId: this.id,
        parameters: this.#stream.parameters.wire,
        format: this.#stream.format,
        region: opening.region,
        expiresAtMs: this.#expiresAtMs,
        maxMessageBytes: limits.maxMessageBytes,
        audioTimeoutMs: limits.audioTimeoutMs,
      }),
    )
  }

  upstreamOnMessage(bytes: Uint8Array): void {
    if (this.#state === 'closed' || this.#reader === null) return
    const error = this.#reader.read(bytes, this.#deps.clock.monotonicMs())
    if (error !== null) this.#endWith(error)
  }

  upstreamOnClose(end: UpstreamEnd): void {
    if (this.#state === 'closed') return
    this.#upstream = null
    if (this.#state === 'finishing' && end.error === null && end.closeCode === 1000) {
      return this.#outcome === null ? this.#end('normal', null) : this.#endWith(this.#outcome)
    }
    this.#endWith(
      end.error ??
        new RelayError('upstream_closed', { detail: `close ${end.closeCode} ${end.reason}`.trim() }),
    )
  }

  upstreamOnFailure(error: RelayError): void {
    this.#endWith(error)
  }

  // ── what the relay says ─────────────────────────────────────────────────────────────────────────────────────────

  /** The one clock of a session; called by the registry every `tickMs`. */
  tick(nowMs: number): void {
    const { limits } = this.#deps
    switch (this.#state) {
      case 'configuring':
        if (nowMs - this.#startedMs >= limits.configureTimeoutMs) this.#fail('configure_timeout')
        return
      case 'open':
        this.#audio?.flushOld(nowMs)
        if (this.#audio?.isSilenceOnly === true) this.#outbox.warn('silence_only')
        this.#watchUpstream(nowMs)
        this.#watchSilence(nowMs)
        this.#watchDuration(nowMs)
        return
      case 'finishing':
        if (nowMs >= this.#flushDeadlineMs)
          return this.#endWith(this.#outcome ?? new RelayError('flush_timeout'))
        return this.#watchUpstream(nowMs)
      case 'dialling':
      case 'closed':
    }
  }

  /** Tells the client to move on; the session goes on for now. */
  announceDrain(reconnectInMs: number): void {
    if (this.#state !== 'closed') this.#outbox.send(drainingMessage(reconnectInMs))
  }

  /** Ends the audio here, delivers what is final, then closes with `code`. */
  finishWith(code: ErrorCode): void {
    this.#finish(new RelayError(code))
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
    const result = readStreamRequest(new Map([...query.given, ...given]), this.#deps.defaults)
    if (!result.ok) return this.#fail('invalid_request', describeProblems(result.problems))
    this.#open(result.stream)
  }

  #open(stream: StreamRequest): void {
    const { clock, dialer, limits, metrics } = this.#deps
    const { bytesPerSecond, wire } = stream.parameters
    const audio = new AudioSender(stream.parameters, limits, metrics)
    this.#stream = stream
    this.#audio = audio
    this.#pace = new TokenBucket(
      {
        capacity: (bytesPerSecond * limits.paceBurstMs) / 1000,
        tokensPerSecond: bytesPerSecond * limits.paceRate,
      },
      clock.monotonicMs(),
    )
    this.#forwarder = new ResultForwarder(stream, limits.allowUnredactedPartials, {
      deliver: message => this.#deliverResult(message),
      isBehind: () => this.#client.bufferedBytes() > limits.clientPartialsBufferBytes,
      metrics,
      timeline: audio.timeline,
    })
    this.#reader = new UpstreamReader(this.#forwarder, metrics)
    this.#move('dialling')
    for (const { parameter, message } of stream.warnings) {
      this.#outbox.warnOf('parameter', `${parameter}: ${message}`)
    }
    this.#dial = dialer.dial({ sessionId: this.id, parameters: { 'session-id': this.id, ...wire } }, this)
  }

  /** No more audio; `outcome` is how it ends once the results are there. */
  #finish(outcome: RelayError | null): void {
    if (this.#state === 'closed' || this.#isEnding) return
    this.#isEnding = true
    this.#outcome = outcome
    if (this.#audio === null || (this.#state === 'dialling' && this.#audio.receivedBytes === 0)) {
      return outcome === null ? this.#end('normal', null) : this.#endWith(outcome)
    }
    const nowMs = this.#deps.clock.monotonicMs()
    if (this.#audio.finish(nowMs) > 0) this.#outbox.warn('odd_bytes')
    if (this.#state === 'open') {
      this.#move('finishing')
      this.#startFlush(nowMs)
    }
  }

  /** The service works in real time: audio that was sent ahead of it may take that much longer. */
  #startFlush(nowMs: number): void {
    const aheadMs = (this.#audio?.timeline.upstreamSeconds ?? 0) * 1000
    this.#flushDeadlineMs =
      nowMs + this.#deps.limits.flushTimeoutMs + aheadMs - Math.min(aheadMs, nowMs - this.#startedMs)
  }

  #watchUpstream(nowMs: number): void {
    const { upstreamBufferBytes, upstreamStallMs } = this.#deps.limits
    const bufferedBytes = this.#upstream?.bufferedBytes() ?? 0
    if (bufferedBytes === 0) {
      this.#blockedSinceMs = null
      return
    }
    this.#blockedSinceMs ??= nowMs
    if (bufferedBytes > upstreamBufferBytes || nowMs - this.#blockedSinceMs >= upstreamStallMs) {
      this.#upstream?.terminate()
      this.#fail('upstream_stalled')
    }
  }

  #watchSilence(nowMs: number): void {
    const decision = this.#silence?.decide(nowMs)
    if (decision?.kind === 'fill') this.#audio?.fillSilence(decision.pieceMs, nowMs)
    else if (decision?.kind === 'timeout') this.#finish(new RelayError('audio_timeout'))
  }

  #watchDuration(nowMs: number): void {
    const { maxSessionMs, sessionWarningMs } = this.#deps.limits
    const ageMs = nowMs - this.#startedMs
    if (ageMs >= maxSessionMs) this.#finish(new RelayError('session_expired'))
    else if (ageMs >= maxSessionMs - sessionWarningMs) this.#outbox.warn('session_expiring')
  }

  /** A result may be one of several in a message of the upstream, and the one before may have ended the session. */
  #deliverResult(message: string): void {
    if (this.#state !== 'closed') this.#outbox.send(message)
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
    this.#closeUpstream(wasOpen)
    if (error !== null) this.#outbox.sendLast(errorMessage(error, this.id))
    else if (code === 'normal') this.#outbox.sendLast(this.#endMessage())
    const closeCode = error?.definition.closeCode ?? (code === 'normal' ? 1000 : null)
    if (closeCode !== null) this.#client.close(closeCode, code)
    this.#report(code, error)
    this.#deps.onClosed(this)
  }

  #closeUpstream(wasOpen: boolean): void {
    this.#dial?.cancel()
    if (wasOpen && this.#upstream !== null) this.#audio?.finish(this.#deps.clock.monotonicMs())
    this.#audio?.discard()
    this.#upstream?.close()
    this.#upstream = null
  }

  #endMessage(): string {
    return endMessage({
      sessionId: this.id,
      audioSeconds: this.#audio?.timeline.clientSeconds ?? 0,
      billedSeconds: this.#billedSeconds(),
      finals: this.#forwarder?.finals ?? 0,
      rollovers: 0,
    })
  }

  #billedSeconds(): number {
    if (this.#opening === null) return 0
    return Math.max(MIN_BILLED_SECONDS, Math.ceil(this.#audio?.timeline.upstreamSeconds ?? 0))
  }

  #report(code: ErrorCode, error: RelayError | null): void {
    const durationSeconds = (this.#deps.clock.monotonicMs() - this.#startedMs) / 1000
    this.#deps.metrics.countSessionEnded(code, durationSeconds)
    const figures = {
      durationSeconds,
      receivedBytes: this.#audio?.receivedBytes ?? 0,
      clientSeconds: this.#audio?.timeline.clientSeconds ?? 0,
      silenceSeconds: this.#audio?.timeline.silenceSeconds ?? 0,
      billedSeconds: this.#billedSeconds(),
      frames: this.#audio?.sentFrames ?? 0,
      finals: this.#forwarder?.finals ?? 0,
    }
    this.#deps.log.sessionOnEnd(endRecord(this.id, code, error, figures, this.#opening))
  }

  #move(to: SessionState): void {
    if (!mayMove(this.#state, to)) throw new Error(`session may not move from ${this.#state} to ${to}`)
    this.#state = to
  }
}
