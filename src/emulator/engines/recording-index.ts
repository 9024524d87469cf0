/**
 * Finds out which recording a piece of audio is from, and where in it, from 11 ms of audio.
 *
 * Every 10 ms of every recording are entered under their first three samples; a candidate counts only if the next 176
 * samples are the same, one by one. Exact bytes or nothing: the emulator hears what was sent, not what resembles it.
 */
import type { Recording } from '../recordings.ts'

export interface RecordingPlace {
  readonly recording: Recording
  /** Sample of the recording. */
  readonly position: number
}

/** Between two entries; audio from anywhere in a recording is found after at most as many samples. */
const GRID_SAMPLES = 160
/** What a match must agree in. */
export const MATCH_SAMPLES = 176

export class RecordingIndex {
  readonly #places = new Map<number, RecordingPlace[]>()

  /** Takes the recordings of this rate; others cannot occur. */
  constructor(recordings: readonly Recording[], sampleRateHz: number) {
    for (const recording of recordings) {
      if (recording.sampleRateHz !== sampleRateHz) continue
      const { samples } = recording
      for (let position = 0; position + MATCH_SAMPLES <= samples.length; position += GRID_SAMPLES) {
        const key = keyAt(samples, position)
        if (key === SILENCE_KEY) continue
        const places = this.#places.get(key)
        if (places === undefined) this.#places.set(key, [{ recording, position }])
        else places.push({ recording, position })
      }
    }
  }

  get isEmpty(): boolean {
    return this.#places.size === 0
  }

  /** The place of the samples from `offset` on, of which there must be `MATCH_SAMPLES`. */
  find(samples: Int16Array, offset: number): RecordingPlace | null {
    const key = keyAt(samples, offset)
    if (key === SILENCE_KEY) return null
    const places = this.#places.get(key) ?? []
    return places.find(place => matches(samples, offset, place)) ?? null
  }
}

/** Three zeros: silence is everywhere, so it tells nothing. */
const SILENCE_KEY = keyAt(new Int16Array(3), 0)

/** 48 bits in one number. */
function keyAt(samples: Int16Array, offset: number): number {
  const first = (samples[offset] ?? 0) & 0xffff
  const second = (samples[offset + 1] ?? 0) & 0xffff
  const third = (samples[offset + 2] ?? 0) & 0xffff
  return first + second * 2 ** 16 + third * 2 ** 32
}

function matches(samples: Int16Array, offset: number, { recording, position }: RecordingPlace): boolean {
  for (let index = 0; index < MATCH_SAMPLES; index++) {
    if (samples[offset + index] !== recording.samples[position + index]) return false
  }
  return true
}
