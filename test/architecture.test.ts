/** The rules of the house (docs/architecture.md), checked on the source itself. */
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import t from 'tap'

const SOURCE = 'src'
const MAX_FILE_LINES = 400

/** Imports go down only: a place may import places of lower rank, and itself. */
const RANKS: Readonly<Record<string, number>> = {
  errors: 0,
  clock: 0,
  version: 0,
  spelling: 0,
  'recycled-buffers': 0,
  secret: 0,
  eventstream: 1,
  transcribe: 1,
  protocol: 2,
  session: 3,
  server: 4,
  upstream: 4,
  redis: 4,
  metrics: 4,
  tracing: 4,
  log: 4,
  config: 4,
  emulator: 4,
  web: 4,
  relay: 5,
  index: 6,
  cli: 6,
}

/** Each third-party package has one owner. `cli` is a user of the relay, with a client of its own. */
const OWNERS: Readonly<Record<string, readonly string[]>> = {
  'uWebSockets.js': ['server'],
  'uWebSockets.js-glibc227': ['server'],
  ws: ['upstream', 'emulator', 'cli'],
  bufferutil: ['upstream'],
  '@aws-sdk/credential-providers': ['upstream'],
  '@smithy/core': ['upstream'],
  '@smithy/signature-v4': ['upstream'],
  'prom-client': ['metrics'],
  pino: ['log'],
  zod: ['protocol', 'config', 'server', 'emulator', 'cli'],
  jose: ['server'],
  '@opentelemetry/api': ['tracing'],
  '@opentelemetry/exporter-trace-otlp-proto': ['tracing'],
  '@opentelemetry/resources': ['tracing'],
  '@opentelemetry/sdk-trace-node': ['tracing'],
  ioredis: ['redis'],
}

interface SourceFile {
  readonly path: string
  readonly place: string
  readonly lines: number
  readonly text: string
  /** Without comments. */
  readonly code: string
  readonly imports: readonly string[]
}

function readSources(): SourceFile[] {
  return readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts'))
    .map(name => {
      const path = join(SOURCE, name)
      const text = readFileSync(path, 'utf8')
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
      const imports = [...code.matchAll(/(?:\bfrom |^import |\bimport\()'([^'\n]+)'/gm)].map(
        match => match[1] ?? '',
      )
      return { path, place: placeOf(path), lines: text.split('\n').length - 1, text, code, imports }
    })
}

function placeOf(path: string): string {
  const [first = ''] = relative(SOURCE, path).split('/')
  return first.replace(/\.ts$/, '')
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '')
}

const sources = readSources()

t.test('every file has a place in the house', async t => {
  t.ok(sources.length > 30)
  for (const { path, place } of sources) t.ok(RANKS[place] !== undefined, `${path} is in a known place`)
})

t.test('imports go down only, and adapters of one layer never import each other', async t => {
  const wrong: string[] = []
  for (const { path, place, imports } of sources) {
    for (const specifier of imports.filter(name => name.startsWith('.'))) {
      const target = placeOf(join(path, '..', specifier))
      if (target === place) continue
      if ((RANKS[target] ?? Infinity) >= (RANKS[place] ?? -1)) wrong.push(`${path} imports ${specifier}`)
    }
  }
  t.strictSame(wrong, [])
})

t.test('each third-party package is imported by its owner alone', async t => {
  const wrong: string[] = []
  for (const { path, place, imports } of sources) {
    for (const specifier of imports.filter(name => !name.startsWith('.') && !name.startsWith('node:'))) {
      const owners = OWNERS[packageOf(specifier)]
      if (owners === undefined) wrong.push(`${path} imports ${specifier}, which has no owner`)
      else if (!owners.includes(place))
        wrong.push(`${path} imports ${specifier}, which belongs to ${owners.join(', ')}`)
    }
  }
  t.strictSame(wrong, [])
})

t.test('only the command line touches the process', async t => {
  const wrong = sources
    .filter(({ place }) => place !== 'cli')
    .filter(({ code }) => /\bprocess\.(?:argv|exit|exitCode|env|on|once|stdin)\b/.test(code))
    .map(({ path }) => path)
  t.strictSame(wrong, [])
})

t.test('certificates of the upstream are always verified', async t => {
  const wrong = sources
    .filter(({ code }) => /rejectUnauthorized(?!: true)/.test(code))
    .map(({ path }) => path)
  t.strictSame(wrong, [])
})

t.test('every file says what it is for, in under 400 lines, without stars and defaults', async t => {
  for (const { path, text, lines } of sources) {
    t.ok(lines <= MAX_FILE_LINES, `${path} has ${lines} lines`)
    t.match(text.replace(/^#!.*\n/, ''), /^\/\*\*/, `${path} begins with a header`)
    t.notMatch(text, /^export \*/m, `${path} has no export *`)
    t.notMatch(text, /^export default/m, `${path} has no default export`)
    t.notMatch(text, /\bTODO\b|\bFIXME\b/, `${path} is finished`)
  }
})
