/**
 * What is measured: the modules of dist/, as they are published. With `--from=src` the sources themselves, through tsx,
 * which renames and wraps functions: good for a look while writing, not for figures.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT_DIRECTORY } from '../results-format.ts'

const FROM_SOURCE_FLAG = '--from=src'

export const isFromSource = process.argv.includes(FROM_SOURCE_FLAG)

/** The module `path`, without its ending, below src/ or dist/: `load<typeof Decode>('eventstream/decode')`. */
export async function load<Module>(path: string): Promise<Module> {
  const file = isFromSource ? `src/${path}.ts` : `dist/${path}.js`
  return (await import(pathToFileURL(join(ROOT_DIRECTORY, file)).href)) as Module
}

/** Brings dist/ up to date, unless it is not what is measured. Throws when it cannot be built. */
export function build(): void {
  if (isFromSource) return
  const { status } = spawnSync(
    process.execPath,
    [join(ROOT_DIRECTORY, 'scripts', 'bootstrap.mjs'), 'build'],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  if (status !== 0) throw new Error('dist/ cannot be built, so there is nothing to measure')
}
