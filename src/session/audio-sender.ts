/**
 * The way of the client's audio: probe, chunks, the buffer of what may be needed again, and the stream of the moment.
 * Keeps the byte counts that the session's summary and the metrics need. Nothing is reordered, and what is lost is
 * counted.
 */
import { encodeAudioEvent } from '../eventstream/audio-event.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { StreamParameters } from '../transcribe/parameters.ts'
import { AudioChunker, chunkSizes } from './audio-chunker.ts'
import { AudioProbe } from './audio-probe.ts'
import type { SessionLimits } from './limits.ts'
import type { SessionMetrics } from './ports.ts'
import { ReplayBuffer } from './replay-buffer.ts'
import { ReplayPace } from './replay-pace.ts'
import type { StreamTimeline } from './stream-timeline.ts'
import { Timeline } from './timeline.ts'

export type AudioOutcome =
  | { readonly kind: 'ok'; readonly removedHeader: boolean }
  | { readonly kind: 'refused'; readonly rule: string }

/** The part of a stream that takes audio. */
export interface AudioSink {
  readonly timeline: StreamTimeline
  send(frame: Buffer): void
  end(): void
}

const OK: AudioOutcome = { kind: 'ok', removedHeader: false }
const OK_HEADER_REMOVED: AudioOutcome = { kind: 'ok', removedHeader: true }

/** Within it a client that is back begins to send what it could not. */
const CATCH_UP_MS = 2_000

/** All-zero audio of this length is worth a warning. */
const SILENCE_ONLY_SECONDS = 10

export class AudioSender {
  readonly timeline = new Timeline()
  readonly #parameters: StreamParameters
  readonly #limits: SessionLimits
  readonly #metrics: SessionMetrics
  readonly #chunker: AudioChunker
  readonly #buffer: ReplayBuffer
  #probe: AudioProbe | null
  #sink: AudioSink | null = null
  /** Set while a stream catches up. */
  #pace: ReplayPace | null = null
  /** Until then audio that comes all at once goes on at that pace. */
  #catchUpUntilMs = -Infinity
  /** The sink is to be ended when it has everything. */
  #endsSink = false
  #receivedBytes = 0
  #silenceSeconds = 0
  #replayedSeconds = 0
  /** The service has had its say about the audio up to here. */
  #settledByte = 0
  /** Of the latest audio of the client. */
  #tookAtMs = 0
  #nowMs = 0
  #isAllZero: boolean

  /** `memory`: for the frames of the audio. */
  constructor(
    parameters: StreamParameters,
    limits: SessionLimits,
    metrics: SessionMetrics,
    memory: RecycledBuffers,
  ) {
    this.#parameters = parameters
    this.#limits = limits
    this.#metrics = metrics
    this.#probe = new AudioProbe(parameters)
    this.#isAllZero = parameters.isPcm
    const sizes = chunkSizes(parameters, limits)
    const replayBytes = parameters.isPcm ? limits.replaySeconds * parameters.bytesPerSecond : 0
    const { frameBytes, minBytes } = sizes
    const maxBytes = replayBytes + limits.pendingAudioBytes
    this.#buffer = new ReplayBuffer({ replayBytes, maxBytes, frameBytes, minBytes }, memory)
    this.#chunker = new AudioChunker(sizes, memory, (frame, audioBytes) => this.#take(frame, audioBytes))
  }

  /** Compressed audio cannot begin in the middle, so only PCM can move to another stream. */
  get canReplay(): boolean {
    return this.#parameters.isPcm
  }

  /** Client audio received, a header included. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Bytes that wait for a stream, framing included. */
  get queuedBytes(): number {
    return this.#buffer.unsentFrameBytes
  }

  /** There is audio that no final result covers: not sent yet, or sent to a stream that did not end well. */
  get hasUnfinished(): boolean {
    return !this.#buffer.isEmpty && this.#buffer.endByte > this.#settledByte
  }

  /** Audio from here on that may hold speech. */
  loudSecondsFrom(seconds: number): number {
    const { bytesPerSecond } = this.#parameters
    return this.#buffer.loudBytesFrom(seconds * bytesPerSecond) / bytesPerSecond
  }

  get hasUnsent(): boolean {
    return this.#buffer.hasUnsent
  }

  /** Audio that is kept on top of what usually is: the client is about to send it at once. */
  get expectedBytes(): number {
    return this.#buffer.expectedBytes
  }

  /** Position up to which some stream got the audio. */
  get onceSentSeconds(): number {
    return this.#buffer.onceSentByte / this.#parameters.bytesPerSecond
  }

  /** How long the client has sent nothing. */
  quietMs(nowMs: number): number {
    return nowMs - this.#tookAtMs
  }

  /** Audio that waits for a stream. */
  get unsentSeconds(): number {
    return (this.#buffer.endByte - this.#buffer.cursorByte) / this.#parameters.bytesPerSecond
  }

  /** Audio sent to a stream after another one had it. */
  get replayedSeconds(): number {
    return this.#replayedSeconds
  }

  /** Silence put in for the client. */
  get silenceSeconds(): number {
    return this.#silenceSeconds
  }

  /** Whether everything so far was digital silence, for long enough to say so. */
  get isSilenceOnly(): boolean {
    return this.#isAllZero && this.#receivedBytes / this.#parameters.bytesPerSecond >= SILENCE_ONLY_SECONDS
  }

  push(pcm: Uint8Array, nowMs: number): AudioOutcome {
    this.#nowMs = nowMs
    this.#receivedBytes += pcm.length
    if (this.#probe === null) {
      this.#accept(pcm)
      return OK
    }
    const probed = this.#probe.push(pcm)
    if (probed.kind === 'more') return OK
    if (probed.kind === 'refused') {
      this.#metrics.audioDroppedBytes += pcm.length
      return probed
    }
    this.#probe = null
    this.#accept(probed.audio)
    return probed.removedHeader ? OK_HEADER_REMOVED : OK
  }

  /** Makes everything that is kept from `fromSeconds` on unsent, and returns where it begins. */
  rewind(fromSeconds: number): number {
    const { bytesPerSecond } = this.#parameters
    return this.#buffer.rewind(Math.round(fromSeconds * bytesPerSecond)) / bytesPerSecond
  }

  /** Audio that may hold speech and was not kept long enough, since this was asked last. */
  takeFallenSeconds(): number {
    return this.#buffer.takeFallenBytes() / this.#parameters.bytesPerSecond
  }

  /** A stream is there and gets what waits: at once, or at the pace of a replay. */
  attach(sink: AudioSink, isReplay: boolean, nowMs: number): void {
    this.#sink = sink
    this.#endsSink = false
    this.#pace = isReplay || this.expectedBytes > 0 ? this.#replayPace(nowMs) : null
    this.pump(nowMs)
  }

  /**
   * What a client could not send is about to come at once: the stream gets it at the pace of a replay. So much more than usual
   * is kept until it has.
   */
  catchUp(backlogBytes: number, nowMs: number): void {
    this.#catchUpUntilMs = nowMs + CATCH_UP_MS
    this.#buffer.expect(backlogBytes)
    if (this.#sink !== null) this.#pace ??= this.#replayPace(nowMs)
  }

  detach(): void {
    this.#sink = null
    this.#pace = null
    this.#endsSink = false
  }

  /** Sends what waits, as far as the pace allows. */
  pump(nowMs: number): void {
    this.#nowMs = nowMs
    const sink = this.#sink
    if (sink === null) return
    while (this.#buffer.hasUnsent && this.#pace?.isDue(nowMs) !== false) this.#sendNext(sink)
    if (this.#buffer.hasUnsent) return
    if (nowMs >= this.#catchUpUntilMs) {
      this.#pace = null
      this.#buffer.expectNoMore()
    }
    if (!this.#endsSink) return
    sink.end()
    // Nothing may follow the end, whatever comes to light of the audio.
    this.detach()
  }

  /** Small pieces do not wait for more audio for longer than a chunk. */
  flushOld(nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flushAfter(this.#limits.chunkMs, nowMs)
  }

  /** The end of the client's audio. Returns how many bytes of a broken sample were left out. */
  finish(nowMs: number): number {
    this.#nowMs = nowMs
    if (this.#probe !== null) this.#accept(this.#probe.release())
    return this.#chunker.flush(nowMs) + (this.#probe?.keptBytes ?? 0)
  }

  /** The stream of the moment is ended once it has all audio so far. */
  endStream(nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flush(nowMs)
    this.#endsSink = true
    this.pump(nowMs)
  }

  /** Sends `ms` of silence to the stream; less than a sample is none, because empty audio would end the stream. */
  fillSilence(ms: number, nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flush(nowMs)
    // A stream that is still catching up gets no silence: it has audio.
    if (this.#sink === null || this.#buffer.hasUnsent) return
    const { bytesPerSecond, frameBytes } = this.#parameters
    const bytes = Math.round((bytesPerSecond * ms) / 1000 / frameBytes) * frameBytes
    if (bytes === 0) return
    const seconds = bytes / bytesPerSecond
    this.#sink.timeline.addSilence(seconds)
    this.#silenceSeconds += seconds
    this.#metrics.silenceFilledSeconds += seconds
    this.#sink.send(encodeAudioEvent(Buffer.alloc(bytes)))
  }

  /** Final results cover the client's audio up to here. */
  coverUpTo(seconds: number): void {
    // A word's end is rounded to milliseconds, and a frame may end with it.
    this.#buffer.coverUpTo(Math.round(seconds * this.#parameters.bytesPerSecond))
  }

  /**
   * The stream has made results of everything that it got. The audio since its last word, but no more than
   * `contextSeconds`, is kept for the next one: somebody may have been cut off in the middle of a word.
   */
  settle(contextSeconds: number): void {
    this.#settledByte = this.#buffer.cursorByte
    this.#buffer.coverUpTo(this.#settledByte - contextSeconds * this.#parameters.bytesPerSecond)
  }

  /** While no stream takes audio: keeps the buffer within its bound, at the cost of the oldest. */
  trim(): void {
    this.#metrics.audioDroppedBytes += this.#buffer.trim()
  }

  /** The end, to be called once: gives up what was never sent, for the count of lost audio. */
  discard(): void {
    this.#metrics.audioDroppedBytes +=
      this.#buffer.neverSentBytes + this.#chunker.pendingBytes + (this.#probe?.keptBytes ?? 0)
    this.#chunker.clear()
    this.#buffer.clear()
    this.detach()
  }

  /** Audio without a header. */
  #accept(pcm: Uint8Array): void {
    if (this.#isAllZero) this.#isAllZero = isZero(pcm)
    this.#chunker.push(pcm, this.#nowMs)
  }

  #take(frame: Buffer, audioBytes: number): void {
    const { bytesPerSecond, isPcm } = this.#parameters
    // How long compressed audio is cannot be told from its size.
    if (isPcm) this.timeline.addAudio(audioBytes / bytesPerSecond, this.#nowMs)
    this.#buffer.append(frame, audioBytes)
    this.#tookAtMs = this.#nowMs
    // At a pace the next one may be an older one.
    if (this.#sink !== null && this.#pace?.isDue(this.#nowMs) !== false) this.#sendNext(this.#sink)
  }

  #replayPace(nowMs: number): ReplayPace {
    const { paceRate, replayRate } = this.#limits
    // Slower than the client may send, a session could never catch up.
    return new ReplayPace(this.#parameters.bytesPerSecond, Math.max(replayRate, paceRate), nowMs)
  }

  #sendNext(sink: AudioSink): void {
    const { bytesPerSecond, isPcm } = this.#parameters
    const sentByte = this.#buffer.onceSentByte
    const entry = this.#buffer.next()
    if (entry === null) return
    if (isPcm) {
      const againBytes = Math.min(entry.audioBytes, sentByte - entry.startByte)
      if (againBytes > 0) this.#countReplayed(againBytes / bytesPerSecond)
      sink.timeline.addAudio(entry.audioBytes / bytesPerSecond)
      this.#pace?.take(entry.audioBytes)
    }
    sink.send(entry.frame)
    this.#buffer.forgetSent()
  }

  #countReplayed(seconds: number): void {
    this.#replayedSeconds += seconds
    this.#metrics.replayedSeconds += seconds
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}
