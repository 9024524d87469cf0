/**
 * RFC 6455 as seen from the wire, case by case under the numbers of the Autobahn test suite, against the real route.
 *
 * Where the native library departs from the RFC the departure is pinned, so that a later version that mends it is
 * noticed: violations drop the connection without a Close frame (Autobahn's section 3 to 7 would have 1002 and 1007), the
 * mask bit is not checked (RFC 6455 §5.1), a binary frame inside an unfinished binary message is joined to it (§5.4), and
 * client close codes 1012–1014 and 3000–3999 count as invalid (§7.4).
 *
 * Every case runs beside a neighbour, whose session must stay byte-exact both ways.
 */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import { sha256 } from '../support/client-server.ts'
import {
  binary,
  concatFrames,
  ConformanceBench,
  fragments,
  ping,
  text,
  writeUntilDropped,
} from '../support/conformance.ts'
import type { FrameFields } from '../support/raw-socket.ts'
import { closePayload, encodeFrame, OPCODE, RawSocket } from '../support/raw-socket.ts'

const LIMIT_BYTES = 64 * 1024
const NATIVE_LIMIT_BYTES = 4 * LIMIT_BYTES

const bench = await ConformanceBench.start()

// ── 1: sizes ────────────────────────────────────────────────────────────────────────────────────────────────────────

const SIZES = [0, 125, 126, 127, 128, 65_535, 65_536]

bench.conformance(
  '1.2.1–1.2.7',
  'binary messages of every length form are counted exactly',
  async (test, { raw, session }) => {
    for (const [index, size] of SIZES.entries()) {
      const audio = randomBytes(size)
      raw.send(binary(audio))
      await session.whenMessages(index + 1)
      test.same(
        session.messages.at(-1),
        { kind: 'audio', bytes: size, sha256: sha256(audio) },
        `${size} bytes`,
      )
    }
  },
)

bench.conformance(
  '1.2.8',
  'a binary message chopped into 997 bytes is one message',
  async (test, { raw, session }) => {
    const audio = randomBytes(65_536)
    await raw.writeChopped(encodeFrame(binary(audio)), 997)
    await session.whenMessages(1)
    test.same(session.messages, [{ kind: 'audio', bytes: 65_536, sha256: sha256(audio) }])
  },
)

bench.conformance(
  '1.1.1–1.1.7',
  'text messages of every length form arrive as text',
  async (test, { raw, session }) => {
    for (const [index, size] of SIZES.entries()) {
      raw.send(text('*'.repeat(size)))
      await session.whenMessages(index + 1)
      test.equal(session.texts.at(-1), '*'.repeat(size), `${size} bytes`)
    }
  },
)

bench.conformance(
  '1.1.8',
  'a text message chopped into 997 bytes is one message',
  async (test, { raw, session }) => {
    await raw.writeChopped(encodeFrame(text('*'.repeat(65_536))), 997)
    await session.whenMessages(1)
    test.same(session.texts, ['*'.repeat(65_536)])
  },
)

// ── 2: pings ────────────────────────────────────────────────────────────────────────────────────────────────────────

const PINGS = [
  '',
  'Hello, world!',
  Buffer.from([0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff]),
  Buffer.alloc(125, 0xfe),
]

bench.conformance(
  '2.1–2.4',
  'a ping is answered with its payload, and audio is not touched',
  async (test, { raw, session }) => {
    const audio = randomBytes(3200)
    for (const payload of PINGS) raw.send(ping(payload), binary(audio))
    const pongs = await raw.readFrames(PINGS.length)
    test.same(
      pongs.map(({ opcode, payload }) => [opcode, payload]),
      PINGS.map(payload => [OPCODE.pong, Buffer.from(payload)]),
    )
    await session.whenMessages(PINGS.length)
    test.ok(session.messages.every(message => message.sha256 === sha256(audio)))
  },
)

bench.conformance('2.5', 'a ping of 126 bytes drops the connection', async (test, peer) => {
  peer.raw.send(ping(Buffer.alloc(126, 0xfe)))
  await bench.expectDrop(test, peer, 'invalid_frame')
})

bench.conformance('2.6', 'a ping that comes byte by byte is answered', async (test, { raw }) => {
  await raw.writeChopped(encodeFrame(ping(Buffer.alloc(125, 0xfe))), 1)
  const [pong] = await raw.readFrames(1)
  test.same(pong?.payload, Buffer.alloc(125, 0xfe))
})

bench.conformance('2.7–2.9', 'a pong nobody asked for is ignored', async (test, { raw, session }) => {
  raw.send({ opcode: OPCODE.pong }, { opcode: OPCODE.pong, payload: 'unsolicited' }, ping('asked'))
  const [pong] = await raw.readFrames(1)
  test.equal(pong?.payload.toString(), 'asked')
  test.same(session.messages, [])
})

bench.conformance(
  '2.10–2.11',
  'ten pings, whole and byte by byte, are answered in order',
  async (test, { raw }) => {
    const pings = Array.from({ length: 10 }, (_, index) => ping(`payload-${index}`))
    raw.send(...pings)
    await raw.writeChopped(concatFrames(pings), 1)
    const pongs = await raw.readFrames(20)
    const expected = pings.map(({ payload }) => String(payload))
    test.same(
      pongs.map(({ payload }) => payload.toString()),
      [...expected, ...expected],
    )
  },
)

// ── 3, 4: reserved bits and opcodes ─────────────────────────────────────────────────────────────────────────────────

const RESERVED_BITS: readonly {
  id: string
  frame: FrameFields
  isAfterText: boolean
  chop: number | null
}[] = [
  { id: '3.1', frame: { ...text('Hello'), rsv: 1 }, isAfterText: false, chop: null },
  { id: '3.2', frame: { ...text('Hello'), rsv: 2 }, isAfterText: true, chop: null },
  { id: '3.3', frame: { ...text('Hello'), rsv: 3 }, isAfterText: true, chop: 11 },
  { id: '3.4', frame: { ...text('Hello'), rsv: 4 }, isAfterText: true, chop: 1 },
  { id: '3.5', frame: { ...binary(Buffer.alloc(8, 0xff)), rsv: 5 }, isAfterText: false, chop: null },
  { id: '3.6', frame: { ...ping('Hello'), rsv: 6 }, isAfterText: false, chop: null },
  { id: '3.7', frame: { opcode: OPCODE.close, rsv: 7 }, isAfterText: false, chop: null },
  { id: '12.x/13.x', frame: { ...binary(Buffer.alloc(8)), rsv: 4 }, isAfterText: false, chop: null },
]

for (const { id, frame, isAfterText, chop } of RESERVED_BITS) {
  bench.conformance(id, `reserved bits ${frame.rsv} drop the connection`, async (test, peer) => {
    const frames = isAfterText ? [text('before'), frame, ping()] : [frame]
    await writeUntilDropped(peer, frames, chop)
    await bench.expectDrop(test, peer, 'invalid_frame')
    test.same(peer.session.texts, isAfterText ? ['before'] : [], 'only what came before is delivered')
  })
}

const RESERVED_OPCODES = [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]

for (const [index, opcode] of RESERVED_OPCODES.entries()) {
  const id = `4.${index < 5 ? 1 : 2}.${(index % 5) + 1}`
  bench.conformance(id, `reserved opcode ${opcode} drops the connection`, async (test, peer) => {
    const isAfterText = index % 5 >= 2
    const frame = { opcode, payload: index % 5 === 0 ? '' : 'reserved opcode payload' }
    await writeUntilDropped(
      peer,
      isAfterText ? [text('before'), frame, ping()] : [frame],
      index % 5 === 4 ? 1 : null,
    )
    await bench.expectDrop(test, peer, 'invalid_frame')
    test.same(peer.session.texts, isAfterText ? ['before'] : [])
  })
}

// ── 9: large messages ───────────────────────────────────────────────────────────────────────────────────────────────

for (const opcode of [OPCODE.text, OPCODE.binary]) {
  for (const size of [LIMIT_BYTES + 1, NATIVE_LIMIT_BYTES]) {
    bench.conformance(
      '9.x',
      `a message of ${size} bytes (opcode ${opcode}) is told 1009`,
      async (test, { raw, session }) => {
        raw.send({ opcode, payload: Buffer.alloc(size, 0x2a) })
        await session.whenClosed()
        const { closeFrame } = await raw.readEnd()
        test.same(session.oversizes, [size])
        test.same(session.messages, [])
        test.equal(raw.frames[0]?.payload.toString(), '{"type":"Error","code":"message_too_big"}')
        test.same(closeFrame?.payload, closePayload(1009, 'message_too_big'))
      },
    )
  }
}

for (const size of [NATIVE_LIMIT_BYTES + 1, 16 * 1024 * 1024, 2 ** 31, Number.MAX_SAFE_INTEGER]) {
  bench.conformance(
    '9.x',
    `a message that claims ${size} bytes drops the connection unread`,
    async (test, peer) => {
      const before = process.memoryUsage().rss
      peer.raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(1024), claimedLength: size })
      await bench.expectDrop(test, peer, 'too_big_native')
      test.ok(process.memoryUsage().rss - before < 16 * 1024 * 1024, 'nothing of that size is allocated')
    },
  )
}

bench.conformance('9.x', 'fragments that add up to too much drop the connection', async (test, peer) => {
  const piece = Buffer.alloc(60_000)
  const frames = fragments(OPCODE.binary, [piece, piece, piece, piece, piece, piece])
  await writeUntilDropped(peer, frames, 65_536)
  await bench.expectDrop(test, peer, 'too_big_native')
  test.same(peer.session.messages, [])
})

// ── 12, 13: compression ─────────────────────────────────────────────────────────────────────────────────────────────

const DEFLATE_OFFERS = [
  'permessage-deflate',
  'permessage-deflate; client_max_window_bits',
  'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9',
  'permessage-deflate; server_max_window_bits=99, x-unknown; a=b',
]

t.test('12.x/13.x: no extension is ever accepted', async test => {
  for (const offer of DEFLATE_OFFERS) {
    const raw = await RawSocket.connect(bench.relay.port)
    const answer = await raw.handshake({ headers: { 'sec-websocket-extensions': offer } })
    test.equal(answer.status, 101)
    test.notOk(answer.headers.has('sec-websocket-extensions'), offer)
    raw.destroy()
  }
  await bench.checkNeighbour(test)
})

// ── masking, not in Autobahn ────────────────────────────────────────────────────────────────────────────────────────

bench.conformance(
  '5.1 of the RFC',
  'an unmasked frame is misread as a shorter one, a deviation',
  async (test, { raw, session }) => {
    // The first four bytes of the payload are taken for the mask, so four bytes are missing at the end.
    raw.send({ opcode: OPCODE.binary, payload: Buffer.alloc(8, 0), mask: null }, ping('swallowed in part'))
    await session.whenMessages(1)
    test.equal(session.audio[0]?.length, 8)
    test.same(session.audio[0]?.subarray(0, 4), Buffer.alloc(4))
    raw.reset()
    await session.whenClosed()
  },
)

const ENDS_OF_GARBAGE: readonly string[] = [...VIOLATION_CODES, 'client_closed', 'tcp_fin', 'tcp_reset']

const SEED = randomBytes(4).readUInt32LE()

t.test(`a peer of nothing but random bytes ends alone (seed ${SEED})`, async test => {
  const random = randomGenerator(SEED)
  for (let round = 0; round < 50; round++) {
    const bytes = Buffer.from(Array.from({ length: 2048 }, () => Math.floor(random() * 256)))
    const peer = await bench.connectPeer()
    peer.raw.write(bytes)
    peer.raw.tcp.end()
    const { code } = await peer.session.whenClosed()
    test.ok(ENDS_OF_GARBAGE.includes(code), `round ${round} ends with ${code}`)
  }
  await bench.checkNeighbour(test)
})

/** Mulberry32: small, and the same everywhere. Numbers in [0, 1). */
function randomGenerator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

bench.finish()
