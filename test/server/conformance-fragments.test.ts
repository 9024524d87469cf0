/**
 * Fragmentation on the wire (RFC 6455 §5.4), Autobahn sections 5 and 10. See `conformance.test.ts` for the rules.
 */
import { randomBytes } from 'node:crypto'
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
import { OPCODE } from '../support/raw-socket.ts'

const bench = await ConformanceBench.start()

// ── 5, 10: fragmentation ────────────────────────────────────────────────────────────────────────────────────────────

for (const [id, fields] of [
  ['5.1', { ...ping('part one'), fin: false }],
  ['5.2', { opcode: OPCODE.pong, payload: 'part one', fin: false }],
] as const) {
  bench.conformance(id, 'a fragmented control frame drops the connection', async (test, peer) => {
    peer.raw.send(fields)
    await bench.expectDrop(test, peer, 'invalid_frame')
  })
}

for (const [id, chop] of [
  ['5.3/5.6', null],
  ['5.4/5.7', 8],
  ['5.5/5.8', 1],
] as const) {
  bench.conformance(
    id,
    `fragments are one message, a ping between them is answered (pieces of ${chop})`,
    async (test, peer) => {
      const { raw, session } = peer
      const pieces = [randomBytes(100), randomBytes(1), randomBytes(299)]
      const [first, second, third] = fragments(OPCODE.binary, pieces)
      if (!first || !second || !third) throw new Error('three fragments')
      const bytes = concatFrames([
        first,
        ping('between'),
        second,
        third,
        ...fragments(OPCODE.text, ['fragment1', 'fragment2']),
      ])
      await raw.writeChopped(bytes, chop ?? bytes.length)
      await session.whenMessages(2)
      test.same(session.audio, [Buffer.concat(pieces)])
      test.same(session.texts, ['fragment1fragment2'])
      test.equal((await raw.readFrames(1))[0]?.payload.toString(), 'between')
    },
  )
}

for (const [ids, fin] of [
  ['5.9–5.11', true],
  ['5.12–5.14', false],
] as const) {
  for (const chop of [null, 8, 1]) {
    bench.conformance(
      ids,
      `a continuation of nothing drops the connection (fin ${fin}, pieces of ${chop})`,
      async (test, peer) => {
        const frames = [
          { opcode: OPCODE.continuation, payload: 'non-continuation payload', fin },
          text('Hello'),
        ]
        await writeUntilDropped(peer, frames, chop)
        await bench.expectDrop(test, peer, 'invalid_frame')
        test.same(peer.session.messages, [])
      },
    )
  }
}

bench.conformance(
  '5.15',
  'a continuation after the end of a message drops the connection',
  async (test, peer) => {
    peer.raw.send(
      ...fragments(OPCODE.text, ['fragment1', 'fragment2']),
      { opcode: OPCODE.continuation, payload: 'fragment3', fin: false },
      text('fragment4'),
    )
    await bench.expectDrop(test, peer, 'invalid_frame')
    test.same(peer.session.texts, ['fragment1fragment2'])
  },
)

for (const [id, fin] of [
  ['5.16', false],
  ['5.17', true],
] as const) {
  bench.conformance(
    id,
    `repeated continuations of nothing drop the connection (fin ${fin})`,
    async (test, peer) => {
      const round = [
        { opcode: OPCODE.continuation, payload: 'fragment1', fin },
        { opcode: OPCODE.text, payload: 'fragment2', fin: false },
        { opcode: OPCODE.continuation, payload: 'fragment3', fin: true },
      ]
      peer.raw.send(...round, ...round)
      await bench.expectDrop(test, peer, 'invalid_frame')
      test.same(peer.session.messages, [])
    },
  )
}

bench.conformance(
  '5.18',
  'text inside an unfinished text message drops the connection',
  async (test, peer) => {
    peer.raw.send({ ...text('fragment1'), fin: false }, text('fragment2'))
    await bench.expectDrop(test, peer, 'invalid_frame')
  },
)

bench.conformance(
  '5.18 (binary)',
  'binary inside an unfinished binary message is joined to it, a deviation',
  async (test, peer) => {
    peer.raw.send({ ...binary(Buffer.from('one')), fin: false }, binary(Buffer.from('two')))
    await peer.session.whenMessages(1)
    test.same(peer.session.audio, [Buffer.from('onetwo')])
  },
)

bench.conformance(
  '5.19–5.20',
  'pings between five fragments are answered before the message is whole',
  async (test, { raw, session }) => {
    const pieces = Array.from({ length: 5 }, () => randomBytes(64))
    const [first, second, ...rest] = fragments(OPCODE.binary, pieces)
    if (!first || !second) throw new Error('five fragments')
    raw.send(first, second, ping('pongme 1!'))
    await raw.readFrames(1)
    test.same(session.messages, [], 'not yet')
    raw.send(...rest, ping('pongme 2!'))
    const pongs = await raw.readFrames(2)
    test.same(
      pongs.map(({ payload }) => payload.toString()),
      ['pongme 1!', 'pongme 2!'],
    )
    test.same(session.audio, [Buffer.concat(pieces)])
  },
)

bench.conformance(
  '10.1.1',
  'a message of 64 KiB in fragments of 1300 bytes is one message',
  async (test, { raw, session }) => {
    const audio = randomBytes(65_536)
    const pieces: Buffer[] = []
    for (let start = 0; start < audio.length; start += 1300) pieces.push(audio.subarray(start, start + 1300))
    raw.send(...fragments(OPCODE.binary, pieces))
    await session.whenMessages(1)
    test.same(session.messages, [{ kind: 'audio', bytes: 65_536, sha256: sha256(audio) }])
  },
)

bench.finish()
