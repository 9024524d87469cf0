/**
 * The way of the client's audio: probe, chunks, and then either the queue (upstream not open yet) or the upstream.
 * Keeps the byte counts that the session's summary and the metrics need. Nothing is lost or reordered.
 */
import { AUDIO_OVERHEAD_BYTES, encodeAudioEvent, encodeEndOfStream } from '../eventstream/audio-event.ts'
import type { StreamParameters } from '../transcribe/parameters.ts'
import { AudioChunker, chunkSizes } from './audio-chunker.ts'
import { AudioProbe } from './audio-probe.ts'
import type { SessionLimits } from './limits.ts'
import type { SessionMetrics, UpstreamPort } from './ports.ts'
import { Timeline } from './timeline.ts'

export type AudioOutcome =
  | { readonly kind: 'ok'; readonly removedHeader: boolean }
  | { readonly kind: 'refused'; readonly rule: string }

const OK: AudioOutcome = { kind: 'ok', removedHeader: false }
const OK_HEADER_REMOVED: AudioOutcome = { kind: 'ok', removedHeader: true }

/** All-zero audio of this length is worth a warning. */
const SILENCE_ONLY_SECONDS = 10

export class AudioSender {
  readonly timeline = new Timeline()
  readonly #parameters: StreamParameters
  readonly #limits: SessionLimits
  readonly #metrics: SessionMetrics
  readonly #chunker: AudioChunker
  #probe: AudioProbe | null
  #upstream: UpstreamPort | null = null
  #queue: Buffer[] = []
  #queuedBytes = 0
  #receivedBytes = 0
  #sentFrames = 0
  #sentBytes = 0
  #nowMs = 0
  #isAllZero: boolean

  constructor(parameters: StreamParameters, limits: SessionLimits, metrics: SessionMetrics) {
    this.#parameters = parameters
    this.#limits = limits
    this.#metrics = metrics
    this.#probe = new AudioProbe(parameters)
    this.#isAllZero = parameters.isPcm
    this.#chunker = new AudioChunker(chunkSizes(parameters, limits), (frame, audioBytes) => {
      // How long compressed audio is cannot be told from its size.
      if (parameters.isPcm) this.timeline.addAudio(audioBytes / parameters.bytesPerSecond, this.#nowMs)
      this.#send(frame)
    })
  }

  /** Client audio received, a header included. */
  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Bytes that wait for the upstream to open, framing included. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get sentFrames(): number {
    return this.#sentFrames
  }

  /** Given to the upstream so far, framing included. */
  get sentBytes(): number {
    return this.#sentBytes
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

  /** The upstream is there: what was queued goes first. */
  attach(upstream: UpstreamPort): void {
    this.#upstream = upstream
    const queue = this.#queue
    this.#queue = []
    this.#queuedBytes = 0
    for (const frame of queue) this.#send(frame)
  }

  /** Small pieces do not wait for more audio for longer than a chunk. */
  flushOld(nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flushAfter(this.#limits.chunkMs, nowMs)
  }

  /** Sends what waits and then the end of the stream. Returns how many bytes of a broken sample were left out. */
  finish(nowMs: number): number {
    this.#nowMs = nowMs
    if (this.#probe !== null) this.#accept(this.#probe.release())
    const left = this.#chunker.flush(nowMs) + (this.#probe?.keptBytes ?? 0)
    this.#send(encodeEndOfStream())
    return left
  }

  /** Sends `ms` of silence to the upstream; less than a sample is none, because empty audio would end the stream. */
  fillSilence(ms: number, nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flush(nowMs)
    const { bytesPerSecond, frameBytes } = this.#parameters
    const bytes = Math.round((bytesPerSecond * ms) / 1000 / frameBytes) * frameBytes
    if (bytes === 0) return
    const seconds = bytes / bytesPerSecond
    this.timeline.addSilence(seconds)
    this.#metrics.silenceFilledSeconds += seconds
    this.#send(encodeAudioEvent(Buffer.alloc(bytes)))
  }

  /** The end, to be called once: gives up what was never sent, for the count of lost audio. */
  discard(): void {
    let lostBytes = this.#chunker.pendingBytes + (this.#probe?.keptBytes ?? 0)
    for (const frame of this.#queue) lostBytes += frame.length - AUDIO_OVERHEAD_BYTES
    this.#metrics.audioDroppedBytes += lostBytes
    this.#queue = []
    this.#queuedBytes = 0
    this.#upstream = null
  }

  /** Audio without a header. */
  #accept(pcm: Uint8Array): void {
    if (this.#isAllZero) this.#isAllZero = isZero(pcm)
    this.#chunker.push(pcm, this.#nowMs)
  }

  #send(frame: Buffer): void {
    if (this.#upstream === null) {
      this.#queue.push(frame)
      this.#queuedBytes += frame.length
      return
    }
    this.#sentFrames += 1
    this.#sentBytes += frame.length
    this.#metrics.upstreamFrames += 1
    this.#metrics.upstreamAudioBytes += frame.length - AUDIO_OVERHEAD_BYTES
    this.#upstream.send(frame)
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}
