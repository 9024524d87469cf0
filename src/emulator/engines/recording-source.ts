/**
 * Says the words of known recordings exactly where their audio is, whichever part of a recording a stream holds: after
 * a cut and a replay, the words of both streams together are the words of the recording. A word counts as heard when
 * its middle was heard.
 */
import type { TimedWord } from '../recordings.ts'
import { MATCH_SAMPLES, type RecordingIndex, type RecordingPlace } from './recording-index.ts'
import type { HeardWord } from './result-builder.ts'
import type { WordSource } from './word-sources.ts'

/** The stretch of a stream that is a stretch of a recording. */
interface Track {
  readonly place: RecordingPlace
  /** Stream position minus recording position, samples. */
  readonly shift: number
  /** Where the match began, in samples of the stream. */
  readonly from: number
  /** Index of the next word of the recording. */
  nextWord: number
}

export class RecordingSource implements WordSource {
  readonly #index: RecordingIndex
  readonly #sampleRateHz: number
  /** The end of the audio in which nothing was found, shorter than a match. */
  #unmatched = new Int16Array(0)
  #track: Track | null = null
  #hasFollowed = false

  constructor(index: RecordingIndex, sampleRateHz: number) {
    this.#index = index
    this.#sampleRateHz = sampleRateHz
  }

  get isFollowing(): boolean {
    return this.#track !== null
  }

  get hasFollowed(): boolean {
    return this.#hasFollowed
  }

  hear(frame: Int16Array, position: number): readonly HeardWord[] {
    const heard: HeardWord[] = []
    let rest = frame
    let restPosition = position
    while (rest.length > 0) {
      const used: number =
        this.#track === null ? this.#search(rest, restPosition) : this.#follow(rest, restPosition, heard)
      rest = rest.subarray(used)
      restPosition += used
    }
    return heard
  }

  finish(position: number): readonly HeardWord[] {
    const heard: HeardWord[] = []
    if (this.#track !== null) this.#leave(this.#track, position, heard)
    return heard
  }

  /** Returns how many samples of `frame` were used up; with a find, those before the place is known. */
  #search(frame: Int16Array, position: number): number {
    const samples = new Int16Array(this.#unmatched.length + frame.length)
    samples.set(this.#unmatched)
    samples.set(frame, this.#unmatched.length)
    const samplesPosition = position - this.#unmatched.length
    const lastOffset = samples.length - MATCH_SAMPLES
    for (let offset = 0; offset <= lastOffset; offset++) {
      const place = this.#index.find(samples, offset)
      if (place === null) continue
      const from = samplesPosition + offset
      const shift = from - place.position
      this.#track = { place, shift, from, nextWord: this.#firstWordFrom(place) }
      this.#hasFollowed = true
      this.#unmatched = new Int16Array(0)
      // All of a match is behind us; following goes on after it.
      return offset + MATCH_SAMPLES - (samples.length - frame.length)
    }
    this.#unmatched = samples.slice(Math.max(0, lastOffset + 1))
    return frame.length
  }

  #follow(frame: Int16Array, position: number, heard: HeardWord[]): number {
    const track = this.#track
    if (track === null) return 0
    const { samples } = track.place.recording
    let used = 0
    while (used < frame.length && frame[used] === samples[position + used - track.shift]) used++
    const reached = position + used
    if (used < frame.length) {
      this.#leave(track, reached, heard)
    } else {
      this.#say(track, word => this.#sampleAt(word.endSeconds, track) <= reached, heard, reached)
    }
    return used
  }

  /** The track ends here: by another sound, or with the recording. */
  #leave(track: Track, position: number, heard: HeardWord[]): void {
    this.#say(track, word => this.#middleOf(word, track) <= position, heard, position)
    this.#track = null
  }

  #say(track: Track, isHeard: (word: TimedWord) => boolean, heard: HeardWord[], position: number): void {
    const { words } = track.place.recording
    for (
      let word = words[track.nextWord];
      word !== undefined && isHeard(word);
      word = words[track.nextWord]
    ) {
      track.nextWord++
      heard.push({
        content: word.content,
        startSeconds: Math.max(this.#sampleAt(word.startSeconds, track), track.from) / this.#sampleRateHz,
        endSeconds: Math.min(this.#sampleAt(word.endSeconds, track), position) / this.#sampleRateHz,
      })
    }
  }

  #firstWordFrom({ recording, position }: RecordingPlace): number {
    const index = recording.words.findIndex(
      word => ((word.startSeconds + word.endSeconds) / 2) * this.#sampleRateHz >= position,
    )
    return index === -1 ? recording.words.length : index
  }

  #sampleAt(recordingSeconds: number, track: Track): number {
    return Math.round(recordingSeconds * this.#sampleRateHz) + track.shift
  }

  #middleOf(word: TimedWord, track: Track): number {
    return this.#sampleAt((word.startSeconds + word.endSeconds) / 2, track)
  }
}
