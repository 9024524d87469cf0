/**
 * One command from a fresh clone to a running thing: `node scripts/bootstrap.mjs demo`.
 *
 * Installs what package-lock.json says when node_modules does not hold that, builds dist/ when the sources are not the
 * ones it was built from, then runs what was asked for: a command of transcribe-relay, `test` (scripts/check.mjs) or
 * `build` (nothing more). Needs Node.js and npm, no package. Every step that is up to date costs a few milliseconds.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const LOCK_FILE = join(ROOT, 'package-lock.json')
const MODULES = join(ROOT, 'node_modules')
/** What npm itself notes of an installation. */
const INSTALLED_FILE = join(MODULES, '.package-lock.json')
const INSTALL_STAMP = join(MODULES, '.transcribe-relay-lock')
const DIST = join(ROOT, 'dist')
const BUILD_STAMP = join(DIST, '.build-stamp')
const ENTRY = join(DIST, 'cli', 'main.js')
const EXIT_FAILURE = 1

await main(process.argv.slice(2))

async function main([what = 'build', ...rest]) {
  process.chdir(ROOT)
  refuseOldNode()
  install()
  if (what === 'test') return hand(join(ROOT, 'scripts', 'check.mjs'), rest)
  build()
  return what === 'build' ? undefined : hand(ENTRY, [what, ...rest])
}

function refuseOldNode() {
  const least = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).engines.node.replace('>=', '')
  const [major, minor] = process.versions.node.split('.').map(Number)
  const [leastMajor, leastMinor] = least.split('.').map(Number)
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return
  fail(`Node.js ${least} or newer is needed; this is ${process.versions.node}.`)
}

function install() {
  const lock = readFileSync(LOCK_FILE)
  const hash = createHash('sha256').update(lock).digest('hex')
  if (readText(INSTALL_STAMP) === hash) return
  const wanted = JSON.parse(lock.toString('utf8'))
  if (!holds(wanted)) download(wanted)
  writeFileSync(INSTALL_STAMP, hash)
}

/**
 * `npm ci` refuses the whole lock when a registry lacks an optional package of another platform, as mirrors do. Then
 * `npm install --no-save` leaves that one out, and what it installed is compared with the lock. The page of help that
 * npm ci prints is kept back: if the second way fails too, its words say why.
 */
function download(lock) {
  const options = ['--include=dev', '--no-audit', '--no-fund']
  say('installing packages (npm ci) …')
  if (run('npm', ['ci', ...options], 'ignore') === null) return
  say('npm ci failed; trying npm install with the same versions …')
  const failure = run('npm', ['install', '--no-save', ...options])
  if (failure !== null) fail(`npm install failed (${failure})`)
  if (!holds(lock)) fail('npm install did not give the versions of package-lock.json')
}

/** Whether node_modules, installed by hand, already holds the lock's packages: then nothing is thrown away. */
function holds(lock) {
  const text = readText(INSTALLED_FILE)
  if (text === null) return false
  const installed = JSON.parse(text).packages
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === '') return true
    const found = installed[path]
    // Packages for another platform are in the lock, but never installed.
    if (found === undefined) return wanted.optional === true || wanted.devOptional === true
    return found.version === wanted.version && found.integrity === wanted.integrity
  })
}

function build() {
  const stamp = hashSources()
  if (readText(BUILD_STAMP) === stamp && existsSync(ENTRY)) return
  say('building dist/ …')
  rmSync(DIST, { recursive: true, force: true })
  const failure = run(process.execPath, [
    join(MODULES, 'typescript', 'bin', 'tsc'),
    '-p',
    'tsconfig.build.json',
  ])
  if (failure !== null) fail(`the build failed (${failure})`)
  for (const path of listFiles('src')) {
    if (path.endsWith('.ts')) continue
    const target = join(DIST, path.slice('src'.length))
    mkdirSync(dirname(target), { recursive: true })
    copyFileSync(path, target)
  }
  chmodSync(ENTRY, 0o755)
  writeFileSync(BUILD_STAMP, stamp)
}

/** Of the content, not of times: a checkout or a copy of the tree changes those. */
function hashSources() {
  const hash = createHash('sha256')
  const files = [...listFiles('src'), 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']
  for (const path of files.sort((a, b) => (a < b ? -1 : 1)))
    hash.update(`${path}\0`).update(readFileSync(path)).update('\0')
  return hash.digest('hex')
}

function listFiles(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map(name => join(folder, name))
    .filter(path => statSync(path).isFile())
}

/** Goes on in this very process, so that signals and the exit code need no go-between. */
function hand(script, args) {
  process.argv = [process.execPath, script, ...args]
  return import(pathToFileURL(script).href)
}

/** Returns what went wrong, in words; `null`: nothing. */
function run(command, args, stderr = 'inherit') {
  const { status, error } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 'inherit', stderr] })
  if (error !== undefined) return error.code
  return status === 0 ? null : `exit code ${status}`
}

function readText(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : null
}

function say(line) {
  process.stderr.write(`transcribe-relay: ${line}\n`)
}

function fail(line) {
  say(line)
  process.exit(EXIT_FAILURE)
}
