/**
 * What the canary says and expects: a recording and its words. The words are given, or stand in `transcripts.tsv` (file,
 * seconds, words) beside the recording, as they do for the sample speech.
 */
import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { UsageError } from './command.ts'
import { SAMPLE_FOLDER } from './engine-choice.ts'
import { MAX_COMPARED_WORDS, splitWords } from './word-recall.ts'

/** Short, and longer than a word or two: 3 s. */
const DEFAULT_SAMPLE = join(SAMPLE_FOLDER, 'sense_and_sensibility_01_austen_64kb-0880.wav')
const TRANSCRIPTS = 'transcripts.tsv'

export interface CanarySample {
  readonly path: string
  readonly words: readonly string[]
}

/** `path`, `words`: as given on the command line. Throws `UsageError` when it is not known what is said. */
export async function findSample(path: string = DEFAULT_SAMPLE, words?: string): Promise<CanarySample> {
  const text = words ?? (await readTranscript(path))
  if (text === null) {
    throw new UsageError(
      `--words must say what is spoken in ${basename(path)}: no ${TRANSCRIPTS} beside it does`,
    )
  }
  const split = splitWords(text)
  if (split.length === 0 || split.length > MAX_COMPARED_WORDS) {
    throw new UsageError(`--words must be 1 to ${MAX_COMPARED_WORDS} words, got ${split.length}`)
  }
  return { path, words: split }
}

async function readTranscript(path: string): Promise<string | null> {
  const name = basename(path)
  for (const line of (await readText(join(dirname(path), TRANSCRIPTS))).split('\n')) {
    const [file, , words = ''] = line.split('\t')
    if (file === name) return words
  }
  return null
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
