/**
 * The life of a pod as Kubernetes lives it, without a cluster: what the probes see, what a Service does with the answers, and
 * what becomes of sessions. (K8-05, K8-06, K8-07, K8-11, K8-12; the process itself: faults/lifecycle.test.ts)
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import t from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { RelayClient } from '../support/relay-client.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import type { Closing, RunningRelay } from '../support/world.ts'
import { ANY_SPEED, NO_QUOTAS, startRelay, startWorld } from '../support/world.ts'

const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const [speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const half = Math.floor(pcm.length / 4) * 2

async function probe(relay: RunningRelay, path: '/livez' | '/readyz'): Promise<number> {
  return (await fetch(`${relay.opsUrl}${path}`, { headers: { connection: 'close' } })).status
}

/** A Service: each new connection goes to the ready pod that follows, established ones stay where they are. */
async function startService(
  t: Closing,
  endpoints: () => readonly RunningRelay[],
): Promise<{ readonly url: string }> {
  const sockets = new Set<Socket>()
  let turn = 0
  const server = createServer(client => {
    const ready = endpoints()
    const pod = ready[turn++ % ready.length]
    if (pod === undefined) {
      client.destroy()
      return
    }
    const upstream = connect(pod.port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      // Its other end is closed by the pipe.
      socket.on('error', () => socket.destroy())
    }
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/stream` }
}

t.test('a pod that stops serves on during preStop, and lets nobody in after SIGTERM', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const early = await world.connect()
  early.sendCut(pcm.subarray(0, half), 3200)
  await early.waitFor('Begin')

  // preStop: the process knows of nothing, while load balancers may still send clients.
  t.equal(await probe(world, '/readyz'), 200)
  const late = await world.connect()
  late.sendCut(pcm, 3200)
  await late.waitFor('Begin')

  const stopped = world.relay.drain()
  t.equal(await probe(world, '/readyz'), 503)
  t.equal(await probe(world, '/livez'), 200, 'it must not be killed while it drains')
  const refused = await RawSocket.connect(world.port)
  t.match(await refused.handshake(), { status: 503 })
  refused.destroy()
  for (const client of [early, late]) await client.waitFor('Draining')
  early.sendCut(pcm.subarray(half), 3200)
  for (const client of [early, late]) {
    t.match(await client.finish(), { code: 1000 })
    t.strictSame(client.words(), words, 'no word is lost')
  }
  await stopped
  await t.rejects(probe(world, '/livez'), 'the process is gone')
})

t.test('a full pod sheds load but stays ready and alive', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: { maxSessions: 1 } })
  for (let round = 0; round < 3; round++) {
    const client = await world.connect()
    await client.waitFor('Begin')
    const refused = await RawSocket.connect(world.port)
    t.match(await refused.handshake(), { status: 503 })
    refused.destroy()
    t.equal(await probe(world, '/readyz'), 200, 'no flapping at the limit')
    t.equal(await probe(world, '/livez'), 200)
    await client.finish()
  }
})

t.test('liveness depends on nothing outside of the process', async t => {
  const unreachable = await startRelay(t, { endpoint: 'ws://127.0.0.1:1', dialAttempts: 1 })
  const client = await unreachable.connect()
  t.equal((await client.closed).code, 4503)
  t.equal(await probe(unreachable, '/livez'), 200, 'Amazon Transcribe is not there')
  t.equal(await probe(unreachable, '/readyz'), 200, 'which another pod would not mend')
})

t.test('a rolling update fails no new session and loses no word of the old ones', async t => {
  const emulator = createEmulator({ ...NO_QUOTAS, engine })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  const startPod = (): Promise<RunningRelay> => startRelay(t, { ...ANY_SPEED, endpoint })
  let pods = [await startPod(), await startPod()]
  const { url } = await startService(t, () => pods)

  const oldSessions = await Promise.all(pods.map(() => RelayClient.open(t, url)))
  for (const client of oldSessions) {
    client.sendCut(pcm.subarray(0, half), 3200)
    await client.waitFor('Begin')
  }
  t.strictSame(
    pods.map(({ relay }) => relay.activeSessions),
    [1, 1],
    'each of the old pods has a session',
  )

  const newSessions: RelayClient[] = []
  const stopping: Promise<void>[] = []
  for (const old of pods) {
    // maxUnavailable 0: the new pod is ready first. Then the old one leaves the Service, then it is told to stop.
    const replacement = await startPod()
    t.equal(await probe(replacement, '/readyz'), 200)
    const before = await RelayClient.open(t, url)
    pods = [...pods.filter(pod => pod !== old), replacement]
    stopping.push(old.relay.drain())
    const after = await Promise.all([1, 2, 3, 4].map(() => RelayClient.open(t, url)))
    newSessions.push(before, ...after)
  }
  t.notOk(pods.some(({ relay }) => relay.isDraining))

  for (const client of newSessions) client.sendCut(pcm, 3200)
  for (const client of oldSessions) client.sendCut(pcm.subarray(half), 3200)
  for (const client of [...newSessions, ...oldSessions]) {
    t.match(await client.finish(), { code: 1000 })
    t.strictSame(client.words(), words)
  }
  for (const client of oldSessions) t.equal(client.of('Draining').length, 1, 'the old ones were told to move')
  await Promise.all(stopping)
})

t.test('a pod with sessions that is scaled down drains: it ends them with their finals and 1012', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: { drainTimeoutMs: 200 } })
  const clients = await Promise.all([world.connect(), world.connect()])
  for (const client of clients) {
    client.sendCut(pcm, 3200)
    await client.waitFor('Begin')
  }
  await world.relay.drain()
  for (const client of clients) {
    t.match(await client.closed, { code: 1012, reason: 'drain_deadline' })
    t.strictSame(client.words(), words)
  }
})
