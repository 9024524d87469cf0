/** The public API: these names, and no others. A name that goes is a new major version; one that comes belongs here. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import * as eventstream from '../src/eventstream/index.ts'
import * as library from '../src/index.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Types named by a module are gone when it runs, so they are read from its text. */
function typeNames(module: string): readonly string[] {
  const text = readFileSync(`${ROOT}/src/${module}`, 'utf8')
  const blocks = text.matchAll(/^export (type )?\{([^}]*)\}/gm)
  return [...blocks]
    .flatMap(([, type, names = '']) =>
      names
        .split(',')
        .map(name => name.trim())
        .filter(name => name !== '')
        .map(name => (type === undefined ? name : `type ${name}`)),
    )
    .filter(name => name.startsWith('type '))
    .map(name => name.slice('type '.length))
    .toSorted()
}

t.test('the package', async t => {
  t.strictSame(Object.keys(library).toSorted(), [
    'ConfigError',
    'ERRORS',
    'ERROR_CODES',
    'RelayError',
    'VERSION',
    'createEmulator',
    'createLogger',
    'createRelay',
  ])
  t.strictSame(typeNames('index.ts'), [
    'Authorize',
    'ConfigProblem',
    'Emulator',
    'EmulatorOptions',
    'ErrorCode',
    'ErrorDefinition',
    'Handshake',
    'Logger',
    'Relay',
    'RelayAddresses',
    'RelayDependencies',
    'RelayOptions',
    'StreamQuery',
    'StreamRequest',
  ])
})

t.test('the event-stream codec', async t => {
  t.strictSame(Object.keys(eventstream).toSorted(), [
    'AUDIO_OVERHEAD_BYTES',
    'AUDIO_PAYLOAD_OFFSET',
    'EVENT_STREAM_ERROR_CODES',
    'EventStreamError',
    'MAX_HEADERS_BYTES',
    'MAX_HEADER_NAME_BYTES',
    'MAX_HEADER_VALUE_BYTES',
    'MAX_MESSAGE_BYTES',
    'allocateAudioEvent',
    'decodeHeaders',
    'decodeMessage',
    'decodeMessages',
    'encodeAudioEvent',
    'encodeEndOfStream',
    'encodeHeaders',
    'encodeMessage',
    'sealAudioEvent',
    'stringHeader',
  ])
  t.strictSame(typeNames('eventstream/index.ts'), [
    'DecodedMessage',
    'EventStreamErrorCode',
    'HeaderValue',
    'MessageHeaders',
  ])
})

t.test('every entry of the package is built from a source file', async t => {
  const manifest = JSON.parse(readFileSync(`${ROOT}/package.json`, 'utf8')) as {
    readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
    readonly bin: Readonly<Record<string, string>>
    readonly files: readonly string[]
  }
  const targets = [
    ...Object.values(manifest.exports).flatMap(entry =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    ),
    ...Object.values(manifest.bin),
  ]
  const built = targets.filter(target => target !== './package.json')
  t.ok(built.length >= 5)
  for (const target of built) {
    const source = target.replace(/^(\.\/)?dist\//, 'src/').replace(/(\.d\.ts|\.js)$/, '.ts')
    t.match(target, /^(\.\/)?dist\//)
    t.ok(existsSync(`${ROOT}/${source}`), `${target} from ${source}`)
  }
  t.ok(manifest.files.includes('dist'))
})
