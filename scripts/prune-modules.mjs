/**
 * Takes out of a node_modules folder what a relay never runs: TypeScript, documents, tests, examples, and the second and third
 * build of packages that bring one for each kind of bundler.
 *
 *     node scripts/prune-modules.mjs NODE_MODULES
 *
 * A build is left out only if package.json names it for bundlers (`module`, `browser`, …) and neither `main`, `bin` nor any
 * condition of `exports` that Node.js knows leads into it. Afterwards every file that is left is read: one that asks for
 * a file that was taken out is an error, and there is no image. Licences stay.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const NEVER_FILES = /\.(?:[mc]?tsx?|md|markdown|map|html|zip|ya?ml|tsbuildinfo|flow)$|^\./i
const LICENCES = /^(?:licen[cs]e|notice|copying|authors|patents)/i
const NEVER_FOLDERS = new Set([
  '.github',
  '__tests__',
  'bench',
  'benchmark',
  'benchmarks',
  'coverage',
  'docs',
  'example',
  'examples',
  'test',
  'tests',
])
/** Fields of package.json that bundlers read, and Node.js does not. */
const BUNDLER_FIELDS = [
  'module',
  'jsnext:main',
  'esnext',
  'es2015',
  'browser',
  'react-native',
  'types',
  'typings',
]
/** Conditions of `exports` under which Node.js loads a file (nodejs.org/api/packages.html#conditional-exports). */
const NODE_CONDITIONS = new Set(['node', 'node-addons', 'import', 'require', 'module-sync', 'default'])
const SCRIPT = /\.[mc]?js$/
const SPECIFIER = /(?:\bfrom\s*|\brequire\(\s*|\bimport\(\s*|\bimport\s+)(['"])([^'"\n]+)\1/g
const ENDINGS = [
  '',
  '.js',
  '.cjs',
  '.mjs',
  '.json',
  '.node',
  '/index.js',
  '/index.cjs',
  '/index.json',
  '/package.json',
]

/**
 * Returns how many bytes were taken out.
 *
 * @param {string} modulesFolder
 * @throws Error naming a file that asks for one that was taken out
 */
export function pruneModules(modulesFolder) {
  /** @type {Set<string>} */
  const removed = new Set()
  let bytes = 0
  /** @param {string} path */
  const remove = path => {
    for (const file of listFiles(path)) {
      removed.add(file)
      bytes += statSync(file).size
    }
    rmSync(path, { recursive: true })
  }
  for (const folder of listPackages(modulesFolder)) prunePackage(folder, remove)
  removeEmptyFolders(modulesFolder)
  checkReferences(modulesFolder, removed)
  return bytes
}

/**
 * @param {string} folder
 * @param {(path: string) => void} remove
 */
function prunePackage(folder, remove) {
  const kept = keptTargets(readManifest(folder))
  for (const build of bundlerBuilds(readManifest(folder), kept)) {
    if (existsSync(join(folder, build))) remove(join(folder, build))
  }
  pruneFolder(folder, folder, kept, remove)
}

/**
 * @param {string} packageFolder
 * @param {string} folder
 * @param {readonly string[]} kept
 * @param {(path: string) => void} remove
 */
function pruneFolder(packageFolder, folder, kept, remove) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.name === 'node_modules') continue
    if (entry.isDirectory()) {
      const isNeeded = kept.some(target => isWithin(target, relative(packageFolder, path)))
      if (NEVER_FOLDERS.has(entry.name.toLowerCase()) && !isNeeded) remove(path)
      else pruneFolder(packageFolder, path, kept, remove)
    } else if (NEVER_FILES.test(entry.name) && !LICENCES.test(entry.name)) {
      remove(path)
    }
  }
}

/**
 * What Node.js may load of a package, by its manifest; a pattern (`./*`) stands for its folder.
 *
 * @param {Manifest} manifest
 * @returns {string[]}
 */
function keptTargets({ main, bin, exports }) {
  const bins = typeof bin === 'string' ? [bin] : Object.values(bin ?? {})
  const targets = [main ?? 'index.js', ...bins, ...exportTargets(exports)]
  return targets.map(target => target.replace(/^\.\//, '').replace(/\*.*$/, ''))
}

/**
 * @param {unknown} exports
 * @returns {string[]}
 */
function exportTargets(exports) {
  if (typeof exports === 'string') return [exports]
  if (Array.isArray(exports)) return exports.flatMap(exportTargets)
  if (typeof exports !== 'object' || exports === null) return []
  return Object.entries(exports)
    .filter(([key]) => key.startsWith('.') || NODE_CONDITIONS.has(key))
    .flatMap(([, value]) => exportTargets(value))
}

/**
 * The highest folders of builds that are for bundlers only.
 *
 * @param {Manifest} manifest
 * @param {readonly string[]} kept
 * @returns {Set<string>}
 */
function bundlerBuilds(manifest, kept) {
  const builds = new Set()
  for (const field of BUNDLER_FIELDS) {
    const target = manifest[field]
    if (typeof target !== 'string') continue
    let build = dirname(target.replace(/^\.\//, ''))
    if (build === '.' || leadsInto(kept, build)) continue
    while (dirname(build) !== '.' && !leadsInto(kept, dirname(build))) build = dirname(build)
    builds.add(build)
  }
  return builds
}

/**
 * @param {readonly string[]} targets
 * @param {string} folder
 */
function leadsInto(targets, folder) {
  return targets.some(target => isWithin(target, folder) || target === '')
}

/**
 * @param {string} target
 * @param {string} folder
 */
function isWithin(target, folder) {
  return target === folder || target.startsWith(`${folder}/`)
}

/**
 * @param {string} modulesFolder
 * @param {ReadonlySet<string>} removed
 */
function checkReferences(modulesFolder, removed) {
  for (const file of listFiles(modulesFolder).filter(path => SCRIPT.test(path))) {
    for (const [, , specifier = ''] of readFileSync(file, 'utf8').matchAll(SPECIFIER)) {
      const target = specifier.startsWith('.')
        ? join(dirname(file), specifier)
        : join(modulesFolder, specifier)
      const candidates = ENDINGS.map(ending => target + ending)
      if (!candidates.some(path => removed.has(path)) || candidates.some(isFile)) continue
      throw new Error(`${relative(modulesFolder, file)} asks for ${specifier}, which was taken out`)
    }
  }
}

/** @param {string} path */
function isFile(path) {
  return existsSync(path) && statSync(path).isFile()
}

/**
 * Packages of packages too.
 *
 * @param {string} modulesFolder
 * @returns {string[]}
 */
function listPackages(modulesFolder) {
  if (!existsSync(modulesFolder)) return []
  return readdirSync(modulesFolder, { withFileTypes: true }).flatMap(entry => {
    const path = join(modulesFolder, entry.name)
    if (!entry.isDirectory()) return []
    if (entry.name.startsWith('@')) return listPackages(path)
    return existsSync(join(path, 'package.json')) ? [path, ...listPackages(join(path, 'node_modules'))] : []
  })
}

/**
 * @typedef {{ main?: string, bin?: string | Record<string, string>, exports?: unknown, [field: string]: unknown }} Manifest
 * @param {string} folder
 * @returns {Manifest}
 */
function readManifest(folder) {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
}

/**
 * @param {string} path
 * @returns {string[]}
 */
function listFiles(path) {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path).flatMap(name => listFiles(join(path, name)))
}

/** @param {string} folder */
function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue
    const path = join(folder, entry.name)
    removeEmptyFolders(path)
    if (readdirSync(path).length === 0) rmdirSync(path)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bytes = pruneModules((process.argv[2] ?? 'node_modules').split('/').join(sep))
  process.stdout.write(`taken out: ${(bytes / 2 ** 20).toFixed(1)} MiB\n`)
}
