import { once } from 'node:events'
import type net from 'node:net'
import t from 'tap'
import type { Test } from 'tap'
import type { WebSocket } from 'ws'
import { systemClock } from '../../src/clock.ts'
import type { UpstreamEnd } from '../../src/session/ports.ts'
import { Connector } from '../../src/upstream/connect.ts'
import type { OpenedConnection } from '../../src/upstream/connect.ts'
import { createWriteMemory } from '../../src/upstream/frame-writer.ts'
import { HostPings, MAX_HOSTS, MAX_SILENT, PingHost } from '../../src/upstream/host-pings.ts'
import { PresignedUrl } from '../../src/upstream/presigned-url.ts'
import { UpstreamSocket } from '../../src/upstream/upstream-socket.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startUpstream } from '../support/upstream-server.ts'

interface Pair {
  readonly clock: ManualClock
  readonly port: UpstreamSocket
  readonly peer: WebSocket
  /** The TCP socket of the peer, to send bytes that no library would. */
  readonly raw: net.Socket
  readonly opened: OpenedConnection
  readonly messages: string[]
  readonly ends: UpstreamEnd[]
  readonly ended: Promise<UpstreamEnd>
}

/** An open upstream socket and what its listener hears. */
async function openPair(
  t: Test,
  {
    pingIntervalMs = 0,
    pingHost = new PingHost(),
    onMessage = (_text: string) => {},
    maxMessageBytes = 1024 * 1024,
    /** The peer reads nothing. */
    isDeaf = false,
  } = {},
): Promise<Pair> {
  const accepted = defer<{ peer: WebSocket; raw: net.Socket }>()
  const server = await startUpstream(t, {
    onOpen(peer, raw) {
      if (isDeaf) peer.pause()
      accepted.resolve({ peer, raw })
    },
  })
  const { host, secure, url } = server.endpoint
  const connector = new Connector({ clock: systemClock, closeTimeoutMs: 1000, maxMessageBytes })
  const connected = defer<OpenedConnection>()
  connector.connect(
    { url: new PresignedUrl(url), host, secure, origin: 'http://relay', timeoutMs: 5000 },
    {
      connectOnOpen: connected.resolve,
      connectOnFailure: ({ reason }) => connected.reject(new Error(reason)),
    },
  )
  const opened = await connected.promise
  const clock = new ManualClock()
  const messages: string[] = []
  const ends: UpstreamEnd[] = []
  const ended = defer<UpstreamEnd>()
  const port = new UpstreamSocket(
    opened.webSocket,
    opened.stream,
    {
      upstreamOnMessage(message) {
        messages.push(Buffer.from(message).toString())
        onMessage(Buffer.from(message).toString())
      },
      upstreamOnClose(end) {
        ends.push(end)
        ended.resolve(end)
      },
    },
    { clock, closeTimeoutMs: 2000, pingIntervalMs, pingHost, writeMemory: createWriteMemory() },
  )
  t.teardown(() => port.terminate())
  return { clock, port, opened, messages, ends, ended: ended.promise, ...(await accepted.promise) }
}

/** Lets the loop turn until what was sent on loopback has arrived. */
async function turns(count = 3): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise(resolve => setImmediate(resolve))
}

t.test('carries messages both ways, each a frame of its own, and leaves the sender its bytes', async t => {
  const { port, peer, messages } = await openPair(t)
  const frame = Buffer.from('audio one')
  const arrived: string[] = []
  const both = defer<void>()
  peer.on('message', (data: Buffer, isBinary) => {
    t.ok(isBinary)
    arrived.push(data.toString())
    if (arrived.length === 2) both.resolve()
  })
  port.send(frame)
  port.send(new Uint8Array(Buffer.from('audio two')))
  await both.promise
  t.same(arrived, ['audio one', 'audio two'])
  t.equal(frame.toString(), 'audio one', 'masking was done in a copy: a replay may send it again')
  peer.send(Buffer.from('result'))
  peer.ping()
  await once(peer, 'pong')
  t.same(messages, ['result'])
})

t.test('a burst of frames arrives whole and in order, and is counted until it has left', async t => {
  const { port, peer, raw } = await openPair(t)
  const FRAMES = 300
  const FRAME_BYTES = 32_000
  const arrived: number[] = []
  const done = defer<void>()
  peer.on('message', (data: Buffer) => {
    arrived.push(data.readUInt32BE())
    if (arrived.length === FRAMES) done.resolve()
  })
  raw.pause()
  for (let i = 0; i < FRAMES; i += 1) {
    const frame = Buffer.alloc(FRAME_BYTES)
    frame.writeUInt32BE(i)
    port.send(frame)
  }
  t.ok(port.bufferedBytes() > 1_000_000, 'more than the kernel takes at once')
  raw.resume()
  await done.promise
  t.same(
    arrived,
    Array.from({ length: FRAMES }, (_, i) => i),
  )
  t.equal(port.bufferedBytes(), 0)
})

t.test('close says 1000, what was sent before arrives first, and the end is no error', async t => {
  const { port, peer, ended, clock, ends } = await openPair(t)
  const heard: string[] = []
  peer.on('message', (data: Buffer) => heard.push(data.toString()))
  peer.on('close', code => heard.push(String(code)))
  port.send(Buffer.from('last'))
  port.close()
  port.close()
  port.send(Buffer.from('too late'))
  t.same(await ended, { closeCode: 1000, reason: '', error: null })
  t.same(heard, ['last', '1000'])
  port.send(Buffer.from('x'))
  port.close()
  port.terminate()
  t.equal(port.bufferedBytes(), 0)
  await turns()
  t.equal(ends.length, 1, 'once')
  t.equal(clock.pendingTimers, 0)
})

t.test('results that follow our Close frame are still delivered', async t => {
  const { port, peer, raw, ended, messages } = await openPair(t)
  raw.pause()
  port.close()
  peer.send(Buffer.from('final'))
  raw.resume()
  t.match(await ended, { closeCode: 1000, error: null })
  t.same(messages, ['final'])
})

t.test('a peer that does not answer Close is cut off after the time-out', async t => {
  const { port, raw, ended, clock, ends } = await openPair(t)
  raw.pause()
  port.close()
  await turns()
  clock.advance(1999)
  t.equal(ends.length, 0)
  clock.advance(1)
  t.same(await ended, { closeCode: 1006, reason: '', error: null })
  t.equal(clock.pendingTimers, 0)
})

t.test('a peer that hangs up after our Close frame has done what was asked', async t => {
  const { port, raw, ended } = await openPair(t)
  raw.removeAllListeners('data')
  raw.on('data', () => raw.destroy())
  port.close()
  t.same(await ended, { closeCode: 1006, reason: '', error: null })
})

t.test('terminate ends at once, and tells so after the turn', async t => {
  const { port, peer, ended, ends } = await openPair(t)
  port.terminate()
  port.terminate()
  t.equal(ends.length, 0, 'not from inside the call')
  t.same(await ended, { closeCode: 1006, reason: '', error: null })
  await once(peer, 'close')
  t.equal(ends.length, 1)
})

t.test('abandoned, it tells nothing any more, sends what this turn still brings, and closes', async t => {
  const { port, peer, ends, messages } = await openPair(t)
  const heard: string[] = []
  peer.on('message', (data: Buffer) => heard.push(data.toString()))
  peer.send(Buffer.from('result'))
  port.abandon()
  port.send(Buffer.from('end of stream'))
  const [code] = await once(peer, 'close')
  t.equal(code, 1000)
  t.same(heard, ['end of stream'])
  await turns()
  t.same([ends, messages], [[], []])
})

t.test('every way in which the upstream ends is told with its code, after the results before it', async t => {
  const cases: [string, (peer: WebSocket, raw: net.Socket) => void, object][] = [
    [
      '1000',
      peer => peer.close(1000, 'Streaming completed successfully'),
      { closeCode: 1000, reason: 'Streaming completed successfully', error: null },
    ],
    ['1011', peer => peer.close(1011, 'oops'), { closeCode: 1011, reason: 'oops', error: null }],
    ['1009', peer => peer.close(1009), { closeCode: 1009, reason: '', error: null }],
    ['no code', peer => peer.close(), { closeCode: 1005, reason: '', error: null }],
    [
      'FIN',
      (_peer, raw) => raw.end(),
      { closeCode: 1006, error: { code: 'upstream_closed', detail: 'ended without a Close frame' } },
    ],
    [
      'RST',
      (_peer, raw) => raw.resetAndDestroy(),
      { closeCode: 1006, error: { code: 'upstream_closed', detail: 'ECONNRESET' } },
    ],
  ]
  for (const [name, end, expected] of cases) {
    const gotResult = defer<void>()
    const { peer, raw, ended, messages, ends, clock } = await openPair(t, {
      onMessage: () => gotResult.resolve(),
    })
    peer.send(Buffer.from('result'))
    // A reset throws away what the kernel has not delivered, so it waits for the result to be there.
    if (name === 'RST') await gotResult.promise
    end(peer, raw)
    t.match(await ended, expected, name)
    t.same(messages, ['result'], name)
    await turns()
    t.equal(ends.length, 1, name)
    t.equal(clock.pendingTimers, 0, name)
  }
})

t.test('a connection that the network gives up on is a time-out', async t => {
  const { opened, ended } = await openPair(t)
  opened.stream.destroy(Object.assign(new Error('read ETIMEDOUT'), { code: 'ETIMEDOUT' }))
  t.match(await ended, { closeCode: 1006, error: { code: 'upstream_timeout', detail: 'ETIMEDOUT' } })
})

t.test('what is no event stream over WebSocket ends with upstream_protocol', async t => {
  const header20MiB = Buffer.alloc(10)
  header20MiB.writeUInt16BE(0x827f)
  header20MiB.writeBigUInt64BE(20n * 1024n * 1024n, 2)
  const fragments = Buffer.concat([
    Buffer.from([0x02, 0x01, 0x61]),
    ...Array.from({ length: 2000 }, () => Buffer.from([0x00, 0x01, 0x61])),
  ])
  const cases: [string, Buffer, string][] = [
    ['text', Buffer.from([0x81, 0x02, 0x68, 0x69]), 'a text message'],
    ['20 MiB', header20MiB, 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'],
    ['compressed', Buffer.from([0xc2, 0x01, 0x61]), 'WS_ERR_UNEXPECTED_RSV_1'],
    ['fragments', fragments, 'WS_ERR_TOO_MANY_BUFFERED_PARTS'],
    ['masked', Buffer.from([0x82, 0x81, 1, 2, 3, 4, 5]), 'WS_ERR_UNEXPECTED_MASK'],
    ['opcode', Buffer.from([0x83, 0x00]), 'WS_ERR_INVALID_OPCODE'],
    ['close code', Buffer.from([0x88, 0x02, 0x03, 0xed]), 'WS_ERR_INVALID_CLOSE_CODE'],
  ]
  for (const [name, bytes, detail] of cases) {
    const { raw, ended, messages, ends, clock } = await openPair(t)
    raw.write(bytes)
    t.match(await ended, { closeCode: 1006, error: { code: 'upstream_protocol', detail } }, name)
    await turns()
    t.same([messages, ends.length, clock.pendingTimers], [[], 1, 0], name)
  }
})

t.test('a fragmented message arrives whole', async t => {
  const got = defer<string>()
  const { raw } = await openPair(t, { onMessage: got.resolve })
  raw.write(Buffer.from([0x02, 0x01, 0x61, 0x00, 0x01, 0x62, 0x80, 0x01, 0x63]))
  t.equal(await got.promise, 'abc')
})

t.test('a listener that throws ends its own stream and nothing else', async t => {
  const bug = new Error('bug')
  const { peer, ended } = await openPair(t, {
    onMessage() {
      throw bug
    },
  })
  peer.send(Buffer.from('one'))
  peer.send(Buffer.from('two'))
  t.match(await ended, { closeCode: 1006, error: { code: 'internal', cause: bug } })
})

t.test('pings find a dead peer, if it has answered one before', async t => {
  const { raw, ended, clock, ends, opened } = await openPair(t, { pingIntervalMs: 10_000 })
  clock.advance(10_000)
  await once(opened.webSocket, 'pong')
  raw.pause()
  clock.advance(10_000)
  clock.advance(10_000)
  await turns()
  t.equal(ends.length, 0)
  clock.advance(10_000)
  t.match(await ended, { closeCode: 1006, error: { code: 'upstream_timeout', detail: 'no pong' } })
  t.equal(clock.pendingTimers, 0)
})

t.test('a peer that has never answered a ping is not judged by it, nor is one that closes', async t => {
  const { raw, clock, ends, port, ended } = await openPair(t, { pingIntervalMs: 10_000 })
  raw.pause()
  clock.advance(100_000)
  await turns()
  t.equal(ends.length, 0)
  port.close()
  clock.advance(1000)
  raw.resume()
  t.match(await ended, { closeCode: 1000 })
})

t.test(
  'one that is dead from the start is found, if its host has answered on another connection',
  async t => {
    const pingHost = new PingHost()
    const { opened } = await openPair(t, { pingIntervalMs: 10_000, pingHost })
    await once(opened.webSocket, 'pong')
    t.ok(pingHost.isAnswering)
    const dead = await openPair(t, { pingIntervalMs: 10_000, pingHost, isDeaf: true })
    dead.clock.advance(10_000)
    await turns()
    t.equal(dead.ends.length, 0)
    dead.clock.advance(10_000)
    t.match(await dead.ended, { closeCode: 1006, error: { code: 'upstream_timeout', detail: 'no pong' } })
    t.equal(dead.clock.pendingTimers, 0)
    t.ok(pingHost.isAnswering, 'one dead connection says nothing about the host')
  },
)

t.test('one that speaks and does not answer is let live, and so are those after it', async t => {
  const pingHost = new PingHost()
  pingHost.connectionAnswered()
  const quiet = await openPair(t, { pingIntervalMs: 10_000, pingHost, isDeaf: true })
  const spoke = defer<void>()
  const speaking = await openPair(t, {
    pingIntervalMs: 10_000,
    pingHost,
    isDeaf: true,
    onMessage: () => spoke.resolve(),
  })
  for (const { clock } of [quiet, speaking]) clock.advance(10_000)
  t.ok(pingHost.isAnswering)
  speaking.peer.send(Buffer.from('result'))
  await spoke.promise
  t.notOk(pingHost.isAnswering)
  const next = await openPair(t, { pingIntervalMs: 10_000, pingHost, isDeaf: true })
  for (const { clock, ends } of [quiet, speaking, next]) {
    clock.advance(100_000)
    await turns()
    t.equal(ends.length, 0)
  }
  pingHost.connectionAnswered()
  next.clock.advance(10_000)
  t.equal(next.ends.length, 0, 'it was not expected to answer when it began')
})

t.test('a host that falls silent is expected to answer so often, and then no more until it does', async t => {
  const host = new PingHost()
  t.notOk(host.isAnswering)
  host.connectionAnswered()
  for (let silent = 1; silent < MAX_SILENT; silent += 1) host.connectionSilent()
  t.ok(host.isAnswering)
  host.connectionAnswered()
  host.connectionSilent()
  t.ok(host.isAnswering, 'counted in a row')
  for (let silent = 1; silent < MAX_SILENT; silent += 1) host.connectionSilent()
  t.notOk(host.isAnswering)
  host.connectionAnswered()
  t.ok(host.isAnswering)
})

t.test('hosts are told apart, and those of long ago forgotten', async t => {
  const hosts = new HostPings()
  hosts.of('a:443').connectionAnswered()
  t.strictSame([hosts.of('a:443').isAnswering, hosts.of('b:443').isAnswering], [true, false])
  for (let index = 0; index < MAX_HOSTS - 2; index += 1) hosts.of(`c${index}:443`)
  t.ok(hosts.of('a:443').isAnswering)
  for (let index = 0; index < MAX_HOSTS; index += 1) hosts.of(`d${index}:443`)
  t.notOk(hosts.of('a:443').isAnswering)
})
