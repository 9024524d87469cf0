/**
 * Where the scripted engine gets its words from. A source hears every frame of one channel and gives the words whose
 * end has been heard, with times in seconds of the stream, in order.
 */
import type { HeardWord } from './result-builder.ts'

export interface WordSource {
  /**
   * `position`: samples before this frame. `speechSamples`: how much speech became known with it; 0 in silence, and more
   * than the frame where speech is first noticed.
   */
  hear(frame: Int16Array, position: number, speechSamples: number): readonly HeardWord[]
  /** No more audio: what is still owed. */
  finish(position: number): readonly HeardWord[]
  /** It is in the middle of words that it knows, so that silence about them is no ignorance. */
  readonly isFollowing: boolean
  /** It followed at least once in this stream. */
  readonly hasFollowed: boolean
}

/** Several sources behind one another: the first that has words, or follows, is believed. */
export class FirstSource implements WordSource {
  readonly #sources: readonly WordSource[]

  constructor(sources: readonly WordSource[]) {
    this.#sources = sources
  }

  get isFollowing(): boolean {
    return this.#sources.some(source => source.isFollowing)
  }

  get hasFollowed(): boolean {
    return this.#sources.some(source => source.hasFollowed)
  }

  hear(frame: Int16Array, position: number, speechSamples: number): readonly HeardWord[] {
    let words: readonly HeardWord[] = []
    let isTaken = false
    for (const source of this.#sources) {
      // Those behind hear silence while an earlier one speaks, so that their text waits.
      const heard = source.hear(frame, position, isTaken ? 0 : speechSamples)
      if (isTaken) continue
      words = heard
      isTaken = heard.length > 0 || source.isFollowing
    }
    return words
  }

  finish(position: number): readonly HeardWord[] {
    for (const source of this.#sources) {
      const words = source.finish(position)
      if (words.length > 0) return words
    }
    return []
  }
}

/** A text to be said over whatever speech there is. */
export interface SpokenText {
  readonly text: string
  /** Seconds of speech that the text takes. Left out: 15 letters a second. */
  readonly seconds?: number
}

const DEFAULT_LETTERS_PER_SECOND = 15

interface PacedWord {
  readonly content: string
  readonly samples: number
  readonly isLast: boolean
}

/** Says texts one after the other, and from the start again, as fast as speech goes on. */
export class TextSource implements WordSource {
  readonly isFollowing = false
  readonly hasFollowed = false
  readonly #words: readonly PacedWord[]
  readonly #sampleRateHz: number
  #next = 0
  #saidCount = 0
  /** Speech heard but not yet filled with words. */
  #unspokenSamples = 0
  #lastEnd = 0

  constructor(texts: readonly SpokenText[], sampleRateHz: number) {
    this.#sampleRateHz = sampleRateHz
    this.#words = texts.flatMap(text => paceWords(text, sampleRateHz))
  }

  hear(frame: Int16Array, position: number, speechSamples: number): readonly HeardWord[] {
    if (speechSamples === 0) return []
    this.#unspokenSamples += speechSamples
    const heard: HeardWord[] = []
    const end = position + frame.length
    for (let word = this.#words[this.#next]; word !== undefined; word = this.#words[this.#next]) {
      if (this.#unspokenSamples < word.samples) break
      this.#unspokenSamples -= word.samples
      heard.push(this.#say(word, end - this.#unspokenSamples))
    }
    return heard
  }

  /** The rest of a text that was begun, so that short audio loses no word of it. */
  finish(position: number): readonly HeardWord[] {
    const heard: HeardWord[] = []
    for (
      let word = this.#words[this.#next];
      word !== undefined && this.#isBegun();
      word = this.#words[this.#next]
    ) {
      heard.push(this.#say(word, position))
    }
    return heard
  }

  #isBegun(): boolean {
    const isBetweenTexts = this.#next === 0 || this.#words[this.#next - 1]?.isLast === true
    return isBetweenTexts ? this.#saidCount === 0 && this.#unspokenSamples > 0 : true
  }

  #say(word: PacedWord, end: number): HeardWord {
    const start = Math.min(end, Math.max(this.#lastEnd, end - word.samples))
    this.#lastEnd = Math.max(end, this.#lastEnd)
    this.#next = (this.#next + 1) % this.#words.length
    this.#saidCount++
    if (word.isLast) this.#unspokenSamples = 0
    return {
      content: word.content,
      startSeconds: start / this.#sampleRateHz,
      endSeconds: this.#lastEnd / this.#sampleRateHz,
    }
  }
}

function paceWords({ text, seconds }: SpokenText, sampleRateHz: number): readonly PacedWord[] {
  const words = text.split(/\s+/).filter(word => word !== '')
  const letters = words.reduce((total, word) => total + word.length + 1, 0)
  const samplesPerLetter = (sampleRateHz * (seconds ?? letters / DEFAULT_LETTERS_PER_SECOND)) / letters
  return words.map((content, index) => ({
    content,
    samples: Math.max(1, Math.floor((content.length + 1) * samplesPerLetter)),
    isLast: index === words.length - 1,
  }))
}
