/**
 * The relay as a library: options in, one relay out, which is started once and ends in order, whoever ends it.
 */
import net from 'node:net'
import t from 'tap'
import { ConfigError, createRelay, ERRORS, RelayError } from '../../src/index.ts'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { createLogger } from '../../src/log.ts'
import { LogRecorder } from '../support/log-recorder.ts'
import { fetchText } from '../support/metric-values.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { listen } from '../support/upstream-server.ts'
import { startRelay, startWorld } from '../support/world.ts'

const LOCAL = { host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, region: 'us-east-1' } as const
const KEYS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
} as const
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

function silentLogger() {
  return createLogger({ level: 'trace', version: '0.0.0', sink: new LogRecorder() })
}

/** Without any AWS configuration of this machine. */
function start(options: Parameters<typeof createRelay>[0]) {
  const env = { AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' }
  return createRelay({ ...LOCAL, ...options }, { credentials: KEYS, env, logger: silentLogger() }).start()
}

t.test('workers are of the command line: a relay is in one process', async t => {
  for (const workers of [2, 'auto'] as const) {
    const error = t.throws(() => createRelay({ ...LOCAL, workers }), ConfigError)
    t.match((error as unknown as ConfigError).problems, [
      { path: 'option workers', value: String(workers), rule: /must be 1 here/ },
    ])
  }
})

t.test('every problem of the options is told at once, before anything is opened', async t => {
  const wrong = { chunkMs: 1, paceRate: 0, port: 70_000, format: 'xml', chunkms: 100, idleTimeoutSeconds: 9 }
  const error = t.throws(
    () => createRelay(wrong as unknown as Parameters<typeof createRelay>[0]),
    ConfigError,
  )
  const { problems } = error as unknown as ConfigError
  const text = JSON.stringify(problems)
  for (const name of Object.keys(wrong)) t.match(text, name)
  t.ok(problems.length >= Object.keys(wrong).length)
})

t.test('a region that is nowhere, and an endpoint that is none', async t => {
  await t.rejects(start({ region: null }), { name: 'ConfigError', problems: [{ path: 'option region' }] })
  t.throws(() => start({ endpoint: 'ws://127.0.0.1/path' }), ConfigError)
})

t.test(
  'authorize decides who comes in, at once or later, and its refusal is what the client reads',
  async t => {
    const asked: string[] = []
    const world = await startWorld(t, {
      relay: { allowedOrigins: ['https://page.test'] },
      dependencies: {
        authorize: ({ headers, path }, query) => {
          asked.push(`${path} ${query.kind}`)
          const key = headers.get('x-key')
          if (key === 'now') return undefined
          if (key === 'later') return Promise.resolve()
          if (key === 'bug') throw new Error('secret-of-the-hook')
          throw new RelayError('overloaded', { message: 'Not you.', retryAfterMs: 1500 })
        },
      },
    })
    const knock = async (key: string, headers: Record<string, string> = {}) => {
      const raw = await RawSocket.connect(world.port)
      t.teardown(() => raw.destroy())
      return raw.handshake({ headers: { 'x-key': key, ...headers } })
    }
    t.equal((await knock('now')).status, 101)
    t.equal((await knock('later')).status, 101)
    const refused = await knock('nobody')
    t.equal(refused.status, ERRORS.overloaded.httpStatus)
    t.equal(refused.headers.get('retry-after'), '2')
    t.match(JSON.parse(refused.body), {
      type: 'Error',
      code: 'overloaded',
      message: 'Not you.',
      retryable: true,
    })
    const broken = await knock('bug')
    t.equal(broken.status, 500)
    t.notMatch(broken.body, 'secret-of-the-hook')
    // A browser sees no status, so it is told on the socket.
    t.equal((await knock('nobody', { origin: 'https://page.test' })).status, 101)
    t.strictSame(new Set(asked), new Set(['/v1/stream ready']))
  },
)

t.test('a port in use is an error of start, and leaves nothing open', async t => {
  const taken = await listen(t, net.createServer())
  for (const option of ['port', 'opsPort'] as const) {
    const relay = createRelay({ ...LOCAL, [option]: taken }, { credentials: KEYS, logger: silentLogger() })
    await t.rejects(relay.start(), /EADDRINUSE|Cannot listen/)
    await relay.closed
    await relay.close()
  }
})

t.test('a relay is started once', async t => {
  const { relay, url } = await startRelay(t, {})
  await t.rejects(relay.start(), /once/)
  t.match(url, /^ws:/)
  t.equal(relay.isDraining, false, 'the first start is not disturbed')
  await relay.close()
  await t.rejects(relay.start(), /once/)
})

t.test('a relay that is closed while it starts leaves nothing open', async t => {
  const { port, opsPort, relay: first } = await startRelay(t, {})
  await first.close()
  for (const end of ['close', 'drain'] as const) {
    const relay = createRelay({ ...LOCAL, port, opsPort }, { credentials: KEYS, logger: silentLogger() })
    const started = relay.start()
    await relay[end]()
    await started
    await relay.closed
  }
  const relay = createRelay({ ...LOCAL, port, opsPort }, { credentials: KEYS, logger: silentLogger() })
  await relay.start()
  await relay.close()
})

t.test('close and drain may be called in any order and number', async t => {
  const world = await startWorld(t)
  const client = await world.connect()
  await client.waitFor('Begin')
  await Promise.all([world.relay.close(), world.relay.close(), world.relay.drain(), world.relay.drain()])
  await world.relay.closed
  t.match(await client.closed, { code: 1012, reason: 'drain_deadline' })
  t.match(client.messages.at(-1), { type: 'Error', code: 'drain_deadline', retryable: true })
  t.equal(world.relay.activeSessions, 0)
  const never = createRelay(LOCAL, { credentials: KEYS })
  await Promise.all([never.drain(), never.close()])
})

t.test('a drain lets sessions end in their own time', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const [speech] = readSpeech()
  if (speech === undefined) throw new Error('the recordings are missing')
  const half = Math.floor(speech.pcm.length / 4) * 2
  const client = await world.connect()
  client.sendCut(speech.pcm.subarray(0, half), 3200)
  await client.waitFor('Begin')
  const drained = world.relay.drain()
  t.match(await client.waitFor('Draining'), { reconnect_in_ms: Number })
  t.equal(world.relay.isDraining, true)
  t.strictSame(JSON.parse(await fetchText(`${world.opsUrl}/readyz`)), { ready: false, reasons: ['draining'] })
  const late = await RawSocket.connect(world.port)
  t.match(await late.handshake(), { status: 503 }, 'nobody new comes in')
  late.destroy()
  client.sendCut(speech.pcm.subarray(half), 3200)
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.words(), speech.words)
  await drained
  await world.relay.closed
})

t.test('past the drain time-out sessions end with their finals and 1012', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: { drainTimeoutMs: 200 } })
  const speeches = readSpeech()
  const clients = await Promise.all(
    speeches.map(async ({ pcm }) => {
      const client = await world.connect()
      client.sendCut(pcm, 3200)
      await client.waitFor('Begin')
      return client
    }),
  )
  await world.relay.drain()
  for (const [index, client] of clients.entries()) {
    t.match(await client.closed, { code: 1012, reason: 'drain_deadline' })
    t.strictSame(client.words(), speeches[index]?.words, 'no word is lost')
    t.match(client.messages.at(-1), { type: 'Error', code: 'drain_deadline', retryable: true })
    t.equal((await world.streamOf(client)).closeCause, 'completed')
  }
})

t.test('credentials that are missing make a relay not ready, never dead', async t => {
  const { port, opsUrl } = await startRelay(
    t,
    { endpoint: 'ws://127.0.0.1:9' },
    { credentials: { accessKeyId: '', secretAccessKey: '' } },
  )
  const raw = await RawSocket.connect(port)
  t.match(await raw.handshake(), { status: 503, body: /not_ready/ })
  raw.destroy()
  t.match(JSON.parse(await fetchText(`${opsUrl}/readyz`)), { ready: false, reasons: [/^credentials_/] })
  t.match(await fetchText(`${opsUrl}/livez`), /alive/)
})
