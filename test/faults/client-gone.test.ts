/**
 * Clients that vanish, at every moment of a session's life: the relay never trips over the dead socket, the stream at
 * Amazon Transcribe ends at once, because it is billed, and nothing stays open.
 */
import net from 'node:net'
import t, { type Test } from 'tap'
import type { StreamRecord } from '../../src/emulator/index.ts'
import { withNeighbour } from '../support/fault-watch.ts'
import { growth } from '../support/metric-values.ts'
import { closePayload, encodeFrame, OPCODE, RawSocket } from '../support/raw-socket.ts'
import { countSockets, surplusSockets } from '../support/sockets.ts'
import { noise } from '../support/speech.ts'
import { listen } from '../support/upstream-server.ts'
import { ANY_SPEED, startRelay, startWorld, type RunningRelay, type World } from '../support/world.ts'

/** All states together make a thousand. */
const CLIENTS_PER_STATE = 167
const AT_ONCE = 25
/** From the client's end to the end of the billed stream. */
const MAX_BILLED_MS = 1000

const pcm = noise(0.3, 9)
const audioFrames = Buffer.concat(
  [0, 3200, 6400].map(start =>
    encodeFrame({ opcode: OPCODE.binary, payload: pcm.subarray(start, start + 3200) }),
  ),
)
const closeStream = encodeFrame({ opcode: OPCODE.text, payload: '{"type":"CloseStream"}' })

interface Opened {
  readonly raw: RawSocket
  readonly sessionId: string
}

async function open({ port }: RunningRelay, path = '/v1/stream'): Promise<Opened> {
  const raw = await RawSocket.connect(port)
  const { headers } = await raw.handshake({ path })
  return { raw, sessionId: headers.get('x-transcribe-relay-session-id') ?? '' }
}

/** Runs `client` many times, some at once. */
async function many(client: () => Promise<void>): Promise<void> {
  let left = CLIENTS_PER_STATE
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      await client()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

async function reset({ raw }: { readonly raw: RawSocket }): Promise<void> {
  raw.reset()
  await raw.readEnd()
}

/** Nothing is left of the clients, and the relay did not trip. Returns how their sessions ended, by code. */
async function checkClean(
  t: Test,
  relay: RunningRelay,
  sockets: number,
  sessions: number,
): Promise<Record<string, number>> {
  while (relay.log.of('session ended').length < sessions) await relay.log.next()
  t.equal(relay.relay.activeSessions, 0)
  t.equal(relay.log.of('session started').length, sessions)
  t.equal(relay.log.of('session ended').length, sessions)
  t.strictSame(
    relay.log.lines.filter(({ level }) => level === 'error' || level === 'fatal'),
    [],
  )
  t.equal(await surplusSockets(sockets), 0, 'every socket is closed')
  return Object.fromEntries(
    Object.entries(growth(new Map(), await relay.scrape(), ['sessions_closed_total'])).map(
      ([series, count]) => [/reason="(\w+)"/.exec(series)?.[1] ?? '', count],
    ),
  )
}

async function checkBilling(
  t: Test,
  world: World,
  sessionId: string,
  leftAtMs: number,
): Promise<StreamRecord> {
  const stream = await world.emulator.waitForStream(
    record => record.sessionId === sessionId && !record.isLive,
  )
  if (Math.abs((stream.closedAtMs ?? Infinity) - leftAtMs) > MAX_BILLED_MS)
    t.fail('the stream outlives its client')
  return stream
}

t.test('CL-01 reset before the request is complete', async t => {
  const relay = await startRelay(t, { endpoint: 'ws://127.0.0.1:9' })
  const sockets = countSockets()
  await many(async () => {
    const raw = await RawSocket.connect(relay.port)
    raw.write('GET /v1/stream HTTP/1.1\r\nHost: relay.test\r\nUpgr')
    await reset({ raw })
  })
  t.strictSame(await checkClean(t, relay, sockets, 0), {})
})

t.test('CL-01 reset while it is decided who may come in', async t => {
  const arrivals = new net.Server()
  const relay = await startRelay(
    t,
    { endpoint: 'ws://127.0.0.1:9' },
    {
      authorize: () => {
        arrivals.emit('arrival')
        return new Promise(() => undefined)
      },
    },
  )
  const sockets = countSockets()
  for (let client = 0; client < CLIENTS_PER_STATE; client++) {
    const raw = await RawSocket.connect(relay.port)
    const arrived = new Promise(resolve => arrivals.once('arrival', resolve))
    void raw.handshake().catch(() => undefined)
    await arrived
    await reset({ raw })
  }
  t.strictSame(await checkClean(t, relay, sockets, 0), {})
  const handshakes = growth(new Map(), await relay.scrape(), ['handshakes_total'])
  t.strictSame(handshakes, {
    'handshakes_total{outcome="rejected",reason="client_closed"}': CLIENTS_PER_STATE,
  })
})

t.test('CL-01 reset before Configure', async t => {
  const relay = await startRelay(t, { endpoint: 'ws://127.0.0.1:9' })
  const sockets = countSockets()
  await many(async () => reset(await open(relay, '/v1/stream?configure=true')))
  t.strictSame(await checkClean(t, relay, sockets, CLIENTS_PER_STATE), { tcp_reset: CLIENTS_PER_STATE })
})

t.test('CL-01 reset while the upstream is being opened', async t => {
  const upstreams: net.Socket[] = []
  const silent = net.createServer(socket => {
    upstreams.push(socket)
    socket.resume()
    silent.emit('upstream')
  })
  silent.setMaxListeners(AT_ONCE)
  const port = await listen(t, silent)
  const relay = await startRelay(t, { ...ANY_SPEED, endpoint: `ws://127.0.0.1:${port}` })
  const sockets = countSockets()
  let opened = 0
  await many(async () => {
    const client = await open(relay)
    client.raw.write(audioFrames)
    opened += 1
    const wanted = opened
    while (upstreams.length < wanted) await new Promise(resolve => silent.once('upstream', resolve))
    await reset(client)
  })
  t.strictSame(await checkClean(t, relay, sockets, CLIENTS_PER_STATE), { tcp_reset: CLIENTS_PER_STATE })
})

t.test('CL-01 reset while audio flows', async t => {
  const world = await startWorld(t)
  const sockets = countSockets()
  await many(async () => {
    const client = await open(world)
    client.raw.write(audioFrames)
    await world.emulator.waitForStream(
      record => record.sessionId === client.sessionId && record.audioBytes === pcm.length,
    )
    await reset(client)
    const stream = await checkBilling(t, world, client.sessionId, Date.now())
    if (!stream.isEnded) t.fail('the service is told that the audio is over')
  })
  t.strictSame(await checkClean(t, world, sockets, CLIENTS_PER_STATE), { tcp_reset: CLIENTS_PER_STATE })
})

t.test('CL-01 reset while the last results are awaited', async t => {
  const world = await startWorld(t, {
    emulator: { faults: { rules: [{ action: { do: 'delayFinals', delayMs: 60_000 } }] } },
  })
  const sockets = countSockets()
  await many(async () => {
    const client = await open(world)
    client.raw.write(Buffer.concat([audioFrames, closeStream]))
    await world.emulator.waitForStream(record => record.sessionId === client.sessionId && record.isEnded)
    await reset(client)
    await checkBilling(t, world, client.sessionId, Date.now())
  })
  t.strictSame(await checkClean(t, world, sockets, CLIENTS_PER_STATE), { tcp_reset: CLIENTS_PER_STATE })
})

t.test('CL-02 a FIN without a Close frame', async t => {
  const world = await startWorld(t)
  const sockets = countSockets()
  await withNeighbour(t, world, async () => {
    const client = await open(world)
    client.raw.write(audioFrames)
    await world.emulator.waitForStream(
      record => record.sessionId === client.sessionId && record.audioBytes === pcm.length,
    )
    client.raw.tcp.end()
    t.match(await client.raw.readEnd(), { closeFrame: null })
    t.match(await checkBilling(t, world, client.sessionId, Date.now()), { isEnded: true })
    t.match(await world.log.waitFor('session ended', client.sessionId), {
      reason: 'tcp_fin',
      class: 'client_gone',
    })
  })
  t.strictSame(await checkClean(t, world, sockets, 2), { tcp_fin: 1, normal: 1 })
})

t.test('a Close frame in the middle of the audio is answered, and ends the stream', async t => {
  const world = await startWorld(t)
  const sockets = countSockets()
  await withNeighbour(t, world, async () => {
    const client = await open(world)
    client.raw.write(audioFrames)
    await world.emulator.waitForStream(
      record => record.sessionId === client.sessionId && record.audioBytes === pcm.length,
    )
    client.raw.send({ opcode: OPCODE.close, payload: closePayload(4000, 'bye') })
    t.ok((await client.raw.readEnd()).closeFrame, 'the Close frame is answered')
    t.match(await checkBilling(t, world, client.sessionId, Date.now()), { isEnded: true })
  })
  t.strictSame(await checkClean(t, world, sockets, 2), { client_closed: 1, normal: 1 })
})
