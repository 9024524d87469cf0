/**
 * A relay at work as operators see it: sessions that end well and badly, a canary, and a Prometheus that scrapes both.
 */
import { createScriptedEngine, EXAMPLE_ACCOUNT, loadRecordings } from '../../src/emulator/index.ts'
import { startCli } from './cli.ts'
import type { Prometheus } from './prometheus.ts'
import { startPrometheus } from './prometheus.ts'
import { RelayClient } from './relay-client.ts'
import { RULES_FILE } from './rules.ts'
import type { Speech } from './speech.ts'
import { readSpeech, SPEECH_FOLDER } from './speech.ts'
import type { Closing, World, WorldOptions } from './world.ts'
import { startWorld } from './world.ts'

export interface OperatedWorld {
  readonly world: World
  readonly prometheus: Prometheus
  readonly canaryUrl: string
  /** One session of every kind: good, refused, broken by the upstream or the client, gone on in another stream. */
  runRound(): Promise<void>
}

const PIECE_BYTES = 3200
const HOUR_MS = 3_600_000

export async function startOperatedWorld(t: Closing, options: WorldOptions = {}): Promise<OperatedWorld> {
  const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
  const credentials = { ...EXAMPLE_ACCOUNT, expiration: new Date(Date.now() + HOUR_MS) }
  const world = await startWorld(t, {
    emulator: { engine, latencyMs: 20, ...options.emulator },
    relay: { dialBackoffMs: 0, ...options.relay },
    dependencies: { credentials },
  })
  const canaryUrl = await startCanary(t, world.url)
  const prometheus = await startPrometheus(
    t,
    [
      { job: 'transcribe-relay', url: world.opsUrl, labels: { namespace: 'test', pod: 'relay-0' } },
      { job: 'transcribe-relay-canary', url: canaryUrl, labels: { namespace: 'test', pod: 'canary-0' } },
    ],
    [RULES_FILE],
  )
  const speeches = readSpeech()
  return { world, prometheus, canaryUrl, runRound: () => runRound(t, world, speeches) }
}

async function startCanary(t: Closing, url: string): Promise<string> {
  const args = ['canary', '--url', url, '--every', '1s', '--ops-host', '127.0.0.1', '--ops-port', '0']
  const canary = startCli(args)
  t.teardown(() => canary.child.kill('SIGKILL'))
  const [, opsUrl = ''] = await canary.waitFor(/^metrics +(\S+)\/metrics$/m)
  await canary.waitFor(/"outcome":"ok"/)
  return opsUrl
}

async function runRound(t: Closing, world: World, speeches: readonly Speech[]): Promise<void> {
  await Promise.all(speeches.map(({ pcm }) => stream(world, pcm)))
  const [short = Buffer.alloc(0)] = speeches.map(({ pcm }) => pcm).sort((a, b) => a.length - b.length)
  world.faultNext({ do: 'exception', name: 'LimitExceededException', closeCode: 1000, atSeconds: 0.5 })
  await stream(world, short)
  world.faultNext({ do: 'badMessageCrc', atSeconds: 0.5 })
  await stream(world, short)
  world.faultNext({ do: 'close', code: 1011, reason: '', atSeconds: 0.5 })
  await stream(world, short)
  world.faultNext({ do: 'httpStatus', status: 503, headers: {}, body: '' })
  await stream(world, short)
  const confused = await world.connect()
  confused.say('nonsense')
  await confused.closed
  const refused = new RelayClient(`${world.url}?language-code=nonsense`)
  t.teardown(() => refused.webSocket.terminate())
  await refused.closed
}

async function stream(world: World, pcm: Buffer): Promise<void> {
  const client = await world.connect()
  client.sendCut(pcm, PIECE_BYTES)
  await client.finish()
}
