/** What the relay is made of: the lock file, the list of its parts, its native code. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { findDifferences, hashNativeFiles, NATIVE_PACKAGES } from '../../scripts/native-files.mjs'
import { listNativeFiles } from '../../scripts/prune-native.mjs'
import { readDockerfile, instructionsOf } from '../support/image-root.ts'

interface LockEntry {
  readonly name?: string
  readonly version: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly optional?: boolean
  readonly inBundle?: boolean
  readonly hasInstallScript?: boolean
}

interface Component {
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[]
}

interface Bom {
  readonly bomFormat: string
  readonly specVersion: string
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } }
  readonly components: readonly Component[]
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  readonly packages: Readonly<Record<string, LockEntry>>
}
const entries = Object.entries(lock.packages).filter(([path]) => path !== '')
const runtime = entries.filter(([, { dev }]) => dev !== true)
const nameOf = (path: string, { name }: LockEntry): string => name ?? path.replace(/^.*node_modules\//, '')

t.test('every package is pinned by its hash, and none needs a script to be installed', async t => {
  for (const [path, { inBundle, integrity }] of entries) {
    if (inBundle !== true) t.match(integrity, /^sha512-/, path)
  }
  const scripts = runtime
    .filter(([, { hasInstallScript }]) => hasInstallScript === true)
    .map(([path]) => path)
  // Without its script it takes the binary that it brings, or JavaScript.
  t.strictSame(scripts, ['node_modules/bufferutil'])
  const [, build] = readDockerfile().stages
  t.ok(instructionsOf(build, 'RUN').some(command => command.startsWith('npm ci --ignore-scripts')))
})

t.test('npm run sbom lists every package of the running relay and no other, as CycloneDX', async t => {
  const { status, stderr, stdout } = spawnSync('npm', ['run', '--silent', 'sbom'], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  t.equal(status, 0, stderr)
  const bom = JSON.parse(stdout) as Bom
  t.match(bom, { bomFormat: 'CycloneDX', specVersion: /^1\.\d$/ })
  t.match(bom.metadata.component, { name: 'transcribe-relay', version: manifest.version })
  const wanted = runtime.map(([path, entry]) => `${nameOf(path, entry)}@${entry.version}`)
  const listed = new Set(bom.components.map(({ purl }) => purl.replace('pkg:npm/', '').replace('%40', '@')))
  t.strictSame(
    wanted.filter(name => !listed.has(name)),
    [],
    'none is left out',
  )
  const dev = new Set(
    entries
      .filter(([, entry]) => entry.dev === true)
      .map(([path, entry]) => `${nameOf(path, entry)}@${entry.version}`),
  )
  const both = new Set(wanted)
  t.strictSame(
    [...listed].filter(name => dev.has(name) && !both.has(name)),
    [],
    'nothing of the development',
  )
  for (const { hashes = [], name, purl } of bom.components) {
    t.match(purl, /^pkg:npm\/[%\w.@/-]+@\d/, name)
    t.match(hashes[0], { alg: 'SHA-512', content: /^[0-9a-f]{128}$/ }, name)
  }
  t.ok(listed.has('@btc-vision/uwebsockets.js@20.57.0'), 'under the name that it has at the registry')
})

t.test('the native code is what it was when the versions were chosen', async t => {
  t.strictSame(
    findDifferences(hashNativeFiles('node_modules')),
    [],
    'if on purpose: node scripts/native-files.mjs --write',
  )
  const packages = new Set(
    runtime.filter(([path]) => listFiles(path).length > 0).map(([path]) => path.replace('node_modules/', '')),
  )
  t.strictSame([...packages].toSorted(), [...NATIVE_PACKAGES].toSorted(), 'no other package has any')
  const known = { 'a.node': '1', 'b.node': '2', 'c.node': '3' }
  t.strictSame(findDifferences({ 'a.node': '1', 'b.node': 'x', 'd.node': '4' }, known), [
    'b.node has SHA-256 x, expected 2',
    'c.node is missing',
    'd.node is not listed',
  ])
})

/** A package for another platform is in the lock, and not installed. */
function listFiles(path: string): readonly string[] {
  try {
    return listNativeFiles(path)
  } catch {
    return []
  }
}
