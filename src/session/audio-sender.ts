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
  #nowMs = 0
  #isAllZero: boolean

  constructor(parameters: StreamParameters, limits: SessionLimits, metrics: SessionMetrics) {
    this.#parameters = parameters
    this.#limits = limits
    this.#metrics = metrics
    this.#probe = new AudioProbe(parameters)
    this.#isAllZero = parameters.isPcm
    this.#chunker = new AudioChunker(chunkSizes(parameters, limits), (frame, audioBytes) => {
      this.timeline.addAudio(audioBytes / parameters.bytesPerSecond, this.#nowMs)
      this.#send(frame)
    })
  }

  /** Client audio received, header included, seconds by the declared rate (an upper bound for compressed audio). */
  get receivedSeconds(): number {
    return this.#receivedBytes / this.#parameters.bytesPerSecond
  }

  get receivedBytes(): number {
    return this.#receivedBytes
  }

  /** Bytes that wait for the upstream to open. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  get sentFrames(): number {
    return this.#sentFrames
  }

  /** Whether everything so far was digital silence, for long enough to say so. */
  get isSilenceOnly(): boolean {
    return this.#isAllZero && this.receivedSeconds >= SILENCE_ONLY_SECONDS
  }

  push(pcm: Uint8Array, nowMs: number): AudioOutcome {
    this.#nowMs = nowMs
    this.#receivedBytes += pcm.length
    if (this.#isAllZero) this.#isAllZero = isZero(pcm)
    if (this.#probe === null) {
      this.#chunker.push(pcm, nowMs)
      return OK
    }
    const probed = this.#probe.push(pcm)
    if (probed.kind === 'more') return OK
    if (probed.kind === 'refused') return probed
    this.#probe = null
    if (probed.removedHeader) this.#isAllZero = true
    if (probed.audio.length > 0) this.#chunker.push(probed.audio, nowMs)
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
    const left = this.#chunker.flush(nowMs) + (this.#probe?.keptBytes ?? 0)
    this.#metrics.audioDroppedBytes += left
    this.#send(encodeEndOfStream())
    return left
  }

  /** Sends `ms` of silence to the upstream. */
  fillSilence(ms: number, nowMs: number): void {
    this.#nowMs = nowMs
    this.#chunker.flush(nowMs)
    const { bytesPerSecond, frameBytes } = this.#parameters
    const bytes = Math.round((bytesPerSecond * ms) / 1000 / frameBytes) * frameBytes
    const seconds = bytes / bytesPerSecond
    this.timeline.addSilence(seconds)
    this.#metrics.silenceFilledSeconds += seconds
    this.#send(encodeAudioEvent(Buffer.alloc(bytes)))
  }

  /** Gives up what was never sent, for the count of lost audio. */
  discard(): void {
    this.#metrics.audioDroppedBytes += this.#queuedBytes + this.#chunker.pendingBytes
    this.#queue = []
    this.#queuedBytes = 0
    this.#upstream = null
  }

  #send(frame: Buffer): void {
    if (this.#upstream === null) {
      this.#queue.push(frame)
      this.#queuedBytes += frame.length
      return
    }
    this.#sentFrames += 1
    this.#metrics.upstreamFrames += 1
    this.#metrics.upstreamAudioBytes += frame.length - AUDIO_OVERHEAD_BYTES
    this.#upstream.send(frame)
  }
}

function isZero(bytes: Uint8Array): boolean {
  for (const byte of bytes) if (byte !== 0) return false
  return true
}
