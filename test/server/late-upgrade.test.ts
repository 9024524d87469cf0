/**
 * Upgrades after something was waited for. The native `cork` reads the freed memory of the response once more when its
 * callback is over, so that whatever uses that memory meanwhile decides whether the connection stays (`#upgrade` of
 * server/app.ts). The session here uses it, with the worst that can stand there.
 */
import t from 'tap'
import { OPCODE, RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/client-server.ts'

/** What is freed of the memory of a response, on x86-64 with glibc: the first allocation of this size is given it. */
const FREED_BYTES = 72

/** In the flags of a native response: close this connection, and nothing is to be answered any more. */
const CLOSE_FLAG = 0x10

t.test('what a session allocates while it opens does not end its connection', async t => {
  const { port, host } = await startServer(t, { authorize: () => new Promise(allow => setImmediate(allow)) })
  const allocated: Buffer[] = []
  host.onOpen = () => {
    for (let nth = 0; nth < 64; nth += 1) allocated.push(Buffer.allocUnsafeSlow(FREED_BYTES).fill(CLOSE_FLAG))
  }
  for (let connection = 0; connection < 20; connection += 1) {
    const raw = await RawSocket.open(port)
    t.teardown(() => raw.destroy())
    raw.send({ opcode: OPCODE.text, payload: 'still here' })
    const session = await host.session(connection)
    await Promise.race([session.whenMessages(1), raw.readEnd()])
    t.strictSame([session.texts, session.ends], [['still here'], []])
  }
})
