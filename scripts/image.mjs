/**
 * Puts together what the image holds beside its base: the built relay, the packages it needs at run time, the sample speech.
 *
 *     node scripts/image.mjs OUT_FOLDER [--arch amd64|arm64]
 *
 * Wants an installed node_modules and a built dist/. Takes the packages that package-lock.json does not mark as for
 * development only (what `npm ci --omit=dev` would install), leaves out types and source maps, and prunes native binaries
 * (prune-native.mjs) and what no process ever loads (prune-modules.mjs). It runs the same in the Dockerfile and in the test of the image; the ABI is that of the Node.js
 * that runs it, which therefore has to be the major version of the image.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { pruneModules } from './prune-modules.mjs'
import { pruneNative } from './prune-native.mjs'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
/** The image builder's names of architectures → Node.js's. */
const ARCHITECTURES = { amd64: 'x64', arm64: 'arm64' }
/** Beside dist/ and node_modules/. */
const FILES = ['package.json', 'LICENSE', 'examples/audio']
const NOT_AT_RUN_TIME = /\.d\.[mc]?ts$|\.map$|^\.build-stamp$/

main(process.argv.slice(2))

/** @param {string[]} args */
function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { arch: { type: 'string', default: process.arch } },
  })
  const [out] = positionals
  if (out === undefined) throw new Error('usage: node scripts/image.mjs OUT_FOLDER [--arch amd64|arm64]')
  const arch = ARCHITECTURES[values.arch] ?? values.arch
  mkdirSync(out, { recursive: true })
  copy('dist', out)
  for (const path of FILES) copy(path, out)
  for (const path of listPackages()) copy(path, out)
  cpSync(join(ROOT, 'scripts', 'healthcheck.mjs'), join(out, 'healthcheck.mjs'))
  const kept = pruneNative(join(out, 'node_modules'), { arch, abi: process.versions.modules })
  for (const path of kept) say(`native: ${path}`)
  say(`taken out: ${toMebibytes(pruneModules(join(out, 'node_modules')))} MiB`)
  for (const name of readdirSync(out).sort()) say(`${name}: ${toMebibytes(sizeOf(join(out, name)))} MiB`)
  say(`together: ${toMebibytes(sizeOf(out))} MiB for ${arch}, ABI ${process.versions.modules}`)
}

/** Folders of the packages that are not for development only. */
function listPackages() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  return Object.entries(packages).flatMap(([path, entry]) => {
    if (path === '' || entry.dev === true) return []
    // Such a package would be chosen by the machine that builds, not by the one that runs.
    if (entry.os !== undefined || entry.cpu !== undefined)
      throw new Error(`${path} is for some platforms only`)
    if (existsSync(join(ROOT, path))) return [path]
    if (entry.optional === true) return []
    throw new Error(`${path} is not installed`)
  })
}

/**
 * Without the packages inside a package: they are entries of their own, or for development.
 *
 * @param {string} path
 * @param {string} out
 */
function copy(path, out) {
  const source = join(ROOT, path)
  cpSync(source, join(out, path), {
    recursive: true,
    filter: file =>
      !NOT_AT_RUN_TIME.test(basename(file)) && !file.slice(source.length).includes('/node_modules'),
  })
}

/** Bytes of all files below. @param {string} path */
function sizeOf(path) {
  if (!statSync(path).isDirectory()) return statSync(path).size
  return readdirSync(path).reduce((bytes, name) => bytes + sizeOf(join(path, name)), 0)
}

/** @param {number} bytes */
function toMebibytes(bytes) {
  return (bytes / 2 ** 20).toFixed(1)
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`image: ${line}\n`)
}
