/** `serve --workers`: real processes on one port, against an emulator in this one. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../../src/emulator/index.ts'
import type { Emulator } from '../../../src/emulator/index.ts'
import { runCli } from '../../support/cli.ts'
import { fetchText } from '../../support/metric-values.ts'
import { RelayClient } from '../../support/relay-client.ts'
import {
  RELAY_KEYS,
  startRelayProcess,
  type RelayProcess,
  type ServeFlags,
} from '../../support/relay-process.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../../support/speech.ts'
import { NO_QUOTAS } from '../../support/world.ts'

const speeches = readSpeech()
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const LOCAL = ['serve', '--host', '127.0.0.1', '--ops-host', '127.0.0.1'] as const
/** As many as are enough that the kernel gives each worker some. */
const CLIENTS = 24

interface Workers extends RelayProcess {
  readonly emulator: Emulator
  /** By the number of the worker. */
  pids(): ReadonlyMap<number, number>
}

async function startWorkers(t: Test, workers = 2, flags: ServeFlags = {}): Promise<Workers> {
  const emulator = createEmulator({ ...NO_QUOTAS, engine, keepStreams: 10_000 })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  // Odd, so that there is a remainder.
  const relay = await startRelayProcess(t, { flags: { workers, 'max-sessions': 401, endpoint, ...flags } })
  const first = relay.lines('workers started').flatMap(({ pids }) => pids as number[])
  return {
    ...relay,
    emulator,
    pids() {
      const pids = new Map(first.map((pid, index) => [index + 1, pid]))
      for (const line of relay.lines('worker restarted'))
        pids.set(Number(line['worker']), Number(line['pid']))
      return pids
    },
  }
}

/** Clients with their sessions begun, and the worker of each, by the log. */
async function openClients(relay: Workers, count: number): Promise<Map<RelayClient, number>> {
  const clients = await Promise.all(Array.from({ length: count }, () => relay.connect()))
  const workers = new Map<RelayClient, number>()
  for (const client of clients) {
    // One after the other: all of them are under way.
    // oxlint-disable-next-line no-await-in-loop
    const { session_id: id } = await client.waitFor('Begin')
    // oxlint-disable-next-line no-await-in-loop
    await relay.waitFor(new RegExp(`"session_id":"${String(id)}"[^\\n]*\\n`))
    const line = relay.lines().find(each => each['session_id'] === id)
    workers.set(client, Number(line?.['worker']))
  }
  return workers
}

/** Sends a recording, ends it, and checks what arrived on both sides. */
async function checkSpeech(
  t: Test,
  { emulator }: Workers,
  client: RelayClient,
  index: number,
): Promise<void> {
  const speech = speeches[index % speeches.length]
  if (speech === undefined) throw new Error('the recordings are missing')
  client.sendCut(speech.pcm, 3200)
  t.match(await client.finish(), { code: 1000 })
  const { session_id: id } = await client.waitFor('Begin')
  const stream = await emulator.waitForStream(record => record.sessionId === id && !record.isLive)
  t.equal(stream.sha256, sha256(speech.pcm))
  t.strictSame(client.words(), speech.words)
}

/** States of the children of a process, as in ps(1): `Z` is a zombie. */
function statesOfChildren(pid: number): readonly string[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
  return children.map(
    child => /^State:\s+(\w)/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? '?',
  )
}

/** Whether somebody has loaded native code of uWebSockets.js into a process. */
function hasNativeSocket(pid: number): boolean {
  return /uws_linux/.test(readFileSync(`/proc/${pid}/maps`, 'utf8'))
}

t.test('two workers serve one port: every byte arrives, and the metrics add up', async t => {
  const relay = await startWorkers(t)
  const clients = await openClients(relay, CLIENTS)
  t.same(new Set(clients.values()), new Set([1, 2]), 'both have clients')
  const open = await relay.scrape()
  t.equal(open.get('sessions_active'), CLIENTS)
  t.equal(open.get('sessions_limit'), 401)
  t.equal(open.get('workers{state="running"}'), 2)
  await Promise.all([...clients.keys()].map((client, index) => checkSpeech(t, relay, client, index)))
  const after = await relay.scrape()
  const audioBytes = [...clients.keys()].reduce(
    (sum, _, index) => sum + (speeches[index % speeches.length]?.pcm.length ?? 0),
    0,
  )
  t.equal(after.get('sessions_active'), 0)
  t.equal(after.get('sessions_started_total'), CLIENTS)
  t.equal(after.get('sessions_closed_total{class="ok",reason="normal"}'), CLIENTS)
  t.equal(after.get('session_duration_seconds_count'), CLIENTS)
  t.equal(after.get('client_audio_bytes_total'), audioBytes)
  t.equal(after.get('upstream_audio_bytes_total'), audioBytes)
  t.equal(after.get('upstream_connects_total{outcome="ok",reason="none"}'), CLIENTS)
  t.equal(after.get('ready'), 1)
  t.same(JSON.parse(await fetchText(`${relay.opsUrl}/readyz`)), { ready: true, reasons: [] })
  t.equal(hasNativeSocket(Number(relay.child.pid)), false, 'the primary has no native code')
  for (const pid of relay.pids().values()) t.equal(hasNativeSocket(pid), true)
  relay.child.kill('SIGTERM')
  t.match(await relay.result, { code: 0, stderr: '' })
  t.ok(relay.lines().every(line => line['message'] !== 'worker ended'))
})

t.test('a worker that is killed takes its sessions with it, and nothing else', async t => {
  const relay = await startWorkers(t)
  const clients = await openClients(relay, CLIENTS)
  const [victims, others] = [1, 2].map(worker =>
    [...clients].filter(([, own]) => own === worker).map(([client]) => client),
  )
  await relay.scrape()
  const pid = relay.pids().get(1)
  process.kill(Number(pid), 'SIGKILL')
  for (const { code } of await Promise.all((victims ?? []).map(client => client.closed))) t.equal(code, 1006)
  await relay.waitFor(/"message":"worker restarted"/)
  t.match(
    relay.lines().find(({ message }) => message === 'worker ended'),
    { worker: 1, reason: 'killed by SIGKILL', restart_in_ms: 100 },
  )
  t.not(relay.pids().get(1), pid)
  t.notOk(statesOfChildren(Number(relay.child.pid)).includes('Z'), 'no zombie is left')
  await Promise.all((others ?? []).map((client, index) => checkSpeech(t, relay, client, index)))
  const values = await relay.scrape()
  t.equal(values.get('sessions_started_total'), CLIENTS, 'what the dead one had counted stays counted')
  t.equal(values.get('sessions_active'), 0)
  t.equal(values.get('worker_restarts_total'), 1)
  const again = await openClients(relay, CLIENTS)
  t.same(new Set(again.values()), new Set([1, 2]), 'the new one has clients too')
  relay.child.kill('SIGINT')
  for (const client of again.keys()) client.say({ type: 'CloseStream' })
  t.match(await relay.result, { code: 0 })
})

t.test('SIGTERM drains every worker: all are told, every final is delivered, the end is 0', async t => {
  const relay = await startWorkers(t)
  const clients = await openClients(relay, CLIENTS)
  t.same(new Set(clients.values()), new Set([1, 2]))
  relay.child.kill('SIGTERM')
  await Promise.all([...clients.keys()].map(client => client.waitFor('Draining')))
  const readiness = JSON.parse(await fetchText(`${relay.opsUrl}/readyz`)) as unknown
  t.same(readiness, { ready: false, reasons: ['worker 1: draining', 'worker 2: draining'] })
  t.equal((await relay.scrape()).get('draining'), 1)
  await Promise.all([...clients.keys()].map((client, index) => checkSpeech(t, relay, client, index)))
  t.match(await relay.result, { code: 0 })
  const ended = relay.lines().filter(({ message }) => message === 'relay stopped')
  t.same(new Set(ended.map(({ worker }) => worker)), new Set([1, 2]))
})

t.test('a drain in which a worker died is no success', async t => {
  const relay = await startWorkers(t)
  const clients = await openClients(relay, CLIENTS)
  relay.child.kill('SIGTERM')
  await Promise.all([...clients.keys()].map(client => client.waitFor('Draining')))
  process.kill(Number(relay.pids().get(1)), 'SIGKILL')
  for (const [client, worker] of clients)
    if (worker === 2) t.match(await client.finish(), { code: 1000 }, 'the other one drains on')
  t.match(await relay.result, { code: 1, stderr: '' })
  t.match(relay.lines('worker ended'), [{ worker: 1, reason: 'killed by SIGKILL', restart_in_ms: null }])
  t.match(relay.lines().at(-1), {
    level: 'fatal',
    message: 'the relay failed',
    error: { message: 'did not end in order: worker 1' },
  })
})

t.test('a signal to the whole group, as of a terminal, is one signal', async t => {
  const relay = await startWorkers(t)
  const [client] = [...(await openClients(relay, 1)).keys()]
  for (const pid of [relay.child.pid, ...relay.pids().values()]) process.kill(Number(pid), 'SIGINT')
  await client?.waitFor('Draining')
  t.match(await client?.finish(), { code: 1000 })
  t.match(await relay.result, { code: 0 })
})

t.test('a second signal does not wait for sessions', async t => {
  const relay = await startWorkers(t)
  const clients = await openClients(relay, 4)
  relay.child.kill('SIGTERM')
  await Promise.all([...clients.keys()].map(client => client.waitFor('Draining')))
  relay.child.kill('SIGTERM')
  await Promise.all([...clients.keys()].map(client => client.closed))
  t.match(await relay.result, { code: 143 })
})

t.test('workers do not outlive a primary that is killed', async t => {
  const relay = await startWorkers(t)
  const [client] = [...(await openClients(relay, 1)).keys()]
  relay.child.kill('SIGKILL')
  await client?.waitFor('Draining')
  t.match(await client?.finish(), { code: 1000 }, 'they drain, though')
  // The standard output is theirs as well: it is closed once they are all gone.
  t.match(await relay.result, { code: null, stdout: /"worker":1[^\n]*"relay stopped"/ })
})

t.test('a port of somebody else is one line and 1, also that of a relay with workers', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  t.teardown(() => blocker.close())
  await once(blocker, 'listening')
  const blocked = String((blocker.address() as AddressInfo).port)
  const relay = await startWorkers(t)
  const taken = new URL(relay.url).port
  for (const [port, opsPort, name] of [
    [blocked, '0', 'port'],
    [taken, '0', 'port'],
    ['0', blocked, 'opsPort'],
  ] as const) {
    const args = [...LOCAL, '--workers', '2', '--max-sessions', '10', '--port', port, '--ops-port', opsPort]
    const { code, stdout, stderr } = await runCli(args, RELAY_KEYS)
    const number = name === 'port' ? port : opsPort
    t.equal(stderr, `transcribe-relay: 127.0.0.1 port ${number} (${name}) is in use by another process\n`)
    t.equal(code, 1)
    t.notMatch(stdout, /relay started/)
  }
  t.equal((await relay.scrape()).get('ready'), 1)
})

t.test('what a worker cannot start with is told once, as by a single process', async t => {
  const ports = ['--port', '0', '--ops-port', '0']
  const { AWS_REGION: _region, ...keys } = RELAY_KEYS
  const region = await runCli([...LOCAL, ...ports, '--workers', '3', '--max-sessions', '10'], keys)
  t.match(region, {
    code: 78,
    stderr: /^transcribe-relay: the configuration is not valid\n  option region [^\n]*\n$/,
  })
  const files = await runCli([...LOCAL, ...ports, '--workers', '2', '--max-sessions', '100000'], RELAY_KEYS)
  t.match(files, {
    code: 78,
    stderr: /maxSessions.*must be at most \d+ with 2 workers: the limit of open files/,
  })
})

t.test('the number of workers has bounds', async t => {
  for (const [workers, rule] of [
    ['0', /must be an integer from 1 to 256, or auto/],
    ['257', /must be an integer from 1 to 256, or auto/],
    ['many', /must be an integer from 1 to 256, or auto/],
    ['11', /must be at most maxSessions/],
  ] as const) {
    const { code, stderr } = await runCli(
      [...LOCAL, '--workers', workers, '--max-sessions', '10'],
      RELAY_KEYS,
    )
    t.equal(code, 78)
    t.match(stderr, rule)
  }
  t.match(await runCli(['--worker']), { code: 64, stderr: /unknown option --worker/ })
})

t.test('a client that comes back finds its worker within some attempts', async t => {
  const workers = await startWorkers(t, 3)
  const [speech] = speeches
  if (speech === undefined) throw new Error('the recordings are missing')
  let elsewhere = 0
  for (let session = 0; session < 4; session += 1) {
    const first = new RelayClient(`${workers.url}?resume=true`)
    const begin = await first.waitFor('Begin')
    first.webSocket.terminate()
    await first.closed
    for (;;) {
      const query = `resume_token=${String(begin['resume_token'])}&seq=1`
      const socket = new WebSocket(`${workers.url}?${query}`)
      const status = await new Promise<number>(resolve => {
        socket.once('open', () => resolve(101))
        socket.on('error', () => undefined)
        socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
      })
      if (status === 101) {
        socket.send(speech.pcm.subarray(0, 32_000))
        socket.send('{"type":"CloseStream"}')
        const [code] = (await once(socket, 'close')) as [number]
        t.equal(code, 1000)
        break
      }
      t.equal(status, 503)
      elsewhere += 1
      socket.terminate()
    }
  }
  t.comment(`${elsewhere} attempts met another worker`)
  t.equal(workers.emulator.connectionCount, 4)
})

t.test('workers divide a part of a quota, and none is left without a stream', async t => {
  for (const [regionStreams, quotaShares, limit] of [
    [40, 2, 20],
    [3, 2, 2],
    // More parts with the workers than `quotaShares` may be.
    [0, 100_000, null],
  ] as const) {
    const flags = { 'region-streams': regionStreams, 'quota-shares': quotaShares }
    const relay = await startWorkers(t, 2, flags)
    const regions = JSON.parse(await fetchText(`${relay.opsUrl}/regions`)) as unknown
    t.match(regions, { regions: [{ stream_limit: limit }] })
    t.equal(await relay.probe('/readyz'), 200)
    const [client] = [...(await openClients(relay, 1)).keys()]
    t.match(await client?.finish(), { code: 1000 })
    t.equal(await relay.stop(), 0)
  }
})

t.test('an order about a region reaches every worker', async t => {
  const workers = await startWorkers(t)
  const post = async (path: string): Promise<number> =>
    (await fetch(`${workers.opsUrl}${path}`, { method: 'POST', headers: { connection: 'close' } })).status
  const isDraining = async (): Promise<unknown> => {
    const { regions } = JSON.parse(await fetchText(`${workers.opsUrl}/regions`)) as { regions: object[] }
    return regions
  }
  t.match(await isDraining(), [{ region: 'us-east-1', draining: false, stream_limit: null }])
  t.equal(await post('/regions/us-east-1/drain'), 202)
  t.match(await isDraining(), [{ region: 'us-east-1', draining: true }])
  t.equal(await post('/regions/us-east-1/resume'), 202)
  t.match(await isDraining(), [{ region: 'us-east-1', draining: false }])
  t.equal(await post('/regions/eu-west-1/drain'), 404)
  for (const pid of workers.pids().values()) process.kill(pid, 'SIGSTOP')
  t.equal(await post('/regions/us-east-1/drain'), 202, 'also to those that are too busy to answer')
  t.equal(await post('/regions/eu-west-1/drain'), 404)
  for (const pid of workers.pids().values()) process.kill(pid, 'SIGCONT')
  t.match(await isDraining(), [{ region: 'us-east-1', draining: true }])
  workers.child.kill('SIGTERM')
  t.match(await workers.result, { code: 0 })
})
