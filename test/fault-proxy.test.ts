/** The bad network of the fault tests does what it says, and nothing else. */
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startFaultProxy, type ProxiedConnection, type FaultProxyOptions } from './support/fault-proxy.ts'
import { createRandom } from './support/random.ts'
import { noise } from './support/speech.ts'
import { listen } from './support/upstream-server.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

interface Line {
  readonly client: Socket
  readonly far: Socket
  readonly connection: ProxiedConnection
  readonly proxyPort: number
}

/** A client and a server that only holds its end, with the proxy between them. */
async function connect(t: Test, options: Omit<FaultProxyOptions, 'targetPort'> = {}): Promise<Line> {
  const server = net.createServer({ allowHalfOpen: true })
  const targetPort = await listen(t, server)
  const { port, proxy } = await startFaultProxy(t, { targetPort, ...options })
  const arrived = once(server, 'connection') as Promise<[Socket]>
  const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  client.on('error', () => undefined)
  t.teardown(() => client.destroy())
  const [far] = await arrived
  const [connection] = proxy.connections
  if (connection === undefined) throw new Error('no connection')
  return { client, far, connection, proxyPort: port }
}

async function readBytes(socket: Socket, bytes: number): Promise<{ data: Buffer; pieces: number }> {
  const parts: Buffer[] = []
  let count = 0
  while (count < bytes) {
    const [part] = (await once(socket, 'data')) as [Buffer]
    parts.push(part)
    count += part.length
  }
  return { data: Buffer.concat(parts), pieces: parts.length }
}

t.test(`bytes arrive whole and in order in any weather, both ways, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  for (const weather of [
    {},
    { latencyMs: 20, jitterMs: 20 },
    { sliceBytes: 5000 },
    { bytesPerSecond: 2_000_000, latencyMs: 5, jitterMs: 5, sliceBytes: 20_000 },
  ]) {
    const { client, far, connection } = await connect(t, { seed, weather })
    const sent = noise(4, Math.floor(random() * 1000))
    const back = sent.subarray(0, 50_001)
    const arrived = Promise.all([readBytes(far, sent.length), readBytes(client, back.length)])
    client.write(sent)
    far.write(back)
    const [there, here] = await arrived
    t.ok(there.data.equals(sent), JSON.stringify(weather))
    t.ok(here.data.equals(back))
    t.equal(connection.sentBytes, sent.length)
    t.equal(connection.receivedBytes, back.length)
    client.end()
    await once(far.resume(), 'end')
    far.end()
    await once(client.resume(), 'close')
  }
})

t.test('latency, bandwidth and slices can be seen, and changed while it runs', async t => {
  const { client, far, connection } = await connect(t)
  connection.setWeather({ latencyMs: 80 })
  const startedMs = performance.now()
  client.write('late')
  await readBytes(far, 4)
  t.ok(performance.now() - startedMs >= 79, 'latency')
  connection.setWeather({ latencyMs: 0, bytesPerSecond: 100_000 })
  const narrowMs = performance.now()
  client.write(Buffer.alloc(10_000))
  await readBytes(far, 10_000)
  t.ok(performance.now() - narrowMs >= 99, 'bandwidth')
  connection.setWeather({ bytesPerSecond: Infinity, sliceBytes: 10 })
  client.write(Buffer.alloc(1000))
  const { pieces } = await readBytes(far, 1000)
  t.ok(pieces > 20, `${pieces} pieces`)
})

t.test('a stall holds everything back until it ends, with a bounded amount in between', async t => {
  const { client, far, connection, proxyPort } = await connect(t)
  connection.stall()
  const sent = Buffer.alloc(64 * 1024 * 1024, 7)
  t.notOk(client.write(sent))
  // Another connection is served meanwhile: whatever was to come through has come.
  client.write(sent.subarray(0, 1))
  const other = net.connect(proxyPort, '127.0.0.1')
  await once(other, 'connect')
  other.destroy()
  t.equal(connection.sentBytes, 0)
  connection.resume()
  t.equal((await readBytes(far, sent.length + 1)).data.length, sent.length + 1)
})

t.test('half-open: both sides talk into the void and hear of no end', async t => {
  const { client, far, connection } = await connect(t)
  client.write('before')
  await readBytes(far, 6)
  connection.halfOpen()
  far.on('data', () => t.fail('the target was told something'))
  far.on('end', () => t.fail('the target was told of the end'))
  client.on('data', () => t.fail('the client was told something'))
  client.on('end', () => t.fail('the client was told of the end'))
  await new Promise(resolve => client.write(Buffer.alloc(4_000_000), resolve))
  await new Promise(resolve => far.write('anybody there', resolve))
  client.end()
  await once(client, 'finish')
  t.equal(connection.sentBytes, 6)
})

t.test('reset and fin look like that from both ends', async t => {
  const cut = await connect(t)
  const errors = Promise.all([once(cut.client, 'error'), once(cut.far, 'error')])
  cut.connection.reset()
  for (const [error] of await errors) t.match(error, { code: 'ECONNRESET' })

  const ended = await connect(t)
  const ends = Promise.all([once(ended.client.resume(), 'end'), once(ended.far.resume(), 'end')])
  ended.connection.fin()
  t.equal((await ends).length, 2)
})

t.test('a target that is not there is a reset for the client', async t => {
  const gone = net.createServer()
  const targetPort = await listen(t, gone)
  gone.close()
  const { port, proxy } = await startFaultProxy(t, { targetPort })
  const closed = once(proxy.events, 'close')
  const client = net.connect(port, '127.0.0.1')
  const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
  await closed
  t.equal(proxy.connections.size, 0)
})
