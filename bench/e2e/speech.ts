/** Real speech for the load: the recordings of examples/audio one after the other, cut into frames once. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT_DIRECTORY } from '../results-format.ts'
import { clientFrame } from './ws-frames.ts'

const SPEECH_FOLDER = join(ROOT_DIRECTORY, 'examples', 'audio')
/** Of the recordings: plain RIFF, `fmt ` and `data`. */
const WAV_HEADER_BYTES = 44
/** Of the recordings. Declared otherwise, the same bytes are shorter: to a relay, audio is bytes. */
const BYTES_PER_SAMPLE = 2

export function readSpeech(): Buffer {
  const names = readdirSync(SPEECH_FOLDER).filter(name => name.endsWith('.wav'))
  return Buffer.concat(names.map(name => readFileSync(join(SPEECH_FOLDER, name)).subarray(WAV_HEADER_BYTES)))
}

/** Masked WebSocket frames of `chunkMs` each, for clients that go round and round. */
export function cutSpeech(chunkMs: number, sampleRateHz: number): readonly Buffer[] {
  const speech = readSpeech()
  const chunkBytes = Math.round((sampleRateHz * chunkMs) / 1000) * BYTES_PER_SAMPLE
  const frames: Buffer[] = []
  for (let offset = 0; offset + chunkBytes <= speech.length; offset += chunkBytes) {
    frames.push(clientFrame('binary', speech.subarray(offset, offset + chunkBytes)))
  }
  return frames
}
