/**
 * Minutes of real speech in which every stretch is unlike every other, so that a piece of audio says where it is from.
 *
 * The recordings of examples/audio come round and round, each time with other noise in the last bit, and between two of
 * them is a pause of other noise below any speech. Every round is a recording of its own for the scripted engine, which
 * so knows every word of the tape and its place.
 */
import { createRecording, type Recording } from '../../src/emulator/recordings.ts'
import { createRandom } from '../support/random.ts'
import { readSpeech } from '../support/speech.ts'

const TAPE_RATE_HZ = 16_000
export const TAPE_BYTES_PER_SECOND = TAPE_RATE_HZ * 2
/** Some end a result, some do not: where none does for long, a result ends in the middle of speech. */
const MIN_PAUSE_SECONDS = 0.1
const MAX_PAUSE_SECONDS = 0.9
/** About -70 dBFS. */
const PAUSE_AMPLITUDE = 10

export interface Tape {
  readonly pcm: Buffer
  readonly recordings: readonly Recording[]
}

/** The same seed gives the same tape, in every process. The last recording is left out where it does not fit. */
export function createTape(seconds: number, seed: number): Tape {
  const random = createRandom(seed)
  const speeches = readSpeech()
  const bytes = Math.round(seconds * TAPE_RATE_HZ) * 2
  const parts: Buffer[] = []
  const recordings: Recording[] = []
  let filledBytes = 0
  for (let round = 0; filledBytes < bytes; round += 1) {
    const pause = noise(
      Math.round(between(random, MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS) * TAPE_RATE_HZ),
      random,
    )
    const speech = speeches[Math.floor(random() * speeches.length)]
    if (speech === undefined) throw new Error('the recordings are missing')
    const audio = dither(speech.pcm, random)
    const isFull = filledBytes + pause.length + audio.length > bytes
    parts.push(pause, isFull ? noise(bytes / 2, random) : audio)
    filledBytes += pause.length + (isFull ? bytes : audio.length)
    if (isFull) break
    const samples = new Int16Array(audio.buffer, audio.byteOffset, audio.length / 2)
    recordings.push(createRecording(`round-${round}`, TAPE_RATE_HZ, samples, speech.words.join(' ')))
  }
  return { pcm: Buffer.concat(parts).subarray(0, bytes), recordings }
}

function dither(pcm: Buffer, random: () => number): Buffer {
  const audio = Buffer.alloc(pcm.length)
  for (let offset = 0; offset < pcm.length; offset += 2) {
    audio.writeInt16LE((pcm.readInt16LE(offset) & ~1) | (random() < 0.5 ? 0 : 1), offset)
  }
  return audio
}

function noise(samples: number, random: () => number): Buffer {
  const audio = Buffer.alloc(samples * 2)
  for (let offset = 0; offset < audio.length; offset += 2) {
    audio.writeInt16LE(Math.floor((random() * 2 - 1) * PAUSE_AMPLITUDE), offset)
  }
  return audio
}

function between(random: () => number, least: number, most: number): number {
  return least + random() * (most - least)
}
