/** Proxies in front of the relay: who is believed about the address of a client, over raw sockets and behind a real HAProxy. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { knock } from '../support/knock.ts'
import { freePort, runHaproxy } from '../support/haproxy.ts'
import { hasProgram } from '../support/programs.ts'
import { encodeHandshake, RawSocket } from '../support/raw-socket.ts'
import { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

/** The header of the PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt §2.2), for TCP over IPv4. */
function proxyHeader(address: string): Buffer {
  const body = Buffer.from([...address.split('.').map(Number), 127, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90])
  return Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11, 0, body.length]), body])
}

const LOOPBACK_PROXY = { trustedProxies: ['127.0.0.1'] } as const
const TUNNEL = { ...LOOPBACK_PROXY, proxyProtocol: true } as const

/** Addresses in the lines of sessions and of refusals, in order. */
function addressesOf({ log }: World): unknown[] {
  return log.lines.filter(line => 'client_address' in line).map(line => line['client_address'])
}

const forwarded = (list: string) => ({ headers: { 'x-forwarded-for': list } })

t.test('X-Forwarded-For of a trusted proxy is in the log, and limits go by it', async t => {
  const world = await startWorld(t, { relay: { ...LOOPBACK_PROXY, addressSessions: 1 } })
  t.equal((await knock(t, world.port, forwarded('203.0.113.5, 198.51.100.1'))).answer.status, 101)
  t.equal((await knock(t, world.port, forwarded('203.0.113.5, 198.51.100.1'))).code, 'session_limit')
  t.equal((await knock(t, world.port, forwarded('203.0.113.5, 198.51.100.2'))).answer.status, 101)
  t.equal((await knock(t, world.port, forwarded('2001:db8:1:2::3'))).answer.status, 101)
  t.equal((await knock(t, world.port, forwarded('2001:db8:1:2::4'))).code, 'session_limit', 'one /64')
  t.equal((await knock(t, world.port, forwarded('none'))).answer.status, 101, 'the address of the proxy')
  t.strictSame(addressesOf(world), [
    '198.51.100.1',
    '198.51.100.1',
    '198.51.100.2',
    '2001:db8:1:2:0:0:0:3',
    '2001:db8:1:2:0:0:0:4',
    '127.0.0.1',
  ])
})

t.test('of anybody else neither header counts', async t => {
  for (const relay of [{}, { trustedProxies: ['10.0.0.0/8'], proxyProtocol: true }]) {
    const world = await startWorld(t, { relay })
    await knock(t, world.port, forwarded('198.51.100.1'))
    await tunnel(t, world, [proxyHeader('198.51.100.1'), handshakeBytes()])
    t.strictSame(addressesOf(world), ['127.0.0.1', '127.0.0.1'])
  }
  const world = await startWorld(t, { relay: LOOPBACK_PROXY })
  await tunnel(t, world, [proxyHeader('198.51.100.1'), handshakeBytes()])
  t.strictSame(addressesOf(world), ['127.0.0.1'], 'a trusted peer, but the protocol is not switched on')
})

function handshakeBytes(options: Parameters<typeof encodeHandshake>[1] = {}): Buffer {
  return Buffer.from(encodeHandshake('dGhlIHNhbXBsZSBub25jZQ==', options))
}

/** Sends pieces, one packet each, and reads one answer. */
async function tunnel(t: Test, { port }: World, pieces: readonly Buffer[], isHead = false) {
  const raw = await RawSocket.connect(port)
  t.teardown(() => raw.destroy())
  const answer = raw.readAnswer(isHead)
  for (const piece of pieces) {
    await new Promise<void>(resolve => raw.tcp.write(piece, () => setImmediate(resolve)))
  }
  return { raw, answer: await answer }
}

t.test('the PROXY header of a trusted peer names the client, in one packet or in several', async t => {
  const world = await startWorld(t, { relay: TUNNEL })
  const header = proxyHeader('198.51.100.7')
  const cuts = [
    [header, handshakeBytes()],
    [Buffer.concat([header, handshakeBytes()])],
    [header.subarray(0, 9), header.subarray(9), handshakeBytes()],
  ]
  for (const pieces of cuts) t.equal((await tunnel(t, world, pieces)).answer.status, 101)
  t.equal((await knock(t, world.port)).answer.status, 101, 'the proxy itself')
  t.equal((await knock(t, world.port, forwarded('203.0.113.5'))).answer.status, 101)
  t.strictSame(addressesOf(world), [
    '198.51.100.7',
    '198.51.100.7',
    '198.51.100.7',
    '127.0.0.1',
    '203.0.113.5',
  ])
})

t.test('a client behind the proxy cannot name another address with a header of its own', async t => {
  const world = await startWorld(t, { relay: { ...TUNNEL, allowedOrigins: ['https://good.example'] } })
  const refused = handshakeBytes({ headers: { origin: 'https://evil.example' } })
  const nowhere = handshakeBytes({ path: '/v1/nowhere' })
  const forged = Buffer.concat([proxyHeader('203.0.113.66'), handshakeBytes()])
  for (const first of [refused, nowhere]) {
    for (const pieces of [
      [Buffer.concat([proxyHeader('198.51.100.7'), first, forged])],
      [Buffer.concat([proxyHeader('198.51.100.7'), first]), forged],
    ]) {
      const raw = await RawSocket.connect(world.port)
      t.teardown(() => raw.destroy())
      for (const piece of pieces)
        await new Promise<void>(resolve => raw.tcp.write(piece, () => setImmediate(resolve)))
      await raw.readEnd()
    }
  }
  const head = handshakeBytes({ path: '/v1/nowhere', method: 'HEAD' })
  const { raw, answer: headAnswer } = await tunnel(t, world, [proxyHeader('198.51.100.7'), head], true)
  t.equal(headAnswer.status, 404)
  raw.write(forged)
  await raw.readEnd()
  t.equal(world.relay.activeSessions, 0, 'no second request of a connection is looked at')
  t.notOk(addressesOf(world).includes('203.0.113.66'))
  const { answer } = await tunnel(t, world, [proxyHeader('198.51.100.7'), refused])
  t.strictSame([answer.status, answer.headers.get('connection')], [403, 'close'])
})

/** HAProxy in front of a relay, as in docs/authentication.md. Resolves with its port. */
async function startHaproxy(t: Test, mode: 'http' | 'tcp', relayPort: number): Promise<number> {
  const port = await freePort()
  const server = `127.0.0.1:${relayPort} ${mode === 'tcp' ? 'send-proxy-v2' : ''}`
  const config = join(t.testdir({}), 'haproxy.cfg')
  const lines = [
    'defaults',
    `  mode ${mode}`,
    '  timeout connect 5s',
    '  timeout client 30s',
    '  timeout server 30s',
    '  timeout tunnel 1h',
    ...(mode === 'http' ? ['  option forwardfor'] : []),
    'frontend clients',
    `  bind 127.0.0.1:${port}`,
    '  default_backend relay',
    'backend relay',
    `  server relay ${server}`,
    '',
  ]
  writeFileSync(config, lines.join('\n'))
  await runHaproxy(t, config, port)
  return port
}

if (hasProgram(t, 'haproxy')) {
  t.test(
    'behind a real HAProxy the address is that of the client, by HTTP and by the PROXY protocol',
    async t => {
      for (const [mode, relay] of [
        ['http', LOOPBACK_PROXY],
        ['tcp', TUNNEL],
      ] as const) {
        await t.test(mode, async t => {
          const world = await startWorld(t, { relay })
          const port = await startHaproxy(t, mode, world.port)
          const pcm = noise(1, 8)
          // The loopback has addresses enough to come from another than the proxy.
          const client = await RelayClient.open(t, `ws://127.0.0.1:${port}/v1/stream`, {
            localAddress: '127.0.0.9',
          })
          client.sendCut(pcm, 3200)
          t.match(await client.finish(), { code: 1000 })
          t.equal((await world.streamOf(client)).sha256, sha256(pcm))
          t.strictSame(addressesOf(world), ['127.0.0.9'])
        })
      }
    },
  )
}
