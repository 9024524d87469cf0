/**
 * Runs in a network namespace of its own (`unshare --net`), so that packets can be dropped without a trace: a relay between
 * an emulator and its clients, with the time-outs that it has by default. Prints what came of it as JSON.
 */
import { execFileSync } from 'node:child_process'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { Cleanup } from './cleanup.ts'
import { encodeFrame, OPCODE, RawSocket } from './raw-socket.ts'
import { BYTES_PER_SECOND_16K, noise, readSpeech, SPEECH_FOLDER } from './speech.ts'
import { startWorld, type World } from './world.ts'

export interface NetworkGoneReport {
  /** From the first lost packet to the end of the stream. */
  readonly upstreamSeconds: number
  /** Of the client whose upstream was gone. */
  readonly close: { readonly code: number; readonly reason: string }
  readonly words: readonly string[]
  readonly rollovers: readonly unknown[]
  /** From the first lost packet to the end of the session of the client that was gone. */
  readonly clientSeconds: number
  readonly clientEnd: unknown
}

const TALK_MS = 100
const TALK_BYTES = (BYTES_PER_SECOND_16K * TALK_MS) / 1000
/** Audio that arrives before the network goes. */
const BEFORE_BYTES = 2 * BYTES_PER_SECOND_16K
const IDLE_SECONDS = 8
const LOOK_INTERVAL_MS = 50
const LAST_LINES = 20

/** Where it hangs, if it does. */
function say(step: string): void {
  process.stderr.write(`${Math.round(performance.now())} ms: ${step}\n`)
}

function nft(...args: readonly string[]): void {
  execFileSync('nft', args, { stdio: ['ignore', 'ignore', 'inherit'] })
}

/**
 * Both ways, without RST or ICMP. Of a connection both ports are named: others may have one of them, too, the one number
 * that a process listens at excepted.
 */
function drop(port: number, peerPort?: number): void {
  const pairs = [
    ['sport', 'dport'],
    ['dport', 'sport'],
  ] as const
  for (const [side, otherSide] of pairs) {
    const other = peerPort === undefined ? [] : ['tcp', otherSide, `${peerPort}`]
    nft('add', 'rule', 'inet', 'fault', 'input', 'tcp', side, `${port}`, ...other, 'drop')
  }
}

async function loseUpstream(world: World): Promise<Omit<NetworkGoneReport, 'clientSeconds' | 'clientEnd'>> {
  const pcm = Buffer.concat(readSpeech().map(speech => speech.pcm))
  const client = await world.connect()
  await client.waitFor('Begin')
  let sentBytes = 0
  const microphone = setInterval(() => {
    client.send(pcm.subarray(sentBytes, sentBytes + TALK_BYTES))
    sentBytes += TALK_BYTES
  }, TALK_MS)
  await world.emulator.waitForStream(({ audioBytes }) => audioBytes >= BEFORE_BYTES)
  say('the upstream is lost')
  const [started] = world.log.of('relay started')
  drop(Number(String(started?.['upstream']).split(':')[1]))
  const startedMs = performance.now()
  let looks = 0
  process.once('SIGTERM', () => {
    say(`looked ${looks} times; the relay said last:\n${world.log.texts.slice(-LAST_LINES).join('')}`)
    process.exit(1)
  })
  while ((await world.scrape()).get('upstream_streams_active') !== 0) {
    looks += 1
    await new Promise(resolve => setTimeout(resolve, LOOK_INTERVAL_MS))
  }
  const upstreamSeconds = (performance.now() - startedMs) / 1000
  say('its stream is over, and the network comes back')
  nft('flush', 'chain', 'inet', 'fault', 'input')
  clearInterval(microphone)
  client.sendCut(pcm.subarray(sentBytes), TALK_BYTES)
  const close = await client.finish()
  say('its session is over')
  return { upstreamSeconds, close, words: client.words(), rollovers: client.of('Rollover') }
}

async function loseClient(world: World): Promise<Pick<NetworkGoneReport, 'clientSeconds' | 'clientEnd'>> {
  const raw = await RawSocket.open(world.port)
  raw.write(encodeFrame({ opcode: OPCODE.binary, payload: noise(0.1, 1) }))
  await world.emulator.waitForStream(({ audioBytes }) => audioBytes > 0)
  say('the client is lost')
  drop(raw.tcp.localPort ?? 0, world.port)
  const startedMs = performance.now()
  const clientEnd = await world.log.waitFor('session ended')
  say('its session is over, too')
  return { clientSeconds: (performance.now() - startedMs) / 1000, clientEnd }
}

execFileSync('ip', ['link', 'set', 'lo', 'up'])
nft('add', 'table', 'inet', 'fault')
nft('add', 'chain', 'inet', 'fault', 'input', '{ type filter hook input priority 0; }')
const cleanup = new Cleanup()
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const options = { emulator: { engine }, relay: { idleTimeoutSeconds: IDLE_SECONDS } } as const
const [client, upstream] = await Promise.all([
  startWorld(cleanup, options).then(loseClient),
  startWorld(cleanup, options).then(loseUpstream),
])
process.stdout.write(`${JSON.stringify({ ...upstream, ...client } satisfies NetworkGoneReport)}\n`)
await cleanup.run()
