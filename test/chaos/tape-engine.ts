/**
 * A recogniser for hundreds of streams at ten times the speed: it knows the tape that all of them are from, so hearing is a
 * comparison of bytes. It says what the scripted engine says to the same stretch of the tape, word for word and place for
 * place, and writes down which stretches each client's streams have brought.
 *
 * Which client a stream belongs to, its `vocabulary-name` says: the session id is another one for every stream.
 */
import type { Engine, EngineFactory, EngineListener, WireItem, WireResult } from '../../src/emulator/index.ts'
import { TAPE_BYTES_PER_SECOND } from './tape.ts'
import type { Utterance } from './undisturbed.ts'

/** Quiet that ends a result, as in the scripted engine. */
const PAUSE_SECONDS = 0.6
const WORDS_PER_PARTIAL = 3
/** Without anything to say the service sends an empty event for every second. */
const EMPTY_EVENT_SECONDS = 1

/** A stretch of the tape that one stream brought. */
export interface Stretch {
  readonly startByte: number
  endByte: number
}

/** What all streams of one client brought. */
export class Hearing {
  readonly stretches: Stretch[] = []
  /** Pieces that are not where they should be on the tape. */
  foreignPieces = 0

  get heardBytes(): number {
    return this.stretches.reduce((sum, { startByte, endByte }) => sum + endByte - startByte, 0)
  }

  /** Bytes of the tape from its beginning on that some stream brought, without a gap. */
  get wholeBytes(): number {
    let whole = 0
    for (const { startByte, endByte } of this.stretches.toSorted((a, b) => a.startByte - b.startByte)) {
      if (startByte > whole) break
      whole = Math.max(whole, endByte)
    }
    return whole
  }
}

export interface TapeEngine {
  readonly factory: EngineFactory
  /** By `vocabulary-name`. */
  readonly hearings: ReadonlyMap<string, Hearing>
}

export function createTapeEngine(pcm: Buffer, utterances: readonly Utterance[]): TapeEngine {
  const hearings = new Map<string, Hearing>()
  return {
    hearings,
    factory: {
      name: 'tape',
      open({ parameters, streamId }, listener) {
        const client = parameters.wire['vocabulary-name'] ?? ''
        const hearing = hearings.get(client) ?? new Hearing()
        hearings.set(client, hearing)
        return new TapeListener(pcm, utterances, hearing, streamId, listener)
      },
    },
  }
}

class TapeListener implements Engine {
  readonly #pcm: Buffer
  readonly #utterances: readonly Utterance[]
  readonly #hearing: Hearing
  readonly #streamId: string
  readonly #listener: EngineListener
  #stretch: Stretch | null = null
  /** Of the utterance that comes next, or is under way. */
  #index = 0
  #saidWords = 0
  #saidAtSeconds = 0
  #isClosed = false

  constructor(
    pcm: Buffer,
    utterances: readonly Utterance[],
    hearing: Hearing,
    streamId: string,
    listener: EngineListener,
  ) {
    this.#pcm = pcm
    this.#utterances = utterances
    this.#hearing = hearing
    this.#streamId = streamId
    this.#listener = listener
  }

  write(audio: Uint8Array): void {
    if (this.#isClosed) return
    const stretch = this.#stretch ?? this.#begin(audio)
    if (stretch === null || !this.#isOnTape(audio, stretch.endByte)) {
      this.#hearing.foreignPieces += 1
      return
    }
    stretch.endByte += audio.byteLength
    this.#speak(stretch.endByte / TAPE_BYTES_PER_SECOND)
  }

  end(): void {
    if (this.#isClosed) return
    const endSeconds = (this.#stretch?.endByte ?? 0) / TAPE_BYTES_PER_SECOND
    const words = this.#heardWords(endSeconds, middleOf)
    if (words.length > 0) this.#say(words, endSeconds, false)
    this.#listener.engineOnEnd()
  }

  close(): void {
    this.#isClosed = true
  }

  #begin(audio: Uint8Array): Stretch | null {
    const startByte = this.#pcm.indexOf(audio)
    if (startByte === -1) return null
    this.#stretch = { startByte, endByte: startByte }
    this.#hearing.stretches.push(this.#stretch)
    const startSeconds = startByte / TAPE_BYTES_PER_SECOND
    this.#saidAtSeconds = startSeconds
    while ((this.#utterances[this.#index]?.endSeconds ?? Infinity) <= startSeconds) this.#index += 1
    return this.#stretch
  }

  #isOnTape(audio: Uint8Array, byte: number): boolean {
    const end = byte + audio.byteLength
    return end <= this.#pcm.length && this.#pcm.compare(audio, 0, audio.byteLength, byte, end) === 0
  }

  #speak(nowSeconds: number): void {
    for (
      let utterance = this.#utterances[this.#index];
      utterance !== undefined && utterance.endSeconds + PAUSE_SECONDS <= nowSeconds;
      utterance = this.#utterances[this.#index]
    ) {
      const words = this.#heardWords(nowSeconds, endOf)
      if (words.length > 0) this.#say(words, Math.min(utterance.endSeconds, nowSeconds), false)
      this.#index += 1
      this.#saidWords = 0
    }
    const words = this.#heardWords(nowSeconds, endOf)
    if (words.length >= this.#saidWords + WORDS_PER_PARTIAL) {
      this.#say(words, words.at(-1)?.EndTime ?? nowSeconds, true)
      this.#saidWords = words.length
    } else if (nowSeconds >= this.#saidAtSeconds + EMPTY_EVENT_SECONDS && words.length === 0) {
      this.#saidAtSeconds = nowSeconds
      this.#listener.engineOnResults([])
    }
  }

  /** Words of the utterance under way: whose middle this stream had, and which are over by `place`. */
  #heardWords(nowSeconds: number, place: (word: WireItem) => number): readonly WireItem[] {
    const startSeconds = (this.#stretch?.startByte ?? 0) / TAPE_BYTES_PER_SECOND
    const words = this.#utterances[this.#index]?.words ?? []
    return words.filter(word => middleOf(word) >= startSeconds && place(word) <= nowSeconds)
  }

  /** Times on the wire count from the beginning of the stream, in milliseconds. */
  #say(words: readonly WireItem[], endSeconds: number, isPartial: boolean): void {
    const startSeconds = (this.#stretch?.startByte ?? 0) / TAPE_BYTES_PER_SECOND
    const shift = (seconds: number): number => Math.round(Math.max(0, seconds - startSeconds) * 1000) / 1000
    this.#saidAtSeconds = endSeconds
    const items = words.map(word => ({
      ...word,
      StartTime: shift(word.StartTime),
      EndTime: shift(Math.min(word.EndTime, endSeconds)),
    }))
    const result: WireResult = {
      ResultId: `${this.#streamId}-${this.#index}`,
      StartTime: items[0]?.StartTime ?? 0,
      EndTime: shift(endSeconds),
      IsPartial: isPartial,
      Alternatives: [{ Transcript: words.map(({ Content: content }) => content).join(' '), Items: items }],
    }
    this.#listener.engineOnResults([result])
  }
}

function middleOf({ EndTime: end, StartTime: start }: WireItem): number {
  return (start + end) / 2
}

function endOf({ EndTime: end }: WireItem): number {
  return end
}
