/** TLS on the client port, with clients that know nothing of the relay's own code: the openssl command, Node.js, `ws`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { connect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import t, { type Test } from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { createRelay } from '../../src/index.ts'
import type { KeyPair } from '../support/certificates.ts'
import { makeCertificates } from '../support/certificates.ts'
import { runCli } from '../support/cli.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const certificates = makeCertificates(t.testdir({}))
const { ca, good, expired, selfSigned } = certificates
const speech = readSpeech()[1]
if (speech === undefined) throw new Error('the recordings are missing')
const recordings = await loadRecordings(SPEECH_FOLDER)

interface TlsFolder {
  readonly files: { readonly tlsCertFile: string; readonly tlsKeyFile: string }
  /** As a careful person does it: new files, then two renames. */
  replace(pair: KeyPair): void
}

function tlsFolder(t: Test, pair: KeyPair): TlsFolder {
  const folder = t.testdir({ 'tls.crt': pair.cert, 'tls.key': pair.key, 'ca.pem': ca })
  const [tlsCertFile, tlsKeyFile] = [join(folder, 'tls.crt'), join(folder, 'tls.key')]
  return {
    files: { tlsCertFile, tlsKeyFile },
    replace({ cert, key }) {
      writeFileSync(join(folder, 'new.crt'), cert)
      writeFileSync(join(folder, 'new.key'), key)
      renameSync(join(folder, 'new.crt'), tlsCertFile)
      renameSync(join(folder, 'new.key'), tlsKeyFile)
    },
  }
}

async function startTlsWorld(t: Test, options: object): Promise<World> {
  return startWorld(t, { relay: options, emulator: { engine: createScriptedEngine({ recordings }) } })
}

/** What a TLS client of Node.js gets: protocol and subject, or the code of the failure. */
async function greet(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    ...options,
  })
  try {
    await once(socket, 'secureConnect')
    return `${socket.getProtocol()} ${String(socket.getPeerCertificate().subject.CN)}`
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  } finally {
    socket.destroy()
  }
}

/** What the openssl command says of a connection. */
async function openssl(port: number, ...args: readonly string[]): Promise<string> {
  const child = spawn('openssl', [
    's_client',
    '-connect',
    `127.0.0.1:${port}`,
    '-servername',
    'localhost',
    ...args,
  ])
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  child.stdin.on('error', () => undefined)
  child.stdin.end()
  await once(child, 'close')
  return said
}

t.test('speech goes through wss as through ws', async t => {
  const folder = tlsFolder(t, good)
  const world = await startTlsWorld(t, folder.files)
  t.match(world.url, /^wss:\/\/127\.0\.0\.1:\d+\/v1\/stream$/)
  const client = await world.connect('', { ca })
  client.sendCut(speech.pcm, 3200)
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.words(), speech.words)
  const [inUse] = world.log.of('certificate in use')
  t.match(inUse, { level: 'info', subject: 'CN=good', fingerprint: /^[0-9A-F:]{95}$/ })
  const expiry = (await world.scrape()).get('tls_certificate_expiry_timestamp_seconds')
  t.equal(expiry, Date.parse(String(inUse?.['expires_at'])) / 1000)
})

t.test(
  'a new certificate is for new connections: sessions of the old one go on to their last word',
  async t => {
    const folder = tlsFolder(t, good)
    const world = await startTlsWorld(t, folder.files)
    const early = await world.connect('', { ca })
    const half = Math.floor(speech.pcm.length / 4) * 2
    early.sendCut(speech.pcm.subarray(0, half), 3200)
    await early.waitFor('Begin')
    for (const [round, pair] of [selfSigned, good, selfSigned].entries()) {
      folder.replace(pair)
      while (world.log.of('certificate in use').length < round + 2) await world.log.next()
      const subject = pair === good ? 'good' : 'localhost'
      // With and without a server name, resumed or not.
      t.equal(await greet(world.port), `TLSv1.3 ${subject}`)
      t.equal(await greet(world.port, { servername: '' }), `TLSv1.3 ${subject}`)
      t.match(await openssl(world.port), new RegExp(`subject=CN ?= ?${subject}`))
    }
    const late = await world.connect('', { ca: selfSigned.cert })
    late.sendCut(speech.pcm, 3200)
    early.sendCut(speech.pcm.subarray(half), 3200)
    for (const client of [early, late]) {
      t.match(await client.finish(), { code: 1000 })
      t.strictSame(client.words(), speech.words)
    }
    await world.relay.drain()
    t.equal(await greet(world.port), 'ECONNREFUSED', 'the newest app stops with the first')
  },
)

t.test('a pair that cannot be used is reported, and the one in force stays', async t => {
  const folder = tlsFolder(t, good)
  const world = await startTlsWorld(t, folder.files)
  const bad: [what: string, pair: KeyPair, rule: RegExp][] = [
    ['no certificate', { ...good, cert: 'nonsense' }, /certificate must be a certificate in PEM/],
    ['an expired one', expired, /must be a certificate and a key|must not have expired/],
    ['a key of another', { cert: selfSigned.cert, key: certificates.wrongHost.key }, /belong together/],
    ['an empty key', { cert: selfSigned.cert, key: '' }, /key must be a private key in PEM/],
  ]
  for (const [what, pair, rule] of bad) {
    const before = world.log.of('certificate not reloaded').length
    folder.replace(pair)
    while (
      !world.log
        .of('certificate not reloaded')
        .slice(before)
        .some(line => rule.test(JSON.stringify(line)))
    )
      await world.log.next()
    t.equal(await greet(world.port), 'TLSv1.3 good', what)
  }
  t.notMatch(world.log.texts.join(''), /BEGIN|nonsense/, 'nothing of the files is told')
  folder.replace(selfSigned)
  while (world.log.of('certificate in use').length < 2) await world.log.next()
  t.equal(await greet(world.port), 'TLSv1.3 localhost', 'the next good one is taken')
})

t.test('TLS 1.1 is refused, TLS 1.2 if the operator says so', async t => {
  const world = await startTlsWorld(t, tlsFolder(t, good).files)
  const legacy = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  t.equal(await greet(world.port, legacy), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
  t.match(await openssl(world.port, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'), /alert protocol version/)
  t.equal(await greet(world.port, { maxVersion: 'TLSv1.2' }), 'TLSv1.2 good')
  t.match(
    await greet(world.port, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }),
    /HANDSHAKE_FAILURE/,
    'no forward secrecy',
  )
  const strict = await startTlsWorld(t, { ...tlsFolder(t, good).files, tlsMinVersion: 'TLSv1.3' })
  t.equal(await greet(strict.port), 'TLSv1.3 good')
  t.match(await greet(strict.port, { maxVersion: 'TLSv1.2' }), /HANDSHAKE_FAILURE|PROTOCOL_VERSION/)
  const psk = {
    maxVersion: 'TLSv1.2',
    ciphers: 'PSK-AES128-CBC-SHA',
    pskCallback: () => ({ psk: Buffer.alloc(16), identity: 'x' }),
  } as const
  t.match(await greet(strict.port, psk), /HANDSHAKE_FAILURE|PROTOCOL_VERSION/, 'nobody shares a key')
})

t.test('a relay does not start with files that cannot be used', async t => {
  const base = {
    host: '127.0.0.1',
    port: 0,
    opsHost: '127.0.0.1',
    opsPort: 0,
    region: 'us-east-1',
    maxSessions: 10,
  }
  const starting = (pair: KeyPair) => {
    return createRelay({ ...base, ...tlsFolder(t, pair).files }).start()
  }
  await t.rejects(starting(expired), {
    name: 'ConfigError',
    message: /tlsCertFile: certificate must not have expired/,
  })
  await t.rejects(starting({ ...good, key: selfSigned.key }), {
    message: /tlsCertFile must be a certificate and a key/,
  })
  const missing = { tlsCertFile: '/nonexistent/a', tlsKeyFile: '/nonexistent/b' }
  await t.rejects(createRelay({ ...base, ...missing }).start(), {
    message: 'a must be a readable file (ENOENT)',
  })
  t.throws(() => createRelay({ ...base, tlsKeyFile: 'key' }), {
    message: /tlsKeyFile must be given with tlsCertFile/,
  })
})

t.test('the command serves with TLS, and its own client reads speech back', async t => {
  const emulator = createEmulator({ engine: createScriptedEngine({ recordings }) })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  const { tlsCertFile, tlsKeyFile } = tlsFolder(t, good).files
  const caFile = join(dirname(tlsCertFile), 'ca.pem')
  const relay = await startRelayProcess(t, {
    flags: { endpoint, 'tls-cert-file': tlsCertFile, 'tls-key-file': tlsKeyFile },
  })
  t.match(relay.url, /^wss:/)
  const wav = join(SPEECH_FOLDER, speech.name)
  const { code, stdout, stderr } = await runCli(['stream', wav, '--url', relay.url, '--speed', 'max'], {
    NODE_EXTRA_CA_CERTS: caFile,
  })
  t.equal(code, 0, stderr)
  t.match(stdout, /\w/)
  t.equal(await relay.stop(), 0)
})
