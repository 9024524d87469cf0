/**
 * Clients that send what they should not: too fast, too big, too many, of the wrong kind. Each gets its own answer, and
 * the client next to it goes on.
 */
import t, { type Test } from 'tap'
import type { ErrorCode } from '../../src/errors.ts'
import { watchFault, withNeighbour } from '../support/fault-watch.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const CONNECTED = { 'upstream_connects_total{outcome="ok",reason="none"}': 1 }
const MESSAGE_LIMIT_BYTES = 65_536
const NATIVE_LIMIT_BYTES = 4 * MESSAGE_LIMIT_BYTES
const MAX_GROWTH_BYTES = 64 * 1024 * 1024

/** What the relay allows as long as nobody says otherwise. */
const REAL_PACE = { paceRate: 1.25, paceBurstMs: 5000 } as const

async function expectEnd(
  t: Test,
  world: World,
  code: ErrorCode,
  act: (client: RelayClient) => Promise<unknown>,
  query = '',
  figures: Record<string, number> = CONNECTED,
): Promise<RelayClient> {
  return withNeighbour(t, world, () =>
    watchFault(
      t,
      world,
      async () => {
        const client = await world.connect(query)
        if (query === '') await client.waitFor('Begin')
        await act(client)
        await client.closed
        return client
      },
      { code, figures },
    ),
  )
}

/** Sends a tenth of a second again and again, `rate` times as fast as it would be spoken. */
async function sendAtRate(client: RelayClient, rate: number): Promise<void> {
  const chunk = noise(0.1, 2)
  const pacer = setInterval(() => client.send(chunk), 100 / rate)
  await client.closed
  clearInterval(pacer)
}

const says = (text: string) => async (client: RelayClient) => client.say(text)

t.test('CL-06 audio faster than real time', async t => {
  await t.test('a catch-up of just under the burst is let through', async t => {
    const world = await startWorld(t, { relay: REAL_PACE })
    const pcm = noise(4.9, 8)
    const client = await world.connect()
    client.sendCut(pcm, 3200)
    t.match(await client.finish(), { code: 1000 })
    t.equal((await world.streamOf(client)).sha256, sha256(pcm))
    t.match(client.of('Warning'), [{ code: 'audio_too_fast' }])
  })
  for (const rate of [2, 10]) {
    await t.test(`${rate} times`, async t => {
      const world = await startWorld(t, { relay: { ...REAL_PACE, paceBurstMs: 1000 } })
      const client = await expectEnd(t, world, 'audio_too_fast', victim => sendAtRate(victim, rate))
      t.match(client.of('Warning'), [{ code: 'audio_too_fast' }], 'it was warned')
    })
  }
  await t.test('1000 times', async t => {
    const world = await startWorld(t, { relay: REAL_PACE })
    const flood = noise(100, 8)
    const rssBytes = process.memoryUsage().rss
    await expectEnd(t, world, 'audio_too_fast', async client => client.sendCut(flood, 3200))
    t.ok(process.memoryUsage().rss - rssBytes < MAX_GROWTH_BYTES, 'memory is bounded')
  })
})

t.test('CL-08 messages around the limits', async t => {
  const world = await startWorld(t)
  const pcm = noise(10, 8)
  await expectEnd(t, world, 'normal', async client => {
    client.send(pcm.subarray(0, MESSAGE_LIMIT_BYTES))
    await client.finish()
    t.equal((await world.streamOf(client)).audioBytes, MESSAGE_LIMIT_BYTES)
  })
  for (const bytes of [MESSAGE_LIMIT_BYTES + 1, NATIVE_LIMIT_BYTES]) {
    const victim = await expectEnd(t, world, 'message_too_big', async client =>
      client.send(pcm.subarray(0, bytes)),
    )
    t.match(victim.of('Error')[0]?.['message'], new RegExp(`${MESSAGE_LIMIT_BYTES} bytes.*${bytes}`))
  }
  const violation = { 'protocol_violations_total{reason="too_big_native"}': 1 }
  await expectEnd(
    t,
    world,
    'too_big_native',
    async client => client.send(pcm.subarray(0, NATIVE_LIMIT_BYTES + 1)),
    '',
    { ...CONNECTED, ...violation },
  )
})

t.test('CL-09 a thousand tiny messages', async t => {
  await t.test('are joined to chunks of a tenth of a second', async t => {
    const world = await startWorld(t)
    const pcm = noise(0.5, 8)
    await expectEnd(t, world, 'normal', async client => {
      client.sendCut(pcm, 2)
      await client.finish()
      const stream = await world.streamOf(client)
      t.equal(stream.sha256, sha256(pcm))
      t.ok(stream.frames <= 10, `${stream.frames} frames`)
    })
  })
  await t.test('are too many beyond the limit of messages', async t => {
    const world = await startWorld(t, { relay: { messagesPerSecond: 500 } })
    await expectEnd(t, world, 'rate_limited', async client => client.sendCut(noise(0.1, 8), 2))
    await expectEnd(t, world, 'rate_limited', async client => {
      for (let message = 0; message < 1600; message++) client.say({ type: 'KeepAlive' })
    })
  })
})

t.test('CL-10 text and audio in the wrong place', async t => {
  const world = await startWorld(t)
  await expectEnd(t, world, 'unsupported_data', says('{"event":"media","media":{"payload":"AAAA"}}'))
  await expectEnd(t, world, 'unsupported_data', says('{"audio":"AAAA"}'))
  for (const text of ['', 'hello', '[]', '{"type":"Dance"}', `{"type":"${'x'.repeat(100)}"}`, '{"type":1}']) {
    await expectEnd(t, world, 'bad_control_message', says(text))
  }
  await expectEnd(t, world, 'bad_control_message', says('{"type":"Configure"}'))
  await expectEnd(t, world, 'message_too_big', says(JSON.stringify({ type: 'x'.repeat(20_000) })))
  await expectEnd(
    t,
    world,
    'unsupported_data',
    async client => client.send(noise(0.1, 1)),
    'configure=true',
    {},
  )
  await expectEnd(t, world, 'unsupported_audio', async client => client.send(Buffer.from('OggS is no PCM')))
})
