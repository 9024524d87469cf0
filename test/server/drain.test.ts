/**
 * A client that reads again, over a real socket: the native library gives up what is left of a large message sent within its
 * own drain handler, until something else is sent.
 */
import { once } from 'node:events'
import t from 'tap'
import { WebSocket } from 'ws'
import { startServer } from '../support/client-server.ts'

const PIECE = 'a'.repeat(1_000_000)
/** No ping either in the time of a test. */
const QUIET = { idleTimeoutSeconds: 960 }
/** Does not fit into the buffers of the kernel, empty or not. */
const LARGE_BYTES = 48_000_000

t.test('a large message that is sent because the client reads again arrives whole', async t => {
  const { failures, host, port } = await startServer(t, { ...QUIET, clientHardBufferBytes: 16_777_216 })
  const client = new WebSocket(`ws://127.0.0.1:${port}/v1/stream`, { maxPayload: 2 * LARGE_BYTES })
  t.teardown(() => client.terminate())
  let receivedBytes = 0
  const large = new Promise<void>(resolve => {
    client.on('message', (data: Buffer) => {
      receivedBytes += data.length
      if (data.length === LARGE_BYTES) resolve()
    })
  })
  await once(client, 'open')
  client.pause()
  const session = await host.session(0)
  let sentBytes = 0
  while (session.client.bufferedBytes() === 0) {
    session.client.sendText(PIECE)
    sentBytes += PIECE.length
  }
  session.on('drain', () => {
    if (session.client.bufferedBytes() > 0 || sentBytes >= LARGE_BYTES) return
    session.client.sendText('b'.repeat(LARGE_BYTES))
    sentBytes += LARGE_BYTES
  })
  client.resume()
  await large
  t.equal(receivedBytes, sentBytes)
  t.strictSame(failures, [])
})
