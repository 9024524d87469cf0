/**
 * The image, built and run in a Debian 13 root as a container runtime would: PID 1, user 65532, no rights, read-only root, no shell.
 * Real speech goes through it, and it drains. (K8-13, LC-16)
 */
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  createEmulator,
  createScriptedEngine,
  EXAMPLE_ACCOUNT,
  loadRecordings,
} from '../../src/emulator/index.ts'
import {
  buildImageRoot,
  instructionsOf,
  missingForImage,
  readDockerfile,
  runImage,
  sizeOfPackages,
} from '../support/image-root.ts'
import { RelayClient } from '../support/relay-client.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { startTraceReceiver } from '../support/trace-receiver.ts'

/** Of base and application, not compressed. */
const MAX_IMAGE_BYTES = 200e6
/** What it was when this was written, and a fifth. */
const MAX_APPLICATION_BYTES = 24e6
/** The official binary of Node.js 24.9 for x64, which the base holds; that of Debian, in the root of this test, is smaller. */
const NODE_BYTES = 129_379_880
/** The Debian packages that the base is made of. */
const BASE_PACKAGES = [
  'base-files',
  'gcc-14-base',
  'libc6',
  'libgcc-s1',
  'libssl3t64',
  'libstdc++6',
  'openssl-provider-legacy',
  'tzdata',
  'zlib1g',
]
/** Those that the root of this test lacks: certificates, names of protocols and media types, OpenMP. */
const OTHER_PACKAGES_BYTES = 2e6

const [, build, runtime] = readDockerfile().stages

t.test('the image runs without rights, transcribes real speech and drains on SIGTERM', async t => {
  const missing = missingForImage()
  if (missing !== null) {
    t.comment(`the image was left out: ${missing} is missing`)
    t.equal(process.env['CI'], undefined, `CI has ${missing}`)
    return
  }
  const commands = instructionsOf(build, 'RUN').filter(command => !command.startsWith('npm ci'))
  // A build on the machine may be there already; the image's is its own.
  const { folder, output } = buildImageRoot(t, ['rm -rf dist', ...commands])
  t.comment(output.trim().split('\n').at(-1))

  t.test('it holds one native binary a package, no shell, no tools, and is small', async t => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    const natives = files.filter(name => name.endsWith('.node'))
    t.equal(natives.filter(name => name.includes('uWebSockets')).length, 1)
    t.equal(natives.filter(name => !name.includes('uWebSockets') && !name.includes('bufferutil')).length, 0)
    const programs = files.filter(name => /^(nodejs\/|usr\/|usr\/local\/)?s?bin\/[^/]+$/.test(name))
    t.strictSame(programs, ['nodejs/bin/node'])
    t.notOk(files.some(name => /^app\/(src|test|node_modules\/(typescript|tap|tsx))(\/|$)/.test(name)))
    // With types, as names alone would be found again behind each link to a folder.
    const sizes = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      .map(path => [path.slice(folder.length + 1), lstatSync(path).size] as const)
    const application = sizes.filter(([name]) => name.startsWith('app/'))
    const sum = (some: typeof sizes): number => some.reduce((bytes, [, size]) => bytes + size, 0)
    const baseBytes = NODE_BYTES + sizeOfPackages(BASE_PACKAGES) + OTHER_PACKAGES_BYTES
    const figures = { application: sum(application), image: sum(application) + baseBytes, root: sum(sizes) }
    for (const [what, bytes] of Object.entries(figures)) t.comment(`${what}: ${(bytes / 1e6).toFixed(1)} MB`)
    t.ok(figures.image < MAX_IMAGE_BYTES, 'with the base of the Dockerfile')
    t.ok(figures.root < MAX_IMAGE_BYTES, 'with the Node.js of Debian, as it lies here')
    t.ok(figures.application < MAX_APPLICATION_BYTES, 'the application alone')
    const modules = application.filter(([name]) => name.includes('/node_modules/')).map(([name]) => name)
    for (const pattern of [/\.(?:ts|map|md)$/, /\/(?:test|docs|esnext|dist-types)\//]) {
      const found = modules.filter(name => pattern.test(name) && !/licen[cs]e/i.test(name))
      t.strictSame(found, [], String(pattern))
    }
  })

  t.test('it serves, as PID 1 of its own', async t => {
    const emulator = createEmulator({
      engine: createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) }),
    })
    t.teardown(() => emulator.close())
    const { url: endpoint } = await emulator.start()
    const entry = [
      ...parseExec(instructionsOf(runtime, 'ENTRYPOINT')),
      ...parseExec(instructionsOf(runtime, 'CMD')),
    ]
    const receiver = await startTraceReceiver(t)
    const relay = runImage(t, folder, entry, {
      NODE_ENV: 'production',
      AWS_ACCESS_KEY_ID: EXAMPLE_ACCOUNT.accessKeyId,
      AWS_SECRET_ACCESS_KEY: EXAMPLE_ACCOUNT.secretAccessKey,
      AWS_REGION: 'us-east-1',
      RELAY_ENDPOINT: endpoint,
      RELAY_HOST: '127.0.0.1',
      RELAY_PORT: '0',
      RELAY_OPS_HOST: '127.0.0.1',
      RELAY_OPS_PORT: '0',
      RELAY_PACE_RATE: '1000',
      RELAY_PACE_BURST_MS: '600000',
      RELAY_TRACING: 'true',
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    })
    const started = await relay.waitForLine('relay started')
    t.match(started['native_build'], 'uWebSockets.js@20.57.0', 'the build for this C library')

    const pid = relay.readPid()
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    t.match(status, /^Uid:\t65532\t65532\t65532\t65532$/m)
    t.match(status, /^Gid:\t65532\t65532\t65532\t65532$/m)
    t.match(status, /^NSpid:\t\d+\t1$/m, 'PID 1')
    t.match(status, /^NoNewPrivs:\t1$/m)
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      t.match(status, new RegExp(`^${set}:\\t0+$`, 'm'), set)
    }
    const root = readFileSync(`/proc/${pid}/mountinfo`, 'utf8')
      .split('\n')
      .find(line => line.split(' ')[4] === '/')
    t.match(root?.split(' ')[5], /^ro\b/, 'the root is read-only')
    t.notOk(existsSync(`/proc/${pid}/root/bin`), 'no shell')

    const healthcheck = parseExec(
      instructionsOf(runtime, 'HEALTHCHECK').map(text => text.replace(/^.*CMD /, '')),
    )
    const opsPort = new URL(String(started['operations'])).port
    t.equal(relay.exec(healthcheck, { RELAY_OPS_PORT: opsPort }), 0, 'healthy')
    t.equal(relay.exec(healthcheck, { RELAY_OPS_PORT: '1' }), 1, 'not healthy where nobody answers')

    const speeches = readSpeech()
    for (const { name, pcm, words } of speeches) {
      const client = await RelayClient.open(t, String(started['listening']))
      client.sendCut(pcm, 3200)
      t.match(await client.finish(), { code: 1000 }, name)
      t.strictSame(client.words(), words, name)
    }

    const [{ pcm, words } = { pcm: Buffer.alloc(0), words: [] }] = speeches
    const last = await RelayClient.open(t, String(started['listening']))
    last.sendCut(pcm, 3200)
    await last.waitFor('Transcript')
    process.kill(pid, 'SIGTERM')
    await last.waitFor('Draining')
    t.match(await last.finish(), { code: 1000 })
    t.strictSame(last.words(), words, 'no word is lost in a drain')
    t.equal(await relay.exitCode, 0)
    const sessions = receiver.spans.filter(({ name }) => name === 'session')
    t.equal(sessions.length, speeches.length + 1, 'what is left out of packages is not missed')
  })
})

t.test('the Dockerfile keeps to what the image promises', async t => {
  t.match(instructionsOf(runtime, 'FROM'), ['${BASE_IMAGE} AS relay'])
  t.strictSame(instructionsOf(runtime, 'RUN'), [], 'nothing runs in the runtime stage: it has no shell')
  t.strictSame(instructionsOf(runtime, 'USER'), ['65532:65532'])
  t.strictSame(instructionsOf(runtime, 'STOPSIGNAL'), ['SIGTERM'])
  t.match(instructionsOf(runtime, 'ENV')[0], /\bNODE_ENV=production\b/)
  t.match(
    instructionsOf(runtime, 'LABEL').join(' '),
    /org\.opencontainers\.image\.(title|licenses|version|revision)/,
  )
  t.match(instructionsOf(runtime, 'COPY'), ['--from=build --chown=0:0 /image /app'])
  t.match(instructionsOf(build, 'RUN')[0], /^npm ci --ignore-scripts/)
  for (const name of ['ENTRYPOINT', 'CMD'])
    t.ok(parseExec(instructionsOf(runtime, name)).length > 0, `${name} is a list`)
  const versions = instructionsOf(readDockerfile().stages[0], 'ARG').map(
    text => /(\d+)-(?:trixie|debian13)/.exec(text)?.[1],
  )
  t.equal(versions.length, 2)
  t.equal(versions[0], versions[1], 'both stages have the same Node.js, on Debian 13')
})

/** The list of an instruction in JSON form. */
function parseExec([text = '[]']: readonly string[]): readonly string[] {
  return JSON.parse(text) as string[]
}
