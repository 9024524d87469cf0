/** The recordings of examples/audio as PCM with their words, and audio made up for tests. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom } from './random.ts'
import { wordsOf } from './relay-client.ts'

export const SPEECH_FOLDER = fileURLToPath(new URL('../../examples/audio', import.meta.url))
export const BYTES_PER_SECOND_16K = 32_000

/** Of the recordings: plain RIFF, `fmt ` and `data`. */
const WAV_HEADER_BYTES = 44

export interface Speech {
  readonly name: string
  /** 16 kHz, 16 bits, mono. */
  readonly pcm: Buffer
  readonly words: readonly string[]
}

export function readSpeech(): readonly Speech[] {
  const table = readFileSync(join(SPEECH_FOLDER, 'transcripts.tsv'), 'utf8')
  return table
    .trim()
    .split('\n')
    .map(row => {
      const [name = '', , text = ''] = row.split('\t')
      const pcm = readFileSync(join(SPEECH_FOLDER, name)).subarray(WAV_HEADER_BYTES)
      return { name, pcm, words: wordsOf(text) }
    })
}

/** Every second sample. */
export function halveRate(pcm: Buffer): Buffer {
  const half = Buffer.alloc(Math.ceil(pcm.length / 4) * 2)
  for (let offset = 0; offset < half.length; offset += 2)
    half.writeInt16LE(pcm.readInt16LE(offset * 2), offset)
  return half
}

/** Two mono recordings as the channels of one; the shorter ends in silence. */
export function interleave(left: Buffer, right: Buffer): Buffer {
  const samples = Math.max(left.length, right.length) / 2
  const stereo = Buffer.alloc(samples * 4)
  for (let sample = 0; sample < samples; sample++) {
    if (sample * 2 < left.length) stereo.writeInt16LE(left.readInt16LE(sample * 2), sample * 4)
    if (sample * 2 < right.length) stereo.writeInt16LE(right.readInt16LE(sample * 2), sample * 4 + 2)
  }
  return stereo
}

/** Loud noise, of which no two stretches are the same, so that a lost or doubled byte shows. */
export function noise(seconds: number, seed: number): Buffer {
  const random = createRandom(seed)
  const pcm = Buffer.alloc(Math.round(seconds * BYTES_PER_SECOND_16K))
  for (let offset = 0; offset < pcm.length; offset += 2) {
    pcm.writeInt16LE(Math.floor((random() - 0.5) * 20_000), offset)
  }
  return pcm
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
