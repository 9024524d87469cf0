/**
 * The relay that is measured: a copy of dist/ with its manifest, so that nothing that is built meanwhile changes what runs.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT_DIRECTORY } from '../results-format.ts'

/** Inside of the project, so that the copy finds the packages. */
const CACHE_DIRECTORY = join(ROOT_DIRECTORY, 'node_modules', '.cache', 'bench')

export interface MeasuredCode {
  readonly entryFile: string
  remove(): void
}

/**
 * Brings dist/ up to date and copies it. Throws when it cannot be built. `from` `src` are the sources themselves, through
 * tsx: good for trying the bench, not for figures.
 */
export function takeCode(from: string): MeasuredCode {
  if (from === 'src') return { entryFile: join(ROOT_DIRECTORY, 'src', 'index.ts'), remove: () => undefined }
  if (from !== 'dist') throw new RangeError(`--from must be dist or src, got ${from}`)
  const bootstrap = join(ROOT_DIRECTORY, 'scripts', 'bootstrap.mjs')
  const { status } = spawnSync(process.execPath, [bootstrap, 'build'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error('dist/ cannot be built, so there is nothing to measure')
  mkdirSync(CACHE_DIRECTORY, { recursive: true })
  const copy = mkdtempSync(join(CACHE_DIRECTORY, 'e2e-'))
  cpSync(join(ROOT_DIRECTORY, 'dist'), join(copy, 'dist'), { recursive: true })
  cpSync(join(ROOT_DIRECTORY, 'package.json'), join(copy, 'package.json'))
  return {
    entryFile: join(copy, 'dist', 'index.js'),
    remove: () => rmSync(copy, { recursive: true, force: true }),
  }
}
