/**
 * Who listens in the local Amazon Transcribe: a real recogniser where one is installed, else the scripted engine, which
 * knows the sample speech by its transcripts.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  createPocketsphinxEngine,
  createScriptedEngine,
  detectPocketsphinx,
  loadRecordings,
} from '../emulator/index.ts'
import type { EngineFactory } from '../emulator/index.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { readChoice } from './arguments.ts'
import { CommandError } from './command.ts'

/** The sample speech with `transcripts.tsv`. The same place from src/ and from dist/. */
export const SAMPLE_FOLDER = fileURLToPath(new URL('../../examples/audio', import.meta.url))

const ENGINES = ['auto', 'pocketsphinx', 'scripted'] as const
const INSTALL_LINE = 'for real recognition: apt-get install pocketsphinx pocketsphinx-en-us'

export const ENGINE_ROWS: readonly OptionRow[] = [
  {
    flag: 'engine',
    value: 'NAME',
    doc: 'Who recognises the speech. pocketsphinx is a real recogniser of US English; scripted needs nothing and says known words; auto takes pocketsphinx where it is installed.',
    default: 'auto',
    bounds: ENGINES.join(', '),
  },
  {
    flag: 'transcripts',
    value: 'DIR',
    doc: 'Recordings that the scripted engine knows: WAV files and transcripts.tsv (file, seconds, words).',
    default: 'the sample speech',
  },
]

export interface EngineChoice {
  readonly engine: EngineFactory
  /** How to get a better one; `null`: there is none. */
  readonly hint: string | null
}

/** `programFound`: for tests, in place of looking for the recogniser. Throws `CommandError`, `UsageError`. */
export async function chooseEngine(
  parsed: ParsedArguments,
  programFound: () => Promise<string | null> = detectPocketsphinx,
): Promise<EngineChoice> {
  const choice = readChoice(parsed.get('engine'), { flag: 'engine', default: 'auto', choices: ENGINES })
  if (choice !== 'scripted') {
    const program = await programFound()
    if (program !== null) return { engine: createPocketsphinxEngine({ program }), hint: null }
    if (choice === 'pocketsphinx') throw new CommandError(`pocketsphinx is not installed; ${INSTALL_LINE}`)
  }
  const recordings = await readRecordings(parsed.get('transcripts'))
  return { engine: createScriptedEngine({ recordings }), hint: choice === 'auto' ? INSTALL_LINE : null }
}

async function readRecordings(folder: string | undefined) {
  // Without the sample folder (a package without examples) the engine still says what it heard.
  if (folder === undefined && !existsSync(join(SAMPLE_FOLDER, 'transcripts.tsv'))) return []
  try {
    return await loadRecordings(folder ?? SAMPLE_FOLDER)
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw new CommandError(`--transcripts: ${error.message}`, { cause: error })
  }
}
