/**
 * The life of the real process: how it is stopped, killed, started again, and what it outlives. (failure cases LC-01 to
 * LC-08, LC-12, LC-13, LC-16, K8-07; the life of a pod is in helm/lifecycle.test.ts)
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { Test } from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { resolveOptions } from '../../src/config/resolve.ts'
import { longestDrainMs } from '../../src/relay/drain.ts'
import { runCli } from '../support/cli.ts'
import { RawSocket } from '../support/raw-socket.ts'
import type { RelayClient } from '../support/relay-client.ts'
import type { RelayProcess, RelayProcessOptions } from '../support/relay-process.ts'
import { RELAY_KEYS, serveArguments, startRelayProcess } from '../support/relay-process.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { NO_QUOTAS } from '../support/world.ts'

const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const speeches = readSpeech().toSorted((a, b) => a.pcm.length - b.pcm.length)
const [speech] = speeches
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const half = Math.floor(pcm.length / 4) * 2
const PIECE_BYTES = 3200
/** Sessions of a busy instance; 200 where there is time. */
const SESSIONS = Number(process.env['TEST_SESSIONS'] ?? 60)
const FULL_DISK = fileURLToPath(new URL('../support/full-disk.ts', import.meta.url))
const BUGS = fileURLToPath(new URL('../support/bugs.ts', import.meta.url))

async function startRelay(t: Test, options: RelayProcessOptions = {}): Promise<RelayProcess> {
  const emulator = createEmulator({ ...NO_QUOTAS, engine })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  return startRelayProcess(t, { ...options, flags: { endpoint, ...options.flags } })
}

/** With their sessions begun, in the middle of their speech. */
async function openClients(relay: RelayProcess, count: number): Promise<readonly RelayClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => relay.connect()))
  for (const client of clients) client.sendCut(pcm.subarray(0, half), PIECE_BYTES)
  await Promise.all(clients.map(client => client.waitFor('Begin')))
  return clients
}

function speakOn(clients: readonly RelayClient[]): void {
  for (const client of clients) client.sendCut(pcm.subarray(half), PIECE_BYTES)
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test(
  'LC-01 on SIGTERM it lets nobody in, and every session ends in its own time with its words',
  async t => {
    const relay = await startRelay(t)
    const clients = await openClients(relay, SESSIONS)
    t.equal(await relay.probe('/readyz'), 200)

    relay.child.kill('SIGTERM')
    await Promise.all(clients.map(client => client.waitFor('Draining')))
    t.equal(await relay.probe('/readyz'), 503)
    t.equal(await relay.probe('/livez'), 200)
    const late = await RawSocket.connect(relay.port)
    t.teardown(() => late.destroy())
    const { body, headers, status } = await late.handshake()
    t.match([status, JSON.parse(body)], [503, { code: 'draining', retryable: true }])
    t.equal(headers.get('connection'), 'close')

    speakOn(clients)
    for (const close of await Promise.all(clients.map(client => client.finish())))
      t.strictSame(close, { code: 1000, reason: 'normal' })
    for (const client of clients) t.strictSame(client.words(), words)
    t.match(await relay.result, { code: 0, stderr: '' })
    t.strictSame(
      relay.lines('session ended').map(({ reason }) => reason),
      clients.map(() => 'normal'),
    )
  },
)

t.test(
  'LC-02 sessions that do not end are ended with their finals and 1012, over a window of time',
  async t => {
    const limits = {
      drainTimeoutMs: 300,
      drainSpreadMs: 2500,
      flushTimeoutMs: 5000,
    } satisfies Partial<RelayOptions>
    const flags = { 'drain-timeout-ms': 300, 'drain-spread-ms': 2500, 'flush-timeout-ms': 5000 }
    const relay = await startRelay(t, { flags })
    const clients = await openClients(relay, 20)
    speakOn(clients)
    const startMs = performance.now()
    const endsMs = clients.map(async ({ closed }) => {
      t.strictSame(await closed, { code: 1012, reason: 'drain_deadline' })
      return performance.now() - startMs
    })
    relay.child.kill('SIGTERM')
    await Promise.all(clients.map(client => client.waitFor('Draining')))
    t.equal(relay.lines('session ended').length, 0, 'told first')

    // The operations port is there until the last one is gone.
    await Promise.race(endsMs)
    const closed =
      (await relay.scrape()).get('sessions_closed_total{class="ok",reason="drain_deadline"}') ?? 0
    t.ok(closed >= 1 && closed < clients.length, `${closed} by the first scrape`)

    const timesMs = (await Promise.all(endsMs)).toSorted((a, b) => a - b)
    const [firstMs = 0, lastMs = 0] = [timesMs[0], timesMs.at(-1)]
    t.ok(firstMs >= limits.drainTimeoutMs, 'not before the deadline')
    t.ok(lastMs - firstMs >= limits.drainSpreadMs / 2, `spread over ${Math.round(lastMs - firstMs)} ms`)
    const most = Math.max(...timesMs.map(from => timesMs.filter(ms => ms >= from && ms < from + 250).length))
    t.ok(most <= clients.length / 2, `${most} in the fullest quarter of a second`)
    for (const client of clients) {
      t.match(client.messages.at(-1), { type: 'Error', code: 'drain_deadline', retryable: true })
      t.strictSame(client.words(), words, 'the last words too')
    }
    t.match(await relay.result, { code: 0 })
    const longestMs = longestDrainMs(resolveOptions({ overrides: limits }).options)
    t.ok(performance.now() - startMs < longestMs, `within ${longestMs} ms`)
    t.match(relay.lines('drain deadline'), [{ sessions: 20, spread_ms: 2500 }])
  },
)

t.test('LC-03 a second signal ends every session with 1012 at once, with a code of its own', async t => {
  for (const [first, second, code] of [
    ['SIGTERM', 'SIGTERM', 143],
    ['SIGTERM', 'SIGINT', 130],
  ] as const) {
    const relay = await startRelay(t, { flags: { 'drain-timeout-ms': 600_000 } })
    const clients = await openClients(relay, 5)
    relay.child.kill(first)
    await Promise.all(clients.map(client => client.waitFor('Draining')))
    const startMs = performance.now()
    relay.child.kill(second)
    for (const { closed } of clients) t.match(await closed, { code: 1012, reason: 'drain_deadline' })
    t.match(await relay.result, { code })
    t.ok(performance.now() - startMs < 2000)
  }
})

t.test('LC-05 a connection that was kept alive lets nobody in once the relay drains', async t => {
  const relay = await startRelay(t)
  const kept = await RawSocket.connect(relay.port)
  t.teardown(() => kept.destroy())
  kept.write('GET /v1/stream HTTP/1.1\r\nhost: relay.test\r\n\r\n')
  t.equal((await kept.readAnswer()).status, 426)
  const [client] = await openClients(relay, 1)
  relay.child.kill('SIGTERM')
  await client?.waitFor('Draining')
  const { headers, status } = await kept.handshake()
  t.strictSame([status, headers.get('connection')], [503, 'close'])
  t.match(await kept.readEnd(), { closeFrame: null })
  t.match(await client?.finish(), { code: 1000 })
  t.match(await relay.result, { code: 0 })
})

t.test('LC-07 killed and started again on the same port: clients see 1006, and get in again', async t => {
  const ports = { port: await findFreePort(), 'ops-port': await findFreePort() }
  const killed = await startRelay(t, { flags: ports })
  const clients = await openClients(killed, 5)
  killed.child.kill('SIGKILL')
  for (const { closed } of clients) t.match(await closed, { code: 1006 })
  const again = await startRelay(t, { flags: ports })
  t.equal(again.port, ports.port)
  const [client] = await openClients(again, 1)
  t.match(await client?.finish(), { code: 1000 })
})

t.test('LC-08 a bug in one session is the end of that session', async t => {
  const relay = await startRelay(t, { preload: [BUGS] })
  const [ill, well] = await openClients(relay, 2)
  if (ill === undefined || well === undefined) throw new Error('no clients')
  ill.say('bug-in-session')
  t.match(await ill.closed, { code: 1011, reason: 'internal' })
  t.match(ill.messages.at(-1), { type: 'Error', code: 'internal' })
  t.notMatch(JSON.stringify(ill.messages), 'made for a test', 'what is inside stays inside')
  speakOn([well])
  t.match(await well.finish(), { code: 1000 })
  t.strictSame(well.words(), words)
  t.match(relay.lines('session failed'), [{ level: 'error', error: { message: 'made for a test' } }])
})

t.test('LC-08 a bug of nobody is logged, drains, and is the end of the process', async t => {
  for (const setOff of [
    (relay: RelayProcess) => relay.child.kill('SIGUSR2'),
    (_: RelayProcess, client: RelayClient) => client.say('bug-of-nobody'),
  ]) {
    const relay = await startRelay(t, { preload: [BUGS] })
    const [client] = await openClients(relay, 1)
    if (client === undefined) throw new Error('no client')
    setOff(relay, client)
    await client.waitFor('Draining')
    speakOn([client])
    t.match(await client.finish(), { code: 1000 })
    t.strictSame(client.words(), words)
    t.match(await relay.result, { code: 1 })
    t.match(relay.lines('the relay failed'), [{ level: 'fatal', error: { message: 'made for a test' } }])
  }
})

t.test('LC-08 a rollout that stops it meanwhile does not cut what drains', async t => {
  for (const { flags, noted } of [
    { flags: {}, noted: /"message":"stopping"/ },
    { flags: { workers: 2 }, noted: /"message":"worker stopping"[^]*"message":"worker stopping"/ },
  ]) {
    const relay = await startRelay(t, { preload: [BUGS], flags })
    const [client] = await openClients(relay, 1)
    if (client === undefined) throw new Error('no client')
    client.say('bug-of-nobody')
    await client.waitFor('Draining')
    relay.child.kill('SIGTERM')
    await relay.waitFor(noted)
    speakOn([client])
    t.match(await client.finish(), { code: 1000 })
    t.strictSame(client.words(), words)
    t.match(await relay.result, { code: 1, stderr: '' })
  }
})

/** A line is lost when its write has failed, which is later than whatever it tells of. */
async function lostLines(relay: RelayProcess, count: number): Promise<void> {
  for (;;) if (((await relay.scrape()).get('log_lines_lost_total') ?? 0) >= count) return
}

t.test('LC-12 a log that nobody reads any more costs lines and nothing else', async t => {
  const relay = await startRelay(t)
  relay.child.stdout.destroy()
  const [client] = await openClients(relay, 1)
  speakOn(client === undefined ? [] : [client])
  t.match(await client?.finish(), { code: 1000 })
  await lostLines(relay, 2)
  relay.child.kill('SIGTERM')
  t.match(await relay.result, { code: 0, stderr: '' })
})

t.test('LC-12 nor does a log on a full disk', async t => {
  const relay = await startRelay(t, { preload: [FULL_DISK] })
  relay.child.kill('SIGHUP')
  await relay.waitFor(/^descriptor 1 is a full disk$/m)
  const [client] = await openClients(relay, 1)
  speakOn(client === undefined ? [] : [client])
  t.match(await client?.finish(), { code: 1000 })
  await lostLines(relay, 2)
  relay.child.kill('SIGTERM')
  t.match(await relay.result, { code: 0 })
})

t.test(
  'LC-13 what cannot be used is told in one line each, with the code of a configuration, never by a crash',
  async t => {
    for (const [args, message] of [
      [['--idle-timeout-seconds=5'], /^ +--idle-timeout-seconds must be .*got "5"$/m],
      [['--nonsense=1'], /--nonsense is not a flag/],
      [['--allowed-origins=https://['], /^ +--allowed-origins .*https:\/\/\[/m],
    ] as const) {
      const { code, stderr, stdout } = await runCli([...serveArguments(), ...args], RELAY_KEYS)
      t.equal(code, 78, args.join(' '))
      t.equal(stdout, '')
      t.match(stderr, message)
      t.notMatch(stderr, /\n\s+at /, 'no stack')
    }
  },
)

t.test('LC-16 as the first process of a PID namespace it hears signals, and leaves no zombie', async t => {
  // A process 1 has no default for signals: one without a handler goes on.
  const wrapper = ['unshare', '--user', '--map-root-user', '--pid', '--fork', '--kill-child']
  const [program = '', ...rest] = wrapper
  if (spawnSync(program, [...rest, 'true']).status !== 0) {
    t.comment('left out: this system gives no PID namespace')
    t.equal(process.env['CI'], undefined, 'CI does')
    return
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const relay = await startRelay(t, { wrapper })
    const { pid } = relay.child
    const first = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))
    t.match(readFileSync(`/proc/${first}/status`, 'utf8'), /^NSpid:.*\s1$/m)
    const [client] = await openClients(relay, 1)
    process.kill(first, signal)
    await client?.waitFor('Draining')
    t.equal(readFileSync(`/proc/${first}/task/${first}/children`, 'utf8'), '', 'no child, dead or alive')
    t.match(await client?.finish(), { code: 1000 })
    t.match(await relay.result, { code: 0 })
  }
})

t.test('K8-07 without credentials it is alive and not ready, and says why', async t => {
  const relay = await startRelay(t, { env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' } })
  t.equal(await relay.probe('/livez'), 200)
  const answer = await fetch(`${relay.opsUrl}/readyz`)
  t.equal(answer.status, 503)
  t.match(await answer.text(), /credentials/)
  const refused = await RawSocket.connect(relay.port)
  t.teardown(() => refused.destroy())
  t.match(await refused.handshake(), { status: 503, body: /not_ready/ })
  relay.child.kill('SIGTERM')
  t.match(await relay.result, { code: 0 })
})
