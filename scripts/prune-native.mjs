/**
 * Leaves of all native binaries under a node_modules folder only those for one platform, one architecture and one Node.js
 * ABI, and checks that they are the files they were when the versions were chosen (scripts/native-files.json, SHA-256).
 *
 *     node scripts/prune-native.mjs NODE_MODULES [--arch x64|arm64] [--abi 137]
 *
 * Architecture and ABI are those of the Node.js that runs this, unless given. The listener's binary has to be there;
 * `bufferutil` brings none for arm64 and then runs as JavaScript. A changed or an unlisted file is an error.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const KNOWN_FILES = new URL('native-files.json', import.meta.url)
const ARCHITECTURES = ['x64', 'arm64']
/** Builds for older systems than the image has; without its binaries the package is of no use. */
const UNUSED_PACKAGE = 'uWebSockets.js-glibc227'

/**
 * Returns the files kept, by their paths inside `modulesFolder`.
 *
 * @param {string} modulesFolder
 * @param {{ arch: string, abi: string, known?: Record<string, string> }} target
 * @throws Error for an architecture that is not known, a missing, a changed or an unlisted file
 */
export function pruneNative(modulesFolder, { arch, abi, known = readKnownFiles() }) {
  if (!ARCHITECTURES.includes(arch))
    throw new Error(`architecture ${arch} is none of ${ARCHITECTURES.join(', ')}`)
  const listener = `uWebSockets.js/uws_linux_${arch}_${abi}.node`
  const wanted = [listener, `bufferutil/prebuilds/linux-${arch}/bufferutil.node`]
  rmSync(join(modulesFolder, UNUSED_PACKAGE), { recursive: true, force: true })
  const kept = []
  for (const path of listNativeFiles(modulesFolder)) {
    if (wanted.includes(path)) kept.push(path)
    else rmSync(join(modulesFolder, path))
  }
  if (!kept.includes(listener))
    throw new Error(`${listener} is missing: no build for this architecture and ABI`)
  for (const path of kept) checkHash(modulesFolder, path, known)
  return kept
}

/** @returns {Record<string, string>} */
function readKnownFiles() {
  return JSON.parse(readFileSync(KNOWN_FILES, 'utf8'))
}

/** Sorted, with `/` between the parts. @param {string} folder */
export function listNativeFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.node'))
    .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/**
 * @param {string} folder
 * @param {string} path
 * @param {Record<string, string>} known
 */
function checkHash(folder, path, known) {
  const expected = known[path]
  if (expected === undefined) throw new Error(`${path} is not listed in scripts/native-files.json`)
  const actual = createHash('sha256')
    .update(readFileSync(join(folder, path)))
    .digest('hex')
  if (actual !== expected)
    throw new Error(`${path} is not the file that is listed: SHA-256 ${actual}, expected ${expected}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      arch: { type: 'string', default: process.arch },
      abi: { type: 'string', default: process.versions.modules },
    },
  })
  for (const path of pruneNative(positionals[0] ?? 'node_modules', values))
    process.stdout.write(`kept ${path}\n`)
}
