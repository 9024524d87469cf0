/**
 * Checks the native code that the relay may load, on any platform and ABI: every binary of its packages is the one whose
 * SHA-256 is in scripts/native-files.json, none is missing and none is new.
 *
 *     node scripts/native-files.mjs            checks node_modules; exit code 1 for a difference
 *     node scripts/native-files.mjs --write    writes the list, after the versions were changed on purpose
 *
 * What the image keeps of them is checked once more when it is built (prune-native.mjs).
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { listNativeFiles } from './prune-native.mjs'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const LIST = join(ROOT, 'scripts', 'native-files.json')
/** With native code at run time; a test sees that there are no others. */
export const NATIVE_PACKAGES = ['bufferutil', 'uWebSockets.js', 'uWebSockets.js-glibc227']

/**
 * SHA-256 of every native binary of those packages, by its path inside `modulesFolder`.
 *
 * @param {string} modulesFolder
 * @returns {Record<string, string>}
 */
export function hashNativeFiles(modulesFolder) {
  const paths = NATIVE_PACKAGES.flatMap(name =>
    listNativeFiles(join(modulesFolder, name)).map(path => `${name}/${path}`),
  )
  return Object.fromEntries(
    paths.map(path => [
      path,
      createHash('sha256')
        .update(readFileSync(join(modulesFolder, path)))
        .digest('hex'),
    ]),
  )
}

/**
 * What is not as it is listed, in words.
 *
 * @param {Record<string, string>} found
 * @param {Record<string, string>} [known]
 */
export function findDifferences(found, known = JSON.parse(readFileSync(LIST, 'utf8'))) {
  const paths = [...new Set([...Object.keys(known), ...Object.keys(found)])].sort()
  return paths.flatMap(path => {
    if (found[path] === known[path]) return []
    if (found[path] === undefined) return [`${path} is missing`]
    return [
      known[path] === undefined
        ? `${path} is not listed`
        : `${path} has SHA-256 ${found[path]}, expected ${known[path]}`,
    ]
  })
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const found = hashNativeFiles(join(ROOT, 'node_modules'))
  if (process.argv.includes('--write')) writeFileSync(LIST, `${JSON.stringify(found, null, 2)}\n`)
  const differences = findDifferences(found)
  for (const line of differences) process.stderr.write(`${line}\n`)
  process.exitCode = differences.length === 0 ? 0 : 1
}
