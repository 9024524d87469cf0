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
import {
  beginMessage,
  drainingMessage,
  endMessage,
  errorMessage,
  type WarningCode,
} from '../protocol/server-messages.ts'
import {
  describeProblems,
  readStreamRequest,
  type StreamDefaults,
  type StreamRequest,
} from '../protocol/stream-request.ts'
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
import { endRecord, sessionFigures, startRecord, type SessionFigures } from './session-record.ts'
import { SessionWatch } from './session-watch.ts'
import { mayMove, type SessionState } from './states.ts'
import { createStreamParts, type StreamParts } from './stream-parts.ts'

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
  #parts: StreamParts | null = null
  #dial: Dial | null = null
  #upstream: UpstreamPort | null = null
  #opening: UpstreamOpening | null = null
  /** The end of the audio is decided; `#outcome` is how the session ends once the results are there. */
  #isEnding = false
  #outcome: RelayError | null = null
  readonly #watch: SessionWatch
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
    const watchActions = {
      look: () => ({ state: this.#state, parts: this.#parts, upstream: this.#upstream }),
      warn: (code: WarningCode) => this.#outbox.warn(code),
      fail: (code: ErrorCode) => this.#fail(code),
      finishWith: (code: ErrorCode) => this.finishWith(code),
      endFlush: () => this.#endWith(this.#outcome ?? new RelayError('flush_timeout')),
      cutUpstream: () => this.#cutUpstream(),
    }
    this.#watch = new SessionWatch(watchActions, limits, this.#startedMs)
    const rate = limits.messagesPerSecond
    const burst = { capacity: rate * MESSAGE_BURST_SECONDS, tokensPerSecond: rate }
    this.#messages = new TokenBucket(burst, this.#startedMs)
  }

  get state(): SessionState {
    return this.#state
  }

  /** Bytes waiting for the upstream, open or not; for the gauges. */
  get upstreamBufferedBytes(): number {
    return (this.#parts?.audio.queuedBytes ?? 0) + (this.#upstream?.bufferedBytes() ?? 0)
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
    if (this.#messages.take(1, nowMs) === 'empty') return this.#refuseAudio(pcm, 'rate_limited')
    if (pcm.length === 0) return this.#finish(null)
    if (this.#parts === null) {
      return this.#refuseAudio(pcm, 'unsupported_data', 'A binary message came before Configure.')
    }
    if (this.#isEnding) {
      metrics.audioDroppedBytes += pcm.length
      return this.#outbox.warn('audio_after_end')
    }
    const { request, audio, silence, pace } = this.#parts
    const { bytesPerSecond, isPcm } = request.parameters
    const seconds = pcm.length / bytesPerSecond
    if (isPcm) metrics.clientAudioSeconds += seconds
    silence.audioArrived(seconds * 1000, nowMs)
    const level = pace.take(pcm.length, nowMs)
    if (level === 'empty') return this.#refuseAudio(pcm, 'audio_too_fast')
    const outcome = audio.push(pcm, nowMs)
    if (outcome.kind === 'refused') return this.#fail('unsupported_audio', outcome.rule)
    if (audio.queuedBytes > limits.pendingAudioBytes) {
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
    if (this.#messages.take(1, nowMs) === 'empty') return this.#fail('rate_limited')
    const textBytes = Buffer.byteLength(text)
    if (textBytes > MAX_TEXT_BYTES) return this.clientOnOversize(textBytes)
    const result = readClientMessage(text)
    if (!result.ok) return this.#fail(result.code, result.rule)
    switch (result.message.type) {
      case 'CloseStream':
        return this.#finish(null)
      case 'KeepAlive':
        return this.#parts?.silence.keepAlive(nowMs)
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
    this.#failInternal(error)
  }

  // ── what the upstream says ──────────────────────────────────────────────────────────────────────────────────────

  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void {
    if (this.#state !== 'dialling' || this.#parts === null) return upstream.terminate()
    const { limits, metrics } = this.#deps
    const { audio, request } = this.#parts
    const nowMs = this.#deps.clock.monotonicMs()
    this.#upstream = upstream
    this.#opening = opening
    this.#watch.upstreamOpened(nowMs)
    metrics.observeUpstreamConnectSeconds(opening.connectMs / 1000)
    this.#move(this.#isEnding ? 'finishing' : 'open')
    audio.attach(upstream)
    if (this.#isEnding) this.#watch.flushStarted(nowMs)
    this.#outbox.begin(
      beginMessage({
        sessionId: this.id,
        parameters: request.parameters.wire,
        format: request.format,
        region: opening.region,
        expiresAtMs: this.#expiresAtMs,
        maxMessageBytes: limits.maxMessageBytes,
        audioTimeoutMs: limits.audioTimeoutMs,
      }),
    )
  }

  upstreamOnMessage(bytes: Uint8Array): void {
    if (this.#state === 'closed' || this.#parts === null) return
    try {
      const error = this.#parts.reader.read(bytes, this.#deps.clock.monotonicMs())
      if (error !== null) this.#endWith(error)
    } catch (error) {
      this.#failInternal(error)
    }
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

  /** The one clock of a session (`session-watch.ts`); called by the registry every `tickMs`. A bug ends this session and no other. */
  tick(nowMs: number): void {
    try {
      this.#watch.tick(nowMs)
    } catch (error) {
      this.#failInternal(error)
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
    const client = {
      deliver: (message: string) => this.#deliverResult(message),
      isBehind: () => this.#client.bufferedBytes() > limits.clientPartialsBufferBytes,
    }
    this.#parts = createStreamParts(stream, limits, metrics, client, clock.monotonicMs())
    this.#move('dialling')
    for (const { parameter, message } of stream.warnings) {
      this.#outbox.warnOf('parameter', `${parameter}: ${message}`)
    }
    this.#dial = dialer.dial(
      { sessionId: this.id, parameters: { 'session-id': this.id, ...stream.parameters.wire } },
      this,
    )
  }

  /** No more audio; `outcome` is how it ends once the results are there. */
  #finish(outcome: RelayError | null): void {
    if (this.#state === 'closed' || this.#isEnding) return
    this.#isEnding = true
    this.#outcome = outcome
    const audio = this.#parts?.audio
    if (audio === undefined || (this.#state === 'dialling' && audio.receivedBytes === 0)) {
      return outcome === null ? this.#end('normal', null) : this.#endWith(outcome)
    }
    const nowMs = this.#deps.clock.monotonicMs()
    if (audio.finish(nowMs) > 0) this.#outbox.warn('odd_bytes')
    if (this.#state === 'open') {
      this.#move('finishing')
      this.#watch.flushStarted(nowMs)
    }
  }

  /** It would not read a Close frame either. `terminate` reports the end before it returns, so the state comes first. */
  #cutUpstream(): void {
    const upstream = this.#upstream
    this.#upstream = null
    this.#fail('upstream_stalled')
    upstream?.terminate()
  }

  /** A result may be one of several in a message of the upstream, and the one before may have ended the session. */
  #deliverResult(message: string): void {
    if (this.#state !== 'closed') this.#outbox.send(message)
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
    this.#closeUpstream(wasOpen)
    const figures = sessionFigures(this.#parts, this.#opening)
    this.#outbox.end(this.#lastMessage(code, error, figures))
    const closeCode = error?.definition.closeCode ?? (code === 'normal' ? 1000 : null)
    if (closeCode !== null) this.#client.close(closeCode, code)
    const durationSeconds = (this.#deps.clock.monotonicMs() - this.#startedMs) / 1000
    this.#deps.metrics.countSessionEnded(code, durationSeconds)
    this.#deps.log.sessionOnEnd(endRecord(this.id, code, error, durationSeconds, figures, this.#opening))
    this.#deps.onClosed(this)
  }

  /** An open upstream hears that the audio is over and gets a Close frame; `cancel` would just hang up. */
  #closeUpstream(wasOpen: boolean): void {
    const upstream = this.#upstream
    this.#upstream = null
    if (upstream === null) this.#dial?.cancel()
    else if (wasOpen) this.#parts?.audio.finish(this.#deps.clock.monotonicMs())
    this.#parts?.audio.discard()
    upstream?.close()
  }

  /** `null` when the client is gone. */
  #lastMessage(code: ErrorCode, error: RelayError | null, figures: SessionFigures): string | null {
    if (error !== null) return errorMessage(error, this.id)
    if (code !== 'normal') return null
    const { audioSeconds, billedSeconds, finals } = figures
    return endMessage({ sessionId: this.id, audioSeconds, billedSeconds, finals, rollovers: 0 })
  }

  #move(to: SessionState): void {
    if (!mayMove(this.#state, to)) throw new Error(`session may not move from ${this.#state} to ${to}`)
    this.#state = to
  }
}
