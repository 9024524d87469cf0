/** Client frames as they lie on the wire (RFC 6455 §5), and the memory that they are written in. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'
import { Writable } from 'node:stream'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { Connector } from '../../src/upstream/connect.ts'
import type { OpenedConnection } from '../../src/upstream/connect.ts'
import { createWriteMemory, FrameWriter } from '../../src/upstream/frame-writer.ts'
import { PresignedUrl } from '../../src/upstream/presigned-url.ts'
import { PingHost } from '../../src/upstream/host-pings.ts'
import { UpstreamSocket } from '../../src/upstream/upstream-socket.ts'
import { makeCertificates } from '../support/certificates.ts'
import { defer } from '../support/deferred.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { createRandom } from '../support/random.ts'
import { SpoiltBuffers } from '../support/spoilt-buffers.ts'
import { startUpstream, type ServerOptions } from '../support/upstream-server.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const PING_INTERVAL_MS = 1000

interface WireFrame {
  readonly opcode: number
  readonly key: string
  readonly payload: Buffer
}

/** Every rule of §5.2 for a frame of a client without extensions. Throws for the first that is broken. */
function readWire(bytes: Buffer): WireFrame[] {
  const frames: WireFrame[] = []
  let at = 0
  while (at < bytes.length) {
    const [first = 0, second = 0] = bytes.subarray(at)
    if ((first & 0xf0) !== 0x80) throw new Error(`FIN alone must be set, got ${first}`)
    if ((second & 0x80) === 0) throw new Error('not masked')
    at += 2
    let length = second & 0x7f
    if (length === 126) {
      length = bytes.readUInt16BE(at)
      at += 2
      if (length < 126) throw new Error(`${length} fits seven bits`)
    } else if (length === 127) {
      length = Number(bytes.readBigUInt64BE(at))
      at += 8
      if (length < 65_536) throw new Error(`${length} fits two bytes`)
    }
    const key = bytes.subarray(at, at + 4)
    at += 4
    const payload = Buffer.from(bytes.subarray(at, at + length))
    if (payload.length !== length) throw new Error('the last frame is not whole')
    for (let index = 0; index < length; index += 1) {
      payload[index] = (payload[index] ?? 0) ^ (key[index % 4] ?? 0)
    }
    frames.push({ opcode: first & 0x0f, key: key.toString('hex'), payload })
    at += length
  }
  return frames
}

async function openSocket(t: Test, options: Pick<ServerOptions, 'tls'>, ca?: string) {
  const accepted = defer<net.Socket>()
  const server = await startUpstream(t, { ...options, onOpen: (_peer, raw) => accepted.resolve(raw) })
  const { host, secure, url } = server.endpoint
  const connected = defer<OpenedConnection>()
  new Connector({ clock: systemClock, closeTimeoutMs: 1000, ca }).connect(
    { url: new PresignedUrl(url), host, secure, origin: 'http://relay', timeoutMs: 5000 },
    {
      connectOnOpen: connected.resolve,
      connectOnFailure: ({ reason }) => connected.reject(new Error(reason)),
    },
  )
  const { webSocket, stream } = await connected.promise
  const raw = await accepted.promise
  const wire: Buffer[] = []
  // First and in a copy: the server unmasks in place.
  raw.prependListener('data', (bytes: Buffer) => wire.push(Buffer.from(bytes)))
  const ended = defer<void>()
  const clock = new ManualClock()
  const writeMemory = createWriteMemory()
  const port = new UpstreamSocket(
    webSocket,
    stream,
    { upstreamOnMessage: () => undefined, upstreamOnClose: () => ended.resolve() },
    { clock, closeTimeoutMs: 2000, pingIntervalMs: PING_INTERVAL_MS, pingHost: new PingHost(), writeMemory },
  )
  t.teardown(() => port.terminate())
  return {
    port,
    webSocket,
    stream,
    clock,
    raw,
    writeMemory,
    ended: ended.promise,
    wire: () => Buffer.concat(wire),
  }
}

for (const isSecure of [false, true]) {
  t.test(`over ${isSecure ? 'TLS' : 'plain TCP'}, messages are masked frames, TEST_SEED=${seed}`, async t => {
    const certificates = isSecure ? makeCertificates(t.testdir()) : null
    const { port, webSocket, clock, writeMemory, ended, wire } = await openSocket(
      t,
      certificates === null ? {} : { tls: certificates.good },
      certificates?.ca,
    )
    const random = createRandom(seed)
    const lengths = [0, 1, 125, 126, 3304, 65_535, 65_536, 70_000]
    while (lengths.length < 60) lengths.push(Math.floor(random() * 5000))
    const sent: Buffer[] = []
    for (const length of lengths) {
      const message = randomBytes(length)
      sent.push(Buffer.from(message))
      port.send(message)
      // The memory is the caller's again, at once.
      message.fill(0)
      if (random() < 0.2) {
        clock.advance(PING_INTERVAL_MS)
        await once(webSocket, 'pong')
      }
      if (random() < 0.3) await new Promise(resolve => setImmediate(resolve))
    }
    port.close()
    port.send(Buffer.from('after the close'))
    await ended
    const frames = readWire(wire())
    const data = frames.filter(({ opcode }) => opcode === 2)
    t.strictSame(
      data.map(({ payload }) => payload.length),
      lengths,
    )
    t.ok(
      data.every(({ payload }, index) => sent[index]?.equals(payload)),
      'the bytes, in order',
    )
    t.ok(
      frames.some(({ opcode }) => opcode === 9),
      'pings lie between',
    )
    t.equal(frames.at(-1)?.opcode, 8, 'the Close frame is the last')
    t.equal(new Set(data.map(({ key }) => key)).size, data.length, 'every frame has a key of its own')
    t.notOk(
      data.some(({ key }) => key === '00000000'),
      'no key that masks nothing',
    )
    t.ok(writeMemory.freeBytes > 0, 'memory came back')
  })
}

t.test('a TLS socket is offered HTTP/1.1, and keeps nothing of the pool of Node.js for it', async t => {
  const { ca, good } = makeCertificates(t.testdir())
  const { stream } = await openSocket(t, { tls: { ...good, ALPNProtocols: ['h2', 'http/1.1'] } }, ca)
  const { alpnProtocol, _tlsOptions } = stream as unknown as {
    readonly alpnProtocol: string
    readonly _tlsOptions: { readonly ALPNProtocols: Buffer }
  }
  t.equal(alpnProtocol, 'http/1.1')
  t.equal(_tlsOptions.ALPNProtocols.buffer.byteLength, '\x08http/1.1'.length)
})

t.test('nothing follows the answer to the Close frame of the peer', async t => {
  const { port, raw, wire, ended } = await openSocket(t, {})
  port.send(Buffer.from('before'))
  raw.write(Buffer.from([0x88, 2, 0x03, 0xe8]))
  await once(raw, 'end')
  port.send(Buffer.from('after'))
  raw.end()
  await ended
  const opcodes = readWire(wire()).map(({ opcode }) => opcode)
  t.strictSame(opcodes, [9, 2, 8], 'the first ping, what came before, the answer')
})

/** A socket that reports each write when it is told to, and looks at the bytes only then. */
class LateSocket extends Writable {
  readonly writes: Buffer[][] = []
  readonly flushed: Buffer[] = []
  #flush: ((error?: Error) => void) | null = null

  constructor() {
    super({ highWaterMark: 1 })
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#take([chunk], done)
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error) => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    )
  }

  #take(chunks: Buffer[], done: (error?: Error) => void): void {
    this.writes.push(chunks)
    this.#flush = error => {
      this.flushed.push(...chunks.map(chunk => Buffer.from(chunk)))
      done(error)
    }
  }

  flush(error?: Error): void {
    const flush = this.#flush
    this.#flush = null
    if (error === undefined) flush?.()
    else flush?.(error)
  }
}

t.test(`memory is used again after it was flushed, not before, TEST_SEED=${seed}`, async t => {
  for (let round = 0; round < 20; round += 1) {
    const random = createRandom(seed + round)
    const memory = new SpoiltBuffers()
    const streams = Array.from({ length: 3 }, () => {
      const socket = new LateSocket()
      return { socket, writer: new FrameWriter(socket, memory), sent: [] as Buffer[] }
    })
    for (let step = 0; step < 200; step += 1) {
      for (const { socket, writer, sent } of streams) {
        if (random() < 0.5) {
          const message = randomBytes(random() < 0.2 ? 104 : 3304)
          sent.push(message)
          writer.write(message)
        }
        if (random() < 0.3) socket.flush()
      }
      if (random() < 0.3) await new Promise(resolve => setImmediate(resolve))
    }
    for (let turn = 0; turn < 3; turn += 1) {
      for (const { socket } of streams) socket.flush()
      await new Promise(resolve => setImmediate(resolve))
    }
    let count = 0
    for (const { socket, writer, sent } of streams) {
      t.equal(writer.pendingFrames, 0)
      const arrived = readWire(Buffer.concat(socket.flushed)).map(({ payload }) => payload)
      t.ok(Buffer.concat(arrived).equals(Buffer.concat(sent)), 'every byte, in order')
      count += sent.length
    }
    t.equal(memory.givenCount, count)
  }
})

t.test('a burst is gathered by the socket, and leaves in two writes', async t => {
  const socket = new LateSocket()
  const writer = new FrameWriter(socket, createWriteMemory())
  for (let frame = 0; frame < 10; frame += 1) writer.write(Buffer.alloc(3304))
  socket.flush()
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(
    socket.writes.map(({ length }) => length),
    [1, 9],
  )
})

t.test('after an error no memory is used again', async t => {
  const socket = new LateSocket()
  const memory = new SpoiltBuffers()
  const writer = new FrameWriter(socket, memory)
  socket.on('error', () => undefined)
  for (let frame = 0; frame < 3; frame += 1) writer.write(Buffer.alloc(100))
  socket.flush(new Error('reset'))
  await new Promise<void>(resolve => socket.once('close', resolve))
  writer.write(Buffer.alloc(100))
  await new Promise(resolve => setImmediate(resolve))
  t.equal(writer.pendingFrames, 0)
  t.equal(memory.givenCount, 0)
})
