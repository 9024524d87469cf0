/**
 * Amazon Transcribe cannot be reached, or does not let the relay in: what is passing is tried again without the loss of
 * a byte, what is not is told to the client at once, and sessions that are open already go on.
 */
import net from 'node:net'
import t, { type Test } from 'tap'
import type { FaultAction } from '../../src/emulator/index.ts'
import { makeCertificates } from '../support/certificates.ts'
import { watchFault, withNeighbour, type ExpectedEnd } from '../support/fault-watch.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { listen, startUpstream } from '../support/upstream-server.ts'
import { ANY_SPEED, startRelay, startWorld, type RunningRelay, type World } from '../support/world.ts'

const pcm = noise(1, 5)
const CHUNK_BYTES = 3200
/** A region that refused one for its quota is tried again after a second: not within this time. */
const FAST_DIAL = { startQueueMs: 900, dialAttempts: 3, dialBackoffMs: 10, connectTimeoutMs: 400 } as const
const CONNECTED = { 'upstream_connects_total{outcome="ok",reason="none"}': 1 }

function failed(reason: string, attempts: number): Record<string, number> {
  return { [`upstream_connects_total{outcome="error",reason="${reason}"}`]: attempts }
}

async function knock(relay: RunningRelay): Promise<RelayClient> {
  const client = await relay.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  await client.closed
  return client
}

/** A session that ends well, whatever happened to its first connection. */
async function streamWhole(t: Test, world: World): Promise<RelayClient> {
  const client = await world.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  await client.finish()
  const { sha256: heard } = await world.streamOf(client)
  t.equal(heard, sha256(pcm), 'nothing is lost while it dials')
  return client
}

t.test('UP-01 a refused port is tried again, then the client is told', async t => {
  const closing = net.createServer()
  const port = await listen(t, closing)
  closing.close()
  const relay = await startRelay(t, { ...ANY_SPEED, ...FAST_DIAL, endpoint: `ws://127.0.0.1:${port}` })
  await watchFault(t, relay, () => knock(relay), {
    code: 'upstream_unavailable',
    detail: 'refused: ECONNREFUSED',
    figures: failed('refused', 3),
  })
  t.match(
    relay.log.of('upstream connect failed').map(line => [line['attempt'], line['will_retry']]),
    [
      [1, true],
      [2, true],
      [3, false],
    ],
  )
})

t.test('UP-02 a name that does not resolve is told apart', async t => {
  // A label of 64 characters is refused by the resolver itself, so no name server is asked.
  const relay = await startRelay(t, { ...FAST_DIAL, endpoint: `wss://${'x'.repeat(64)}.test` })
  await watchFault(t, relay, () => knock(relay), {
    code: 'upstream_unavailable',
    detail: /^dns: E/,
    figures: failed('dns', 3),
  })
})

interface RefusalRow {
  readonly name: string
  readonly fault: FaultAction
  readonly expected: ExpectedEnd
}

function status(
  number: number,
  body: string,
  code: ExpectedEnd['code'],
  attempts: number,
  errorType?: string,
): RefusalRow {
  const headers: Record<string, string> = errorType === undefined ? {} : { 'x-amzn-ErrorType': errorType }
  return {
    name: `status ${number} ${errorType ?? ''}`.trim(),
    fault: { do: 'httpStatus', status: number, headers, body },
    expected: {
      code,
      detail: new RegExp(`^http_\\w+: ${errorType ?? '\\w+'}`),
      figures: failed(number === 302 ? 'http_3xx' : `http_${number}`, attempts),
    },
  }
}

const SECRET_BODY = '{"message":"secret-text-of-the-service"}'

const REFUSALS: readonly RefusalRow[] = [
  // One more attempt with other credentials, and no more.
  status(403, SECRET_BODY, 'upstream_auth', 2, 'AccessDeniedException'),
  status(403, SECRET_BODY, 'upstream_auth', 2),
  status(400, SECRET_BODY, 'upstream_bad_request', 1, 'BadRequestException'),
  status(429, SECRET_BODY, 'upstream_throttled', 1),
  status(500, SECRET_BODY, 'upstream_error', 3),
  status(503, SECRET_BODY, 'upstream_unavailable', 3),
  status(302, SECRET_BODY, 'upstream_protocol', 1),
  {
    name: 'reset instead of an answer',
    fault: { do: 'refuse' },
    expected: { code: 'upstream_unavailable', detail: /^reset/, figures: failed('reset', 3) },
  },
  {
    name: 'UP-07 no answer to the upgrade',
    fault: { do: 'stallHandshake' },
    // The emulator does not read while it stalls, so it keeps its end.
    expected: {
      code: 'upstream_timeout',
      detail: 'timeout',
      figures: failed('timeout', 3),
      keptSockets: 3,
    },
  },
]

t.test('UP-03, UP-04 refused handshakes', async t => {
  const world = await startWorld(t, { relay: FAST_DIAL })
  for (const { name, fault, expected } of REFUSALS) {
    await t.test(name, async t => {
      await withNeighbour(t, world, async () => {
        world.emulator.setFaults({ rules: [{ action: fault }] })
        await watchFault(t, world, () => knock(world), expected)
        world.emulator.setFaults({})
      })
    })
  }
  t.notMatch(world.log.texts.join(''), 'secret-text-of-the-service')
})

t.test('UP-03 keys that the service does not know are fetched again once', async t => {
  const world = await startWorld(t, {
    dependencies: { credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wrong-secret-canary' } },
  })
  const before = await world.scrape()
  await watchFault(t, world, () => knock(world), {
    code: 'upstream_auth',
    detail: /^http_403: /,
    figures: failed('http_403', 2),
  })
  const fetches = 'credential_refreshes_total{outcome="ok"}'
  t.equal(((await world.scrape()).get(fetches) ?? 0) - (before.get(fetches) ?? 0), 1)
  t.notMatch(world.log.texts.join(''), /wrong-secret-canary|X-Amz-Signature/)
})

t.test('a passing trouble costs nothing but time', async t => {
  const world = await startWorld(t, { relay: FAST_DIAL })
  const troubles: readonly (readonly [FaultAction, Record<string, number>])[] = [
    [{ do: 'refuse' }, failed('reset', 1)],
    [{ do: 'httpStatus', status: 503, headers: {}, body: '' }, failed('http_503', 1)],
    [{ do: 'stallHandshake' }, failed('timeout', 1)],
    // Recognised by the date of the refusal.
    [{ do: 'expiredToken' }, failed('http_403', 1)],
    [{ do: 'slowHandshake', delayMs: 200 }, {}],
  ]
  for (const [fault, figures] of troubles) {
    await t.test(fault.do, async t => {
      await withNeighbour(t, world, async () => {
        world.faultNext(fault)
        await watchFault(t, world, () => streamWhole(t, world), {
          code: 'normal',
          figures: { ...CONNECTED, ...figures },
          keptSockets: fault.do === 'stallHandshake' ? 1 : 0,
        })
      })
    })
  }
})

t.test('UP-08 audio that waits for a slow handshake is bounded', async t => {
  const world = await startWorld(t, {
    relay: { pendingAudioBytes: 65_536, connectTimeoutMs: 10_000 },
  })
  await withNeighbour(t, world, () =>
    watchFault(
      t,
      world,
      async () => {
        world.faultNext({ do: 'slowHandshake', delayMs: 60_000 })
        const client = await world.connect()
        client.sendCut(noise(3, 1), CHUNK_BYTES)
        await client.closed
        return client
      },
      { code: 'upstream_timeout', keptSockets: 1 },
    ),
  )
})

t.test('UP-06 certificates that are wrong are never accepted, and not tried again', async t => {
  const certificates = makeCertificates(t.testdir())
  const { good, expired, wrongHost, selfSigned } = certificates
  const tls = { tls: good } as const
  const world = await startWorld(t, { emulator: tls, dependencies: { upstreamCa: certificates.ca } })
  await watchFault(t, world, () => streamWhole(t, world), { code: 'normal', figures: CONNECTED })
  const wrong = { selfSigned, expired, wrongHost }
  for (const [name, pair] of Object.entries(wrong)) {
    await t.test(name, async t => {
      const impostor = await startWorld(t, {
        emulator: { tls: pair },
        dependencies: { upstreamCa: certificates.ca },
      })
      await watchFault(t, impostor, () => knock(impostor), {
        code: 'upstream_unavailable',
        detail: /^tls: /,
        figures: failed('tls', 1),
      })
      t.equal(impostor.emulator.connectionCount, 0, 'the signed request is not sent')
    })
  }
  await t.test('an old version of TLS', async t => {
    const old = { ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' } as const
    const { endpoint, requests } = await startUpstream(t, { tls: old })
    const relay = await startRelay(
      t,
      { endpoint: `wss://127.0.0.1:${endpoint.port}` },
      { upstreamCa: certificates.ca },
    )
    await watchFault(t, relay, () => knock(relay), {
      code: 'upstream_unavailable',
      detail: /^tls: /,
      figures: failed('tls', 1),
    })
    t.strictSame(requests, [])
  })
})

t.test('UP-07 a server that never finishes TLS is given up', async t => {
  const port = await listen(
    t,
    net.createServer(socket => socket.resume()),
  )
  const relay = await startRelay(t, {
    dialAttempts: 1,
    connectTimeoutMs: 300,
    endpoint: `wss://127.0.0.1:${port}`,
  })
  await watchFault(t, relay, () => knock(relay), {
    code: 'upstream_timeout',
    detail: 'timeout',
    figures: failed('timeout', 1),
  })
})
