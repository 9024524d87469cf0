/**
 * Clients that flood: pings, empty messages, empty fragments, sessions. Each is ended for what it did, or does no harm, and
 * the client next to it goes on.
 */
import t, { type Test } from 'tap'
import type { ErrorCode } from '../../src/errors.ts'
import { withNeighbour } from '../support/fault-watch.ts'
import { knock } from '../support/knock.ts'
import { encodeFrame, OPCODE, RawSocket, type FrameFields, type RawEnd } from '../support/raw-socket.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const MAX_GROWTH_BYTES = 64 * 1024 * 1024
/** What is written at once; the kernel holds about as much. */
const BATCH_FRAMES = 5000

/** Sends the frame again and again until the connection is over, and reads what comes of it. */
async function flood(raw: RawSocket, frame: FrameFields): Promise<RawEnd> {
  const batch = Buffer.concat(Array.from({ length: BATCH_FRAMES }, () => encodeFrame(frame)))
  const ended = raw.readEnd()
  while (raw.end === null) {
    const taken = new Promise<void>(resolve => raw.tcp.write(batch, () => resolve()))
    await Promise.race([taken, ended])
    await new Promise(resolve => setImmediate(resolve))
  }
  return ended
}

async function openVictim(t: Test, world: World): Promise<RawSocket> {
  const raw = await RawSocket.open(world.port)
  t.teardown(() => raw.destroy())
  raw.send({ opcode: OPCODE.binary, payload: noise(0.1, 3) })
  return raw
}

/** The victim reads only what was sent before its own flood met the close, so the log is asked. */
async function expectFloodEnd(t: Test, world: World, frame: FrameFields, code: ErrorCode): Promise<void> {
  await withNeighbour(t, world, async () => {
    const rssBytes = process.memoryUsage().rss
    const ends = world.log.of('session ended').length
    await flood(await openVictim(t, world), frame)
    while (world.log.of('session ended').length === ends) await world.log.next()
    t.match(world.log.of('session ended').at(-1), { reason: code })
    t.ok(process.memoryUsage().rss - rssBytes < MAX_GROWTH_BYTES, 'memory is bounded')
  })
}

t.test('CL-12 a flood of pings or pongs ends its session, and pings in reason do not', async t => {
  const world = await startWorld(t)
  await expectFloodEnd(t, world, { opcode: OPCODE.ping, payload: 'x'.repeat(125) }, 'rate_limited')
  await expectFloodEnd(t, world, { opcode: OPCODE.pong }, 'rate_limited')
  await withNeighbour(t, world, async () => {
    const raw = await RawSocket.open(world.port)
    t.teardown(() => raw.destroy())
    const payloads = Array.from({ length: 20 }, (_, index) => `ping ${index}`)
    raw.send(...payloads.map(payload => ({ opcode: OPCODE.ping, payload })))
    const pongs = () => raw.frames.filter(({ opcode }) => opcode === OPCODE.pong)
    while (pongs().length < payloads.length) await raw.readFrames(raw.frames.length + 1)
    t.strictSame(
      pongs().map(({ payload }) => payload.toString()),
      payloads,
    )
    raw.send({ opcode: OPCODE.ping })
    const { closeFrame } = await raw.readEnd()
    t.equal(closeFrame?.payload.readUInt16BE(), 4429, 'one more is told why')
    t.match(JSON.parse(String(raw.frames.findLast(({ opcode }) => opcode === OPCODE.text)?.payload)), {
      code: 'rate_limited',
      message: 'A client may send 10 pings a second.',
    })
  })
})

t.test('CL-13 empty fragments are seen by nobody: the silence of their client ends it', async t => {
  const world = await startWorld(t, { relay: { silence: 'end', audioTimeoutMs: 1000 } })
  const neighbour = await world.connect()
  await neighbour.waitFor('Begin')
  const spoken: Buffer[] = []
  const speaking = setInterval(() => {
    spoken.push(noise(0.1, spoken.length))
    neighbour.send(spoken.at(-1) ?? Buffer.alloc(0))
  }, 100)
  const raw = await openVictim(t, world)
  raw.send({ opcode: OPCODE.binary, payload: '', fin: false })
  const startedMs = performance.now()
  await flood(raw, { opcode: OPCODE.continuation, payload: '', fin: false })
  t.ok(performance.now() - startedMs < 15_000, 'within 15 s')
  clearInterval(speaking)
  t.match(await world.log.waitFor('session ended'), { reason: 'audio_timeout', audio_bytes: 3200 })
  t.match(await neighbour.finish(), { code: 1000 })
  t.equal(
    (await world.streamOf(neighbour)).sha256,
    sha256(Buffer.concat(spoken)),
    'the neighbour arrives whole',
  )
})

t.test('CL-14 a flood of empty messages is counted like any other', async t => {
  const world = await startWorld(t, { relay: { messagesPerSecond: 100 } })
  await expectFloodEnd(t, world, { opcode: OPCODE.binary }, 'rate_limited')
})

t.test(
  'CL-15 a silent client: its session ends, is filled, or waits at no cost, as the operator says',
  async t => {
    const ending = await startWorld(t, { relay: { silence: 'end', audioTimeoutMs: 1000, tickMs: 10 } })
    const ended = await ending.connect()
    t.match(await ended.closed, { code: 4408, reason: 'audio_timeout' })
    const filling = await startWorld(t, {
      relay: { silence: 'fill', audioTimeoutMs: 1000, silenceFillMaxMs: 500, tickMs: 10 },
    })
    const filled = await filling.connect()
    filled.send(noise(0.1, 1))
    t.match(await filled.closed, { code: 4408, reason: 'audio_timeout' }, 'what may be filled is used up')
    t.ok((await filling.streamOf(filled)).audioBytes > 3200)
    const parking = await startWorld(t, { relay: { parkAfterMs: 500, tickMs: 10 } })
    const parked = await parking.connect()
    parked.send(noise(0.1, 1))
    await parking.endOf(1)
    parked.send(noise(0.1, 2))
    t.match(await parked.finish(), { code: 1000 })
    t.equal(parking.emulator.connectionCount, 2)
  },
)

t.test('CL-18 limits of an address and of the process, with the time to wait', async t => {
  const world = await startWorld(t, { relay: { addressSessions: 2, maxSessions: 10 } })
  await withNeighbour(t, world, async () => {
    t.equal((await knock(t, world.port)).answer.status, 101)
    const third = await knock(t, world.port)
    t.strictSame(
      [third.answer.status, third.code, third.answer.headers.get('retry-after')],
      [429, 'session_limit', '5'],
    )
  })
  const full = await startWorld(t, { relay: { maxSessions: 2 } })
  await withNeighbour(t, full, async () => {
    t.equal((await knock(t, full.port)).answer.status, 101)
    const third = await knock(t, full.port)
    t.strictSame(
      [third.answer.status, third.code, third.answer.headers.get('retry-after')],
      [503, 'overloaded', '2'],
    )
  })
})
