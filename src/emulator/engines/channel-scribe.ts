/**
 * Hears one channel: where speech begins and pauses, and what is said in it. Each stretch of speech is one result,
 * first partial and in the end final. Everything depends on the audio alone, never on how it was cut or when it came.
 */
import { createHash, type Hash } from 'node:crypto'
import type { WireResult } from '../wire-results.ts'
import { FRAMES_PER_SECOND, levelDb, sumOfSquares } from './loudness.ts'
import type { HeardWord, ResultBuilder } from './result-builder.ts'
import type { WordSource } from './word-sources.ts'

export interface ScribeSettings {
  readonly sampleRateHz: number
  readonly speechThresholdDb: number
  /** Quiet that ends a stretch of speech. */
  readonly pauseMs: number
  /** Where no words are known, say what was heard instead. */
  readonly reportsSpeech: boolean
}

/** The service ends a result after about 30 s, pause or not. */
const MAX_UTTERANCE_SECONDS = 30
/** A single loud frame is a click. */
const ONSET_FRAMES = 2
const REPORT_EVERY_FRAMES = 25
/** In silence the service goes on sending events, without results. */
const EMPTY_EVENT_EVERY_FRAMES = 50

interface Segment {
  readonly index: number
  readonly startSample: number
  readonly words: HeardWord[]
  frames: number
  lastLoudEnd: number
  squares: number
  hashedSamples: number
  readonly hash: Hash
  /** Part of it is a recording that is known, so that there is nothing to report. */
  isFamiliar: boolean
  /** Quiet frames since the last loud one: part of the segment only if it goes on. */
  quiet: Int16Array[]
}

export class ChannelScribe {
  readonly #settings: ScribeSettings
  readonly #source: WordSource
  readonly #builder: ResultBuilder
  readonly #emit: (results: readonly WireResult[]) => void
  readonly #frame: Int16Array
  #frameFill = 0
  /** Samples in whole frames so far. */
  #position = 0
  #loudRun: Int16Array[] = []
  #segment: Segment | null = null
  #segmentCount = 0
  #silentFrames = 0
  #saidCount = 0

  constructor(
    settings: ScribeSettings,
    source: WordSource,
    builder: ResultBuilder,
    emit: (results: readonly WireResult[]) => void,
  ) {
    this.#settings = settings
    this.#source = source
    this.#builder = builder
    this.#emit = emit
    this.#frame = new Int16Array(Math.round(settings.sampleRateHz / FRAMES_PER_SECOND))
  }

  /** Words were said, or would have been if the audio had held a whole one. */
  get knewWords(): boolean {
    return this.#saidCount > 0 || this.#source.hasFollowed
  }

  /** The next `ResultId` number of this channel. */
  get segmentCount(): number {
    return this.#segmentCount
  }

  write(samples: Int16Array): void {
    for (let offset = 0; offset < samples.length;) {
      const part = samples.subarray(offset, offset + this.#frame.length - this.#frameFill)
      this.#frame.set(part, this.#frameFill)
      this.#frameFill += part.length
      offset += part.length
      if (this.#frameFill === this.#frame.length) this.#hearFrame()
    }
  }

  end(): void {
    if (this.#frameFill > 0) this.#hearFrame()
    const words = this.#source.finish(this.#position)
    if (words.length > 0) this.#addWords(this.#segment ?? this.#open(this.#position, []), words)
    if (this.#segment !== null) this.#close(this.#segment)
  }

  #hearFrame(): void {
    const frame = this.#frame.slice(0, this.#frameFill)
    this.#frameFill = 0
    const start = this.#position
    this.#position += frame.length
    const squares = sumOfSquares(frame)
    const isLoud = levelDb(squares, frame.length) >= this.#settings.speechThresholdDb
    const speechSamples = isLoud ? this.#hearLoud(frame, squares) : this.#hearQuiet(frame)
    const words = this.#source.hear(frame, start, speechSamples)
    if (words.length > 0) this.#addWords(this.#segment ?? this.#open(this.#position, []), words)
    if (this.#segment === null) this.#passSilence()
    else this.#advance(this.#segment)
  }

  /** Returns how many samples of speech became known. */
  #hearLoud(frame: Int16Array, squares: number): number {
    const segment = this.#segment
    if (segment !== null) {
      for (const quiet of segment.quiet) take(segment, quiet, sumOfSquares(quiet))
      segment.quiet = []
      take(segment, frame, squares)
      segment.lastLoudEnd = this.#position
      return frame.length
    }
    this.#loudRun.push(frame)
    if (this.#loudRun.length < ONSET_FRAMES) return 0
    const run = this.#loudRun
    const runSamples = run.reduce((total, { length }) => total + length, 0)
    this.#open(this.#position - runSamples, run)
    return runSamples
  }

  #hearQuiet(frame: Int16Array): number {
    this.#loudRun = []
    this.#segment?.quiet.push(frame)
    return 0
  }

  #open(startSample: number, frames: readonly Int16Array[]): Segment {
    const segment: Segment = {
      index: this.#segmentCount++,
      startSample,
      words: [],
      frames: 0,
      lastLoudEnd: this.#position,
      squares: 0,
      hashedSamples: 0,
      hash: createHash('sha256'),
      isFamiliar: false,
      quiet: [],
    }
    for (const frame of frames) take(segment, frame, sumOfSquares(frame))
    this.#loudRun = []
    this.#silentFrames = 0
    this.#segment = segment
    return segment
  }

  #addWords(segment: Segment, words: readonly HeardWord[]): void {
    for (const word of words) {
      segment.words.push(word)
      this.#saidCount++
      this.#emitSegment(segment, segment.words, true)
    }
  }

  #advance(segment: Segment): void {
    const { sampleRateHz, pauseMs } = this.#settings
    segment.frames++
    segment.isFamiliar ||= this.#source.isFollowing
    const quietSeconds = (this.#position - segment.lastLoudEnd) / sampleRateHz
    const seconds = (this.#position - segment.startSample) / sampleRateHz
    if (quietSeconds * 1000 >= pauseMs || seconds >= MAX_UTTERANCE_SECONDS) {
      this.#close(segment)
    } else if (segment.frames % REPORT_EVERY_FRAMES === 0 && this.#mustReport(segment)) {
      this.#emitSegment(segment, [this.#report(segment, `heard ${seconds.toFixed(1)} s`)], true)
    }
  }

  #close(segment: Segment): void {
    this.#segment = null
    if (segment.words.length > 0) {
      this.#emitSegment(segment, segment.words, false)
      return
    }
    if (!this.#mustReport(segment)) return
    const seconds = (segment.lastLoudEnd - segment.startSample) / this.#settings.sampleRateHz
    const level = levelDb(segment.squares, segment.hashedSamples).toFixed(1)
    const text = `heard ${seconds.toFixed(2)} s at ${level} dB, sha256 ${segment.hash.digest('hex')}`
    this.#emitSegment(segment, [this.#report(segment, text)], false)
  }

  #mustReport(segment: Segment): boolean {
    return this.#settings.reportsSpeech && segment.words.length === 0 && !segment.isFamiliar
  }

  /** A report is one item, blanks and all. */
  #report(segment: Segment, content: string): HeardWord {
    const { sampleRateHz } = this.#settings
    return {
      content,
      startSeconds: segment.startSample / sampleRateHz,
      endSeconds: segment.lastLoudEnd / sampleRateHz,
    }
  }

  #emitSegment(segment: Segment, words: readonly HeardWord[], isPartial: boolean): void {
    const { sampleRateHz } = this.#settings
    const wordsStart = words[0]?.startSeconds ?? Infinity
    const wordsEnd = words.at(-1)?.endSeconds ?? 0
    this.#emit([
      this.#builder.build({
        index: segment.index,
        startSeconds: Math.min(segment.startSample / sampleRateHz, wordsStart),
        // A final covers the speech to its end; a partial only what it has words for.
        endSeconds: isPartial ? wordsEnd : Math.max(segment.lastLoudEnd / sampleRateHz, wordsEnd),
        isPartial,
        words,
      }),
    ])
  }

  #passSilence(): void {
    this.#silentFrames++
    if (this.#silentFrames % EMPTY_EVENT_EVERY_FRAMES === 0) this.#emit([])
  }
}

function take(segment: Segment, frame: Int16Array, squares: number): void {
  segment.squares += squares
  segment.hashedSamples += frame.length
  // In the byte order of the wire; every machine that Node runs on with 16-bit arrays as here is little-endian.
  segment.hash.update(new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength))
}
