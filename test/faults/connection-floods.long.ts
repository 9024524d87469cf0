/**
 * Connections that never become a session: slow ones, silent ones, thousands of them. Seen from outside, at a relay in a
 * process of its own with few open files. The slow ones take the native library's time-out of half a minute.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startEmulatorProcess } from '../support/emulator-process.ts'
import { fetchText } from '../support/metric-values.ts'
import { encodeHandshake } from '../support/raw-socket.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess, type RelayProcess } from '../support/relay-process.ts'
import { readSpeech } from '../support/speech.ts'

const OPEN_FILES = 500
const MAX_SESSIONS = 60
const SLOW_OF_EACH_KIND = 40
/** The native library closes what has not sent a request at about 32 s, whatever trickles in. */
const SLOW_LIMIT_MS = 45_000
const NEW_SESSION_LIMIT_MS = 5000

const speech = readSpeech()[1]
if (speech === undefined) throw new Error('the recordings are missing')
const emulator = await startEmulatorProcess(t)

async function startSmallRelay(t: Test): Promise<RelayProcess> {
  const flags = {
    endpoint: emulator.url,
    'max-sessions': MAX_SESSIONS,
    'address-handshakes-per-second': 0,
  }
  return startRelayProcess(t, { flags, openFiles: OPEN_FILES })
}

/** The whole recording, its second half after `meanwhile`. */
async function speakAround(t: Test, relay: RelayProcess, meanwhile: () => Promise<void>): Promise<void> {
  const { pcm, words } = speech ?? { pcm: Buffer.alloc(0), words: [] }
  const neighbour = await relay.connect()
  const half = Math.floor(pcm.length / 4) * 2
  neighbour.sendCut(pcm.subarray(0, half), 3200)
  await neighbour.waitFor('Begin')
  await meanwhile()
  neighbour.sendCut(pcm.subarray(half), 3200)
  await expectWords(t, neighbour, words)
}

async function expectWords(t: Test, client: RelayClient, words: readonly string[]): Promise<void> {
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.words(), words, 'every word came back')
}

async function expectNewSession(t: Test, relay: RelayProcess): Promise<void> {
  const startedMs = performance.now()
  const client = await relay.connect()
  await client.waitFor('Begin')
  t.ok(performance.now() - startedMs < NEW_SESSION_LIMIT_MS, 'a new session begins')
  client.sendCut(speech?.pcm ?? Buffer.alloc(0), 3200)
  await expectWords(t, client, speech?.words ?? [])
}

/** A connection that is only counted; errors are ends. */
function open(t: Test, port: number): { socket: Socket; closed: Promise<unknown> } {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  socket.resume()
  t.teardown(() => socket.destroy())
  return { socket, closed: once(socket, 'close') }
}

t.test('CL-16 slow requests are ended, and nobody else notices', async t => {
  const relay = await startSmallRelay(t)
  const request = encodeHandshake('dGhlIHNhbXBsZSBub25jZQ==', {})
  await speakAround(t, relay, async () => {
    const slow = Array.from({ length: SLOW_OF_EACH_KIND * 3 }, (_, index) => {
      const { closed, socket } = open(t, relay.port)
      const kind = index % 3
      if (kind === 1) socket.write(request.slice(0, 60))
      if (kind === 2) {
        let sent = 0
        const dripping = setInterval(() => socket.write(request[sent++] ?? 'x'), 1000)
        void closed.then(() => clearInterval(dripping))
      }
      return closed
    })
    await expectNewSession(t, relay)
    const startedMs = performance.now()
    await Promise.all(slow)
    const tookMs = performance.now() - startedMs
    t.ok(tookMs < SLOW_LIMIT_MS, `all are closed after ${Math.round(tookMs)} ms`)
    t.equal((await relay.scrape()).get('client_connections_refused_total'), 0)
  })
})

t.test('CL-17 a flood of connections leaves the sessions and the operations port alone', async t => {
  const relay = await startSmallRelay(t)
  await speakAround(t, relay, async () => {
    const flood = Array.from({ length: 2000 }, () => open(t, relay.port))
    // They are told apart by being closed: the rest stays open below the limit of the relay.
    let open_ = flood.length
    const few = new Promise<void>(resolve => {
      for (const { closed } of flood)
        void closed.then(() => ((open_ -= 1) <= OPEN_FILES ? resolve() : undefined))
    })
    await few
    t.match(await fetchText(`${relay.opsUrl}/livez`), 'alive')
    const metrics = await relay.scrape()
    t.ok(Number(metrics.get('client_connections_refused_total')) > 1000, 'the rest was closed at once')
    t.equal(metrics.get('sessions_active'), 1)
    for (const { socket } of flood) socket.destroy()
    await Promise.all(flood.map(({ closed }) => closed))
  })
  await expectNewSession(t, relay)
  t.notMatch(relay.output.stdout, /EMFILE|"level":"(error|fatal)"/)
  t.equal(relay.output.stderr, '')
})

t.test('CL-17 clients that upgrade and then do nothing fill the relay, and it says so', async t => {
  const relay = await startSmallRelay(t)
  await speakAround(t, relay, async () => {
    const idle: RelayClient[] = []
    for (let count = 1; count < MAX_SESSIONS; count += 1) idle.push(await relay.connect())
    const refused = await fetch(relay.url.replace('ws:', 'http:'), {
      headers: { 'sec-websocket-version': '13' },
    })
    t.ok(refused.status >= 400)
    await t.rejects(relay.connect(), { message: 'Unexpected server response: 503' })
    t.equal((await relay.scrape()).get('sessions_active'), MAX_SESSIONS)
    t.match(await fetchText(`${relay.opsUrl}/livez`), 'alive')
    for (const client of idle) client.webSocket.terminate()
  })
})
