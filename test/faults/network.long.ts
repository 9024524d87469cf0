/**
 * Networks that are bad or gone: packets that vanish without a trace (in a network namespace, with nftables), and what a
 * proxy can do to a connection.
 */
import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'
import type { NetworkGoneReport } from '../support/network-gone-child.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { ANY_SPEED, startRelay, startWorld } from '../support/world.ts'

const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const speeches = readSpeech()
const words = speeches.flatMap(speech => speech.words)
const CHILD_LIMIT_MS = 80_000
const CHILD = fileURLToPath(new URL('../support/network-gone-child.ts', import.meta.url))
const CHUNK_BYTES = 3200
/** Of `docs/operations.md`: three pings. */
const MAX_UPSTREAM_SECONDS = 20
const MAX_CLIENT_SECONDS = 12
/** A relay that is busy with other tests looks at its clock later. */
const MAX_PING_MS = 10_000

/** Namespaces and nftables need privileges that not every machine gives to tests. */
function canDropPackets(): boolean {
  const probe = 'nft add table inet probe && ip link set lo up'
  return spawnSync('unshare', ['--net', 'sh', '-c', probe], { stdio: 'ignore' }).status === 0
}

t.test(
  'UP-12 CL-03 the network is gone, upstream for one client, downstream for another',
  { timeout: 90_000 },
  async t => {
    if (!canDropPackets()) {
      const text = 'no privilege to drop packets, or nft or ip is missing; nothing was checked'
      if (process.env['CI'] === 'true') t.fail(text)
      else t.comment(text)
      return
    }
    const command = ['--net', process.execPath, '--import', 'tsx', CHILD]
    // Ended, it is an error that says what the child said last.
    const { stdout } = await promisify(execFile)('unshare', command, { timeout: CHILD_LIMIT_MS })
    const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as NetworkGoneReport
    t.comment(`upstream after ${report.upstreamSeconds} s, client after ${report.clientSeconds} s`)
    t.ok(report.upstreamSeconds <= MAX_UPSTREAM_SECONDS, `upstream after ${report.upstreamSeconds} s`)
    t.match(report.rollovers, [{ reason: 'upstream_timeout', lost_seconds: 0 }])
    t.match(report.close, { code: 1000 })
    t.strictSame(report.words, words, 'every word, once')
    t.ok(report.clientSeconds <= MAX_CLIENT_SECONDS, `client after ${report.clientSeconds} s`)
    t.match(report.clientEnd, { reason: 'ping_timeout', class: 'client_gone' })
  },
)

t.test('UP-12 a connection that acknowledges everything and passes on nothing', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const targetPort = Number(new URL(String(world.log.of('relay started')[0]?.['listening'])).port)
  t.ok(targetPort > 0)
  const emulatorPort = Number(String(world.log.of('relay started')[0]?.['upstream']).split(':')[1])
  const { port, proxy } = await startFaultProxy(t, { targetPort: emulatorPort })
  const relay = await startRelay(t, {
    ...ANY_SPEED,
    endpoint: `ws://127.0.0.1:${port}`,
    upstreamPingIntervalMs: 1000,
    rolloverBackoffMs: 0,
  })
  const [speech] = speeches
  if (speech === undefined) throw new Error('the recordings are missing')
  const client = await relay.connect()
  await client.waitFor('Begin')
  const half = (speech.pcm.length >> 2) * 2
  client.sendCut(speech.pcm.subarray(0, half), CHUNK_BYTES)
  await world.emulator.waitForStream(({ audioBytes }) => audioBytes >= half - CHUNK_BYTES)
  const [connection] = proxy.connections
  connection?.halfOpen()
  const startedMs = performance.now()
  client.sendCut(speech.pcm.subarray(half), CHUNK_BYTES)
  t.match(await client.waitFor('Rollover'), { reason: 'upstream_timeout', lost_seconds: 0 })
  t.ok(performance.now() - startedMs < MAX_PING_MS)
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.words(), speech.words)
})

t.test('UP-19 latency, jitter, narrow and chopped connections fail no session', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const emulatorPort = Number(String(world.log.of('relay started')[0]?.['upstream']).split(':')[1])
  const { port } = await startFaultProxy(t, {
    targetPort: emulatorPort,
    weather: { latencyMs: 100, jitterMs: 100, bytesPerSecond: 400_000, sliceBytes: 20_000 },
  })
  const relay = await startRelay(t, {
    ...ANY_SPEED,
    endpoint: `ws://127.0.0.1:${port}`,
    upstreamPingIntervalMs: 1000,
  })
  const endMs = await Promise.all(
    speeches.map(async speech => {
      const client = await relay.connect('words=true')
      await client.waitFor('Begin')
      client.sendCut(speech.pcm, CHUNK_BYTES)
      const startedMs = performance.now()
      t.match(await client.finish(), { code: 1000 })
      t.strictSame(client.words(), speech.words)
      t.strictSame(client.of('Rollover'), [])
      return performance.now() - startedMs - (speech.pcm.length / 400_000) * 1000
    }),
  )
  // There and back, and the Close frame: what the connection itself takes, and little more.
  t.ok(Math.max(...endMs) < 2500, `${endMs.map(Math.round).join(', ')} ms more than the audio takes`)
})
