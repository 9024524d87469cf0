/** `stream` at something that closes politely, but too early. */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { WebSocketServer } from 'ws'
import { startCli } from '../support/cli.ts'

t.test('a close with 1000 without End is a failure, whether all audio was sent or not', async t => {
  const folder = t.testdir({ 'a.raw': Buffer.alloc(32_000) })
  for (const when of ['audio', 'CloseStream'] as const) {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    t.teardown(() => server.close())
    await once(server, 'listening')
    server.on('connection', socket => {
      socket.send('{"type":"Begin","session_id":"s"}')
      socket.on('message', (_data, isBinary) => {
        if (isBinary === (when === 'audio')) socket.close(1000)
      })
    })
    const { port } = server.address() as AddressInfo
    const url = `ws://127.0.0.1:${port}/v1/stream`
    const { code, stderr } = await startCli(['stream', join(folder, 'a.raw'), '--url', url]).result
    t.equal(code, 1, `after ${when}`)
    t.match(stderr, /^error connection_closed \(close 1000\): .*did not end it before\.\nretryable: yes/m)
  }
})
