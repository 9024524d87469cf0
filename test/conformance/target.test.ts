/** The target of the Autobahn test suite is the listener of the product, but echoes. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { ClientSocket } from '../../src/server/client-socket.ts'
import { binary, close, text } from '../support/conformance.ts'
import { closePayload, OPCODE, RawSocket } from '../support/raw-socket.ts'
import { Cleanup } from '../support/cleanup.ts'
import { startEchoTarget, TARGET_LIMITS } from './target.ts'

const original = describeOpen()
const cleanup = new Cleanup()
t.teardown(() => cleanup.run())
const target = await startEchoTarget(cleanup)
const port = Number(new URL(target.url).port)

t.test('text and binary messages come back as they went, up to the limit', async t => {
  const raw = await RawSocket.open(port)
  const audio = randomBytes(TARGET_LIMITS.maxMessageBytes)
  raw.send(text('κόσμε'), binary(audio), text(''), binary(Buffer.alloc(0)), close(1000))
  const frames = await raw.readFrames(5)
  t.strictSame(
    frames.map(({ opcode }) => opcode),
    [OPCODE.text, OPCODE.binary, OPCODE.text, OPCODE.binary, OPCODE.close],
  )
  t.equal(frames[0]?.payload.toString(), 'κόσμε')
  t.ok(frames[1]?.payload.equals(audio))
  t.same(frames[4]?.payload, closePayload(1000))
  await raw.readEnd()
})

t.test('the rules of the listener hold: size, violations, pings', async t => {
  const long = await RawSocket.open(port)
  long.send(binary(Buffer.alloc(TARGET_LIMITS.maxMessageBytes + 1)))
  t.same((await long.readEnd()).closeFrame?.payload, closePayload(1009, 'message_too_big'))

  const wrong = await RawSocket.open(port)
  wrong.send({ ...text('Hello'), rsv: 1 })
  t.equal((await wrong.readEnd()).closeFrame, null)
  t.same(target.metrics.violations, ['invalid_frame'])

  const flood = await RawSocket.open(port)
  flood.send(...Array.from({ length: 100 }, () => ({ opcode: OPCODE.ping })))
  t.same((await flood.readEnd()).closeFrame?.payload, closePayload(1008, 'rate_limited'))
  t.strictSame(target.failures, [])
})

t.test('nothing of it is left', async t => {
  await cleanup.run()
  t.same(describeOpen(), original)
  t.equal(describeOpen()?.value, original?.value)
  await t.rejects(RawSocket.open(port), { code: 'ECONNREFUSED' })
})

function describeOpen(): PropertyDescriptor | undefined {
  return Object.getOwnPropertyDescriptor(ClientSocket.prototype, 'socketOnOpen')
}
