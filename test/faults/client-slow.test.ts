/**
 * A client that reads more slowly than results arrive: it gets a real Close frame when it reads again, it is cut off
 * when it never does, and what waits for it is bounded.
 */
import t from 'tap'
import { createFinalsEngine } from '../support/finals-engine.ts'
import { watchFault } from '../support/fault-watch.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const MAX_GROWTH_BYTES = 96 * 1024 * 1024
const CONNECTED = { 'upstream_connects_total{outcome="ok",reason="none"}': 1 }
const engine = createFinalsEngine({ finalsPerWrite: 20, textBytes: 4000 })

/** Streams without reading, until the relay has had enough. */
async function overflow(world: World, client: RelayClient): Promise<void> {
  const { session_id: sessionId } = await client.waitFor('Begin')
  client.webSocket.pause()
  const chunk = noise(0.1, 4)
  while (world.log.of('session ended', sessionId).length === 0) {
    await new Promise<void>(resolve => client.webSocket.send(chunk, () => setImmediate(resolve)))
  }
}

t.test('CL-04 a slow reader finds the error and the Close frame 4430 when it reads again', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const rssBytes = process.memoryUsage().rss
  const victim = await watchFault(
    t,
    world,
    async () => {
      const client = await world.connect()
      await overflow(world, client)
      client.webSocket.resume()
      await client.closed
      return client
    },
    { code: 'slow_consumer', figures: CONNECTED },
  )
  const sequence = victim.of('Transcript').map(({ seq }) => seq)
  t.strictSame(
    sequence,
    sequence.map((_, index) => index + 1),
    'no final is missing before the end',
  )
  t.ok(process.memoryUsage().rss - rssBytes < MAX_GROWTH_BYTES, 'memory is bounded')
})

t.test('CL-04 a reader that never comes back is cut off', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: { clientCloseTimeoutMs: 500 } })
  const before = await world.scrape()
  const client = await world.connect()
  await overflow(world, client)
  const cutOff = 'client_forced_closes_total'
  while ((await world.scrape()).get(cutOff) === before.get(cutOff)) {
    // Each look waits for the answer of the other port.
  }
  t.equal((await world.scrape()).get(cutOff), 1)
  t.equal(world.relay.activeSessions, 0)
  client.webSocket.resume()
  t.match(await client.closed, { code: 1006 })
})

t.test(
  'UP-15 a flood of partial results to a slow reader: some are left out, memory is bounded, it goes on',
  async t => {
    const world = await startWorld(t)
    const rssBytes = process.memoryUsage().rss
    world.faultNext({ do: 'flood', results: 60_000, atSeconds: 0.5 })
    const client = await world.connect()
    await client.waitFor('Begin')
    client.webSocket.pause()
    const pcm = noise(1, 6)
    client.sendCut(pcm, 3200)
    const dropped = async (): Promise<number> => (await world.scrape()).get('partials_dropped_total') ?? 0
    while ((await dropped()) === 0) {
      // Each look waits for the answer of the other port.
    }
    t.ok(process.memoryUsage().rss - rssBytes < MAX_GROWTH_BYTES, 'memory is bounded')
    client.webSocket.resume()
    t.match(await client.finish(), { code: 1000, reason: 'normal' })
    t.equal((await world.streamOf(client)).sha256, sha256(pcm))
    t.match(client.finals.at(-1)?.['text'], `sha256 ${sha256(pcm)}`)
  },
)
