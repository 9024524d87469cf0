/**
 * What is measured: the modules of dist/, as they are published. A run takes a copy first, so that all its repeats measure
 * the same code, whatever is built meanwhile. With `--from=src` it is the sources themselves, through tsx, which
 * renames and wraps functions: good for a look while writing, not for figures.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT_DIRECTORY } from '../results-format.ts'

/** Inside of the project, so that the copy finds the packages. */
const CACHE_DIRECTORY = join(ROOT_DIRECTORY, 'node_modules', '.cache', 'bench')
const SOURCE = 'src'
const FROM_FLAG = '--from='

/** Where the code is: `src`, or the directory of a copy of dist/. Handed to workers by the flag. */
let codeDirectory = process.argv.find(argument => argument.startsWith(FROM_FLAG))?.slice(FROM_FLAG.length)

/** The module `path`, without its ending, below src/ or dist/: `load<typeof Decode>('eventstream/decode')`. */
export async function load<Module>(path: string): Promise<Module> {
  if (codeDirectory === undefined) throw new Error('nothing was built')
  const file =
    codeDirectory === SOURCE ? join(ROOT_DIRECTORY, SOURCE, `${path}.ts`) : join(codeDirectory, `${path}.js`)
  return (await import(pathToFileURL(file).href)) as Module
}

/** Brings dist/ up to date and copies it. Returns the flag for the workers. Throws when it cannot be built. */
export function takeCode(): string {
  if (codeDirectory !== SOURCE) {
    const { status } = spawnSync(
      process.execPath,
      [join(ROOT_DIRECTORY, 'scripts', 'bootstrap.mjs'), 'build'],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    )
    if (status !== 0) throw new Error('dist/ cannot be built, so there is nothing to measure')
    mkdirSync(CACHE_DIRECTORY, { recursive: true })
    const copy = mkdtempSync(join(CACHE_DIRECTORY, 'dist-'))
    process.once('exit', () => rmSync(copy, { recursive: true, force: true }))
    cpSync(join(ROOT_DIRECTORY, 'dist'), copy, { recursive: true })
    codeDirectory = copy
  }
  return `${FROM_FLAG}${codeDirectory}`
}
