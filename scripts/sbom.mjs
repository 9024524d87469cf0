/**
 * Writes what the relay is made of at run time, as CycloneDX JSON, to the standard output: every package of
 * package-lock.json that is not for development only, with version, licence and hash.
 *
 *     npm run --silent sbom > sbom.json
 *
 * It is npm's own list, corrected: npm names the product after the folder; and `--omit dev` leaves out packages that both
 * the relay and a tool of its development need, so all are asked for, and those that the lock marks as `dev` are taken out.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const ARGS = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only']
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

const { error, status, stderr, stdout } = spawnSync('npm', ARGS, {
  cwd: ROOT,
  encoding: 'utf8',
  maxBuffer: MAX_OUTPUT_BYTES,
})
if (error !== undefined || status !== 0) throw new Error(`npm sbom failed: ${error?.message ?? stderr}`)
const bom = JSON.parse(stdout)
const manifest = readJson('package.json')
bom.metadata.component.name = manifest.name
const runtime = listRuntime()
bom.components = bom.components.filter(({ purl }) => runtime.has(purl))
for (const purl of runtime) {
  if (!bom.components.some(component => component.purl === purl))
    throw new Error(`npm sbom does not list ${purl}`)
}
const refs = new Set(bom.components.map(component => component['bom-ref']))
refs.add(bom.metadata.component['bom-ref'])
bom.dependencies = bom.dependencies
  .filter(({ ref }) => refs.has(ref))
  .map(entry => ({ ...entry, dependsOn: (entry.dependsOn ?? []).filter(ref => refs.has(ref)) }))
process.stdout.write(`${JSON.stringify(bom, null, 2)}\n`)

/** Package URLs of what is not for development only. A package under another name is listed by its own. */
function listRuntime() {
  const entries = Object.entries(readJson('package-lock.json').packages)
  return new Set(
    entries
      .filter(([path, entry]) => path !== '' && entry.dev !== true)
      .map(([path, { name, version }]) => {
        const own = name ?? path.replace(/^.*node_modules\//, '')
        return `pkg:npm/${own.replace('@', '%40')}@${version}`
      }),
  )
}

/** @param {string} name */
function readJson(name) {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8'))
}
