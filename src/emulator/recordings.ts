/**
 * Recordings of known words: a folder with WAV files and `transcripts.tsv` (file, seconds, words). The emulator
 * recognises the audio of a recording wherever it occurs in a stream and says the words that are spoken there.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_SPEECH_THRESHOLD_DB, FRAMES_PER_SECOND, isLoud } from './engines/loudness.ts'

/** A word and where it is, in seconds. */
export interface TimedWord {
  readonly content: string
  readonly startSeconds: number
  readonly endSeconds: number
}

export interface Recording {
  readonly name: string
  readonly sampleRateHz: number
  /** Mono. */
  readonly samples: Int16Array
  /** In order, without overlap. */
  readonly words: readonly TimedWord[]
}

const TRANSCRIPTS_FILE = 'transcripts.tsv'
const MAX_RECORDINGS = 1000
/** The canonical header of a PCM WAV file: `RIFF`, `fmt ` of 16 bytes, `data`. */
const WAV_HEADER_BYTES = 44
const CHANNELS_OFFSET = 22
const SAMPLE_RATE_OFFSET = 24
const BITS_OFFSET = 34

/**
 * Reads every recording that the folder's `transcripts.tsv` names. Throws with the file's name when a file is missing or
 * is not 16-bit mono PCM in a plain WAV.
 */
export async function loadRecordings(folder: string): Promise<readonly Recording[]> {
  const table = await readFile(join(folder, TRANSCRIPTS_FILE), 'utf8')
  const rows = table.split(/\r?\n/).filter(row => row.trim() !== '')
  if (rows.length > MAX_RECORDINGS) {
    throw new RangeError(
      `${TRANSCRIPTS_FILE} names ${rows.length} recordings; the limit is ${MAX_RECORDINGS}.`,
    )
  }
  return Promise.all(
    rows.map(async (row, index) => {
      const [file, , words] = row.split('\t')
      if (file === undefined || words === undefined) {
        throw new RangeError(
          `${TRANSCRIPTS_FILE} line ${index + 1} must have file, seconds and words, with tabs.`,
        )
      }
      const { sampleRateHz, samples } = readWav(file, await readFile(join(folder, file)))
      return createRecording(file, sampleRateHz, samples, words)
    }),
  )
}

/** A recording of the given words, which are laid over its loud parts in proportion to their length. */
export function createRecording(
  name: string,
  sampleRateHz: number,
  samples: Int16Array,
  text: string,
): Recording {
  return { name, sampleRateHz, samples, words: alignWords(text, samples, sampleRateHz) }
}

function readWav(file: string, wav: Buffer): { sampleRateHz: number; samples: Int16Array } {
  const isPlain =
    wav.length > WAV_HEADER_BYTES &&
    wav.toString('latin1', 0, 4) === 'RIFF' &&
    wav.toString('latin1', 36, 40) === 'data' &&
    wav.readUInt16LE(CHANNELS_OFFSET) === 1 &&
    wav.readUInt16LE(BITS_OFFSET) === 16
  if (!isPlain)
    throw new RangeError(`${file} must be a WAV file of 16-bit mono PCM with a header of 44 bytes.`)
  const samples = new Int16Array((wav.length - WAV_HEADER_BYTES) >> 1)
  for (let index = 0; index < samples.length; index++) {
    samples[index] = wav.readInt16LE(WAV_HEADER_BYTES + index * 2)
  }
  return { sampleRateHz: wav.readUInt32LE(SAMPLE_RATE_OFFSET), samples }
}

/**
 * Nobody measured where the words are; a word with more letters takes more of the time in which something is heard,
 * which is right to a few tenths of a second.
 */
function alignWords(text: string, samples: Int16Array, sampleRateHz: number): readonly TimedWord[] {
  const words = text.split(/\s+/).filter(word => word !== '')
  const frameSamples = Math.round(sampleRateHz / FRAMES_PER_SECOND)
  const loudStarts: number[] = []
  for (let start = 0; start + frameSamples <= samples.length; start += frameSamples) {
    if (isLoud(samples.subarray(start, start + frameSamples), DEFAULT_SPEECH_THRESHOLD_DB))
      loudStarts.push(start)
  }
  const totalWeight = words.reduce((total, word) => total + weightOf(word), 0)
  const secondsAt = (weight: number): number => {
    const position = Math.min(Math.floor((weight / totalWeight) * loudStarts.length), loudStarts.length - 1)
    return (loudStarts[position] ?? 0) / sampleRateHz
  }
  let weight = 0
  return words.map((content, index) => {
    const startSeconds = secondsAt(weight)
    weight += weightOf(content)
    const isLast = index === words.length - 1
    const endSeconds = secondsAt(weight) + (isLast ? 1 / FRAMES_PER_SECOND : 0)
    return { content, startSeconds, endSeconds }
  })
}

/** One for the pause behind the word. */
function weightOf(word: string): number {
  return word.length + 1
}
