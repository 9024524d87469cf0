/**
 * The closing handshake on the wire (RFC 6455 §5.5.1, §7), Autobahn section 7. See `conformance.test.ts` for the rules.
 */
import { binary, close, ConformanceBench, fragments, ping, text } from '../support/conformance.ts'
import type { FrameFields } from '../support/raw-socket.ts'
import { closePayload, OPCODE } from '../support/raw-socket.ts'

const bench = await ConformanceBench.start()

// ── 7: closing ──────────────────────────────────────────────────────────────────────────────────────────────────────

const AFTER_CLOSE: readonly { id: string; after: FrameFields }[] = [
  { id: '7.1.2', after: close(1000) },
  { id: '7.1.3', after: ping() },
  { id: '7.1.4', after: text('too late') },
  { id: '7.1.4 (binary)', after: binary(Buffer.from('too late')) },
  { id: '7.1.6', after: binary(Buffer.alloc(60_000)) },
]

bench.conformance(
  '7.1.1',
  'a message before the Close frame is delivered',
  async (test, { raw, session }) => {
    raw.send(binary(Buffer.from('audio')), close(1000))
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1000 })
    test.same(session.audio, [Buffer.from('audio')])
  },
)

for (const { id, after } of AFTER_CLOSE) {
  bench.conformance(id, 'nothing is delivered after the Close frame', async (test, { raw, session }) => {
    raw.send(binary(Buffer.from('audio')), close(1000), after)
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1000 })
    const { closeFrame } = await raw.readEnd()
    test.same(closeFrame?.payload, closePayload(1000))
    test.same(session.audio, [Buffer.from('audio')])
    test.equal(raw.frames.length, 1, 'one Close frame, no pong')
  })
}

bench.conformance(
  '7.1.5',
  'a message cut by a Close frame is not delivered',
  async (test, { raw, session }) => {
    const [first, second] = fragments(OPCODE.binary, ['fragment1', 'fragment2'])
    if (!first || !second) throw new Error('two fragments')
    raw.send(first, close(1000), second)
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1000 })
    await raw.readEnd()
    test.same(session.messages, [])
  },
)

bench.conformance(
  '7.3.1',
  'an empty Close frame is answered by an empty one',
  async (test, { raw, session }) => {
    raw.send({ opcode: OPCODE.close })
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1005 })
    test.same((await raw.readEnd()).closeFrame?.payload, Buffer.alloc(0))
  },
)

bench.conformance(
  '7.3.2',
  'a Close frame of one byte is taken for an empty one, a deviation',
  async (test, { raw, session }) => {
    raw.send({ opcode: OPCODE.close, payload: Buffer.from([0x03]) })
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1005 })
    test.same((await raw.readEnd()).closeFrame?.payload, Buffer.alloc(0))
  },
)

const REASONS = { '7.3.3': '', '7.3.4': 'Hello World!', '7.3.5': '*'.repeat(123) }

for (const [id, reason] of Object.entries(REASONS)) {
  bench.conformance(
    id,
    `a Close frame with a reason of ${reason.length} bytes is echoed`,
    async (test, { raw, session }) => {
      raw.send(close(1000, reason))
      test.same(await session.whenClosed(), { code: 'client_closed', closeCode: 1000 })
      test.same((await raw.readEnd()).closeFrame?.payload, closePayload(1000, reason))
    },
  )
}

bench.conformance('7.3.6', 'a Close frame of 126 bytes drops the connection', async (test, peer) => {
  peer.raw.send(close(1000, '*'.repeat(124)))
  await bench.expectDrop(test, peer, 'invalid_frame')
})

const VALID_CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 4000, 4999]

for (const code of VALID_CLOSE_CODES) {
  bench.conformance('7.7.x', `close code ${code} is echoed`, async (test, { raw, session }) => {
    raw.send(close(code))
    test.same(await session.whenClosed(), { code: 'client_closed', closeCode: code })
    test.same((await raw.readEnd()).closeFrame?.payload, closePayload(code))
  })
}

const INVALID_CLOSES: readonly { id: string; payload: Buffer }[] = [
  {
    id: '7.5.1 reason that is not UTF-8',
    payload: closePayload(1000, Buffer.from('cebae1bdb9eda080', 'hex')),
  },
  ...[3000, 3999].map(code => ({ id: `7.7.x code ${code}, a deviation`, payload: closePayload(code) })),
  ...[1012, 1013, 1014].map(code => ({ id: `code ${code}, a deviation`, payload: closePayload(code) })),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999].map(code => ({
    id: `7.9.x code ${code}`,
    payload: closePayload(code),
  })),
  ...[5000, 65_535].map(code => ({ id: `7.13.x code ${code}`, payload: closePayload(code) })),
]

for (const { id, payload } of INVALID_CLOSES) {
  bench.conformance(
    id,
    'an invalid Close frame is answered by an empty one',
    async (test, { raw, session }) => {
      raw.send({ opcode: OPCODE.close, payload })
      test.same(await session.whenClosed(), { code: 'invalid_close', closeCode: 1006 })
      test.same((await raw.readEnd()).closeFrame?.payload, Buffer.alloc(0))
      test.equal(bench.relay.metrics.violations.at(-1), 'invalid_close')
    },
  )
}

bench.finish()
