/**
 * A relay with too little of something, as a real process: new sessions are refused in the words of the protocol, those
 * that run go on and lose nothing, and the relay stays ready. (CL-20, CL-21, LC-11, LC-14, LC-15, K8-06)
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createEmulator, type Emulator } from '../../src/emulator/index.ts'
import { usageOf } from '../support/process-usage.ts'
import { createRandom } from '../support/random.ts'
import { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess, type RelayProcess, type ServeFlags } from '../support/relay-process.ts'
import { sha256 } from '../support/speech.ts'
import { NO_QUOTAS, startWorld } from '../support/world.ts'

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000)
const random = createRandom(seed)
t.comment(`seed ${seed}`)

const MEBIBYTE = 1_048_576
const CHUNK = 3200

interface Overloaded extends RelayProcess {
  readonly emulator: Emulator
  open(query?: string): RelayClient
  isReady(): Promise<boolean>
}

/** A relay with these options, in a process of its own. */
async function startOverloaded(t: Test, options: ServeFlags, openFiles?: number): Promise<Overloaded> {
  const emulator = createEmulator({ ...NO_QUOTAS, keepStreams: 10_000 })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  // Only what the test is about.
  const flags = { endpoint, 'max-sessions': 1000, 'overload-memory-ratio': 1, ...options }
  const relay = await startRelayProcess(t, { flags, ...(openFiles === undefined ? {} : { openFiles }) })
  const open = (query = ''): RelayClient => {
    const client = new RelayClient(`${relay.url}${query}`)
    t.teardown(() => client.webSocket.terminate())
    return client
  }
  return { ...relay, emulator, open, isReady: async () => (await relay.probe('/readyz')) === 200 }
}

interface Refusal {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly code: unknown
}

/** What a new client hears; `null`: it is let in. */
async function knock(t: Test, url: string): Promise<Refusal | null> {
  const socket = new WebSocket(url)
  t.teardown(() => socket.terminate())
  socket.on('error', () => undefined)
  return new Promise(resolve => {
    socket.once('open', () => {
      socket.terminate()
      resolve(null)
    })
    socket.once('unexpected-response', (_request, response) => {
      let body = ''
      response.on('data', (part: Buffer) => (body += part.toString()))
      response.once('end', () => {
        const { code } = JSON.parse(body) as { code: unknown }
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'], code })
      })
    })
  })
}

const OVERLOADED: Refusal = { status: 503, retryAfter: '2', code: 'overloaded' }

function noise(bytes: number): Buffer {
  return Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)))
}

/** Ends the audio, and proves that all of it arrived. */
async function finishWhole(t: Test, relay: Overloaded, client: RelayClient, audio: Buffer): Promise<void> {
  const begin = await client.waitFor('Begin')
  t.match(await client.finish(), { code: 1000 })
  const stream = await relay.emulator.waitForStream(
    ({ isLive, sessionId }) => !isLive && sessionId === begin['session_id'],
  )
  t.strictSame(
    { bytes: stream.audioBytes, sha256: stream.sha256 },
    { bytes: audio.length, sha256: sha256(audio) },
  )
}

t.test('a loop that is blocked for 2 s costs no session, and shows in the lag (LC-11)', async t => {
  const relay = await startOverloaded(t, { 'overload-lag-ms': 100, 'overload-lag-recovery-ms': 50 })
  const audio = noise(10 * CHUNK)
  const clients = Array.from({ length: 5 }, () => relay.open())
  await Promise.all(clients.map(client => client.waitFor('Begin')))
  for (const client of clients) client.sendCut(audio.subarray(0, 5 * CHUNK), CHUNK)
  // A relay that has just begun does not know yet when it should have looked last.
  while (Number.isNaN((await relay.scrape()).get('admission_load_ratio{reason="lag"}'))) await setImmediate()
  const refused = relay.waitFor(/"message":"new sessions refused"/)
  // Nothing in the process runs: from outside the same as a handler that does not return.
  process.kill(relay.pid, 'SIGSTOP')
  for (const client of clients) client.sendCut(audio.subarray(5 * CHUNK), CHUNK)
  const asked = relay.isReady()
  await wait(2000)
  process.kill(relay.pid, 'SIGCONT')
  t.ok(await asked, 'a probe that waited is answered')
  await refused
  await relay.waitFor(/"message":"new sessions let in again"/)
  for (const client of clients) await finishWhole(t, relay, client, audio)
  t.equal(await knock(t, relay.url), null)
  const metrics = await relay.scrape()
  t.equal(metrics.get('admission_closed{reason="lag"}'), 0)
  t.ok((metrics.get('admission_load_ratio{reason="lag"}') ?? 1) < 1)
})

t.test('a process that gets little CPU lets nobody in, and those inside keep every byte (LC-15)', async t => {
  const relay = await startOverloaded(t, { 'overload-lag-ms': 150, 'overload-lag-recovery-ms': 60 })
  const audio = noise(20 * CHUNK)
  const client = relay.open()
  await client.waitFor('Begin')
  const fed = new AbortController()
  const starve = async (): Promise<void> => {
    while (!fed.signal.aborted) {
      process.kill(relay.pid, 'SIGSTOP')
      await wait(350)
      process.kill(relay.pid, 'SIGCONT')
      await wait(50)
    }
  }
  const starving = starve()
  await relay.waitFor(/"message":"new sessions refused"/)
  client.sendCut(audio, CHUNK)
  t.strictSame(await knock(t, relay.url), OVERLOADED)
  t.ok(await relay.isReady(), 'ready while it sheds (K8-06)')
  const metrics = await relay.scrape()
  t.equal(metrics.get('admission_closed{reason="lag"}'), 1)
  t.ok((metrics.get('admission_refusals_total{reason="lag"}') ?? 0) > 0)
  fed.abort()
  await starving
  await relay.waitFor(/"message":"new sessions let in again"/)
  await finishWhole(t, relay, client, audio)
})

t.test('admission stops before the memory does (LC-14)', async t => {
  const first = await startOverloaded(t, {})
  const idle = first.open()
  await idle.waitFor('Begin')
  const baseMiB = usageOf(first.pid).residentMiB
  await first.stop('SIGKILL')
  const limitMiB = Math.ceil((baseMiB + 60) / 0.7)
  const relay = await startOverloaded(t, {
    'memory-limit-bytes': limitMiB * MEBIBYTE,
    'overload-memory-ratio': 0.7,
    'overload-memory-recovery-ratio': 0.5,
    'pending-audio-bytes': MEBIBYTE,
    'dial-deadline-ms': 60_000,
    'connect-timeout-ms': 30_000,
    'max-sessions': 450,
  })
  // Nobody answers upstream, so every session holds its audio.
  relay.emulator.setFaults({ rules: [{ match: {}, action: { do: 'stallHandshake' } }] })
  const audio = Buffer.alloc(900_000, 7)
  const inside: RelayClient[] = []
  const isRefusing = relay.waitFor(/"message":"new sessions refused"/).then(() => true)
  const full = new AbortController()
  void isRefusing.then(() => full.abort())
  while (!full.signal.aborted && inside.length < 400) {
    const client = relay.open()
    inside.push(client)
    await Promise.race([once(client.webSocket, 'open'), client.closed])
    if (client.webSocket.readyState !== WebSocket.OPEN) break
    client.sendCut(audio, 60_000)
    while (client.webSocket.bufferedAmount > 0) await setImmediate()
  }
  await isRefusing
  t.comment(`${inside.length} sessions`)
  t.strictSame(await knock(t, relay.url), OVERLOADED)
  t.ok(await relay.isReady())
  const { peakResidentMiB } = usageOf(relay.pid)
  t.comment(`base ${baseMiB} MiB, limit ${limitMiB} MiB, peak ${peakResidentMiB} MiB`)
  t.ok(peakResidentMiB < limitMiB)
  const metrics = await relay.scrape()
  t.equal(metrics.get('admission_closed{reason="memory"}'), 1)
  const lost = inside.filter(({ webSocket }) => webSocket.readyState !== WebSocket.OPEN).length
  t.ok(lost <= 1, 'nobody who was in is out')
})

t.test('files run out for newcomers first, and connections beyond them are cut', async t => {
  const relay = await startOverloaded(
    t,
    { 'max-sessions': 60, 'overload-files-ratio': 0.2, 'overload-files-recovery-ratio': 0.18 },
    400,
  )
  const audio = noise(5 * CHUNK)
  const client = relay.open()
  await client.waitFor('Begin')
  const { hostname, port } = new URL(relay.url)
  const idle: Socket[] = []
  t.teardown(() => idle.forEach(socket => socket.destroy()))
  const knockOften = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const socket = connect(Number(port), hostname)
      // The relay may cut it.
      socket.on('error', () => undefined)
      idle.push(socket)
      await Promise.race([once(socket, 'connect'), once(socket, 'close')])
    }
  }
  const refused = relay.waitFor(/"message":"new sessions refused".*"files"|"files".*"new sessions refused"/)
  await knockOften(70)
  await refused
  t.strictSame(await knock(t, relay.url), OVERLOADED)
  t.ok(await relay.isReady())
  await knockOften(170)
  const metrics = await relay.scrape()
  t.ok((metrics.get('client_connections_refused_total') ?? 0) > 20)
  t.equal(metrics.get('admission_closed{reason="files"}'), 1)
  for (const socket of idle) socket.destroy()
  await relay.waitFor(/"message":"new sessions let in again"/)
  t.equal(await knock(t, relay.url), null)
  client.sendCut(audio, CHUNK)
  await finishWhole(t, relay, client, audio)
})

t.test('300 clients that are dropped at once are all back, and who is new hears 503 (CL-20)', async t => {
  const CLIENTS = 300
  const relay = await startOverloaded(t, { 'max-sessions': CLIENTS })
  const begins: { readonly token: string; readonly id: unknown }[] = []
  const clients = Array.from({ length: CLIENTS }, () => relay.open('?resume=true'))
  for (const client of clients) {
    const begin = await client.waitFor('Begin')
    begins.push({ token: String(begin['resume_token']), id: begin['session_id'] })
  }
  for (const client of clients) client.webSocket.terminate()
  const startedAtMs = performance.now()
  const comeBack = async ({ id, token }: (typeof begins)[number]): Promise<void> => {
    await wait(random() * 500)
    const back = relay.open(`?resume_token=${token}&seq=1`)
    t.equal((await back.waitFor('Resumed'))['session_id'], id)
    back.send(Buffer.alloc(CHUNK, 5))
    t.match(await back.finish(), { code: 1000 })
  }
  const newcomers = Array.from({ length: 50 }, () => knock(t, relay.url))
  const [refusals] = await Promise.all([Promise.all(newcomers), ...begins.map(comeBack)])
  const seconds = (performance.now() - startedAtMs) / 1000
  t.comment(`${CLIENTS} back and done within ${seconds.toFixed(1)} s`)
  t.ok(seconds < 30)
  for (const refusal of refusals) t.ok(refusal === null || refusal.status === 503)
  t.ok(refusals.filter(refusal => refusal !== null).length > 0)
  t.equal(relay.emulator.connectionCount - refusals.filter(refusal => refusal === null).length, CLIENTS)
})

t.test('a session at its end is warned before, and has all its results (CL-21)', async t => {
  const world = await startWorld(t, { relay: { maxSessionMs: 1500, sessionWarningMs: 1000, tickMs: 10 } })
  const client = await world.connect()
  await client.waitFor('Begin')
  client.send(noise(CHUNK))
  const warning = await client.waitFor('Warning')
  t.match(warning, { code: 'session_expiring' })
  const warnedAtMs = performance.now()
  t.match(await client.closed, { code: 4440, reason: 'session_expired' })
  t.ok(performance.now() - warnedAtMs > 700, 'not at the last moment')
  t.match(client.messages.at(-1), { type: 'Error', code: 'session_expired', retryable: true })
  t.match(await world.streamOf(client), { audioBytes: CHUNK, isEnded: true, closeCause: 'completed' })
})
