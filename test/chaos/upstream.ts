/**
 * The upstream of the chaos, a process of its own: an emulated Amazon Transcribe behind a bad network, which kills its
 * streams. Tells what it did, and what it heard of each client.
 */
import { answer, readConfig } from '../../bench/e2e/child.ts'
import { createEmulator, type FaultScriptInput } from '../../src/emulator/index.ts'
import { FaultProxy, type ProxiedConnection } from '../support/fault-proxy.ts'
import { createRandom } from '../support/random.ts'
import { NO_QUOTAS } from '../support/world.ts'
import { drawMoment, HANDSHAKE_FATES, NETWORK_FATES, SERVICE_FATES, WEATHERS } from './fates.ts'
import { createTapeEngine } from './tape-engine.ts'
import { createTape } from './tape.ts'
import { hearUndisturbed } from './undisturbed.ts'

export interface UpstreamConfig {
  readonly seed: number
  readonly tapeSeconds: number
  /** Mean life of a stream. */
  readonly killEverySeconds: number
  /** Times real time at which audio comes. */
  readonly speed: number
}

export interface HeardOfClient {
  readonly client: string
  readonly streams: number
  readonly heardBytes: number
  readonly wholeBytes: number
  readonly foreignPieces: number
}

export interface UpstreamReport {
  /** By kind; those that befell a stream before it ended. */
  readonly kills: Readonly<Record<string, number>>
  readonly heard: readonly HeardOfClient[]
  readonly connections: number
}

/** Of the connections. The network kills whatever the service does not, so that no stream lives for ever. */
const SERVICE_SHARE = 0.7
/** Times as long as the service waits. */
const NETWORK_PATIENCE = 2
/** Fates are drawn for so many connections ahead: the most rules of a script, and half of it. */
const AHEAD = 256
/** Stalled and half-open sockets are held for so long: longer than the relay takes to notice. */
const HOLD_MS = 6_000

const config = readConfig() as UpstreamConfig
const random = createRandom(config.seed)
const tape = createTape(config.tapeSeconds, config.seed)
const engine = createTapeEngine(tape.pcm, hearUndisturbed(tape))
const emulator = createEmulator({
  ...NO_QUOTAS,
  engine: engine.factory,
  keepStreams: 1,
  latencyMs: 30,
  stallHoldMs: HOLD_MS,
})
const { port: targetPort } = await emulator.start()
const proxy = new FaultProxy({ targetPort, seed: config.seed })
const kills: Record<string, number> = {}
const timers = new Set<NodeJS.Timeout>()
const kinds = Object.keys(SERVICE_FATES)
/** By the number of the connection at the emulator. */
const fates = new Map<number, { readonly kind: string; readonly atSeconds: number }>()
let isArmed = false
let drawnUntil = 0

function count(kind: string): void {
  kills[kind] = (kills[kind] ?? 0) + 1
}

function drawFates(): void {
  countRefusals()
  const first = emulator.connectionCount + 1
  if (!isArmed || drawnUntil - first > AHEAD / 2) return
  const rules: NonNullable<FaultScriptInput['rules']> = []
  for (let connection = first; connection < first + AHEAD; connection += 1) {
    if (connection > drawnUntil && random() < SERVICE_SHARE) {
      const kind = kinds[Math.floor(random() * kinds.length)] ?? ''
      fates.set(connection, {
        kind,
        atSeconds: drawMoment(random, config.killEverySeconds * config.speed),
      })
    }
    const fate = fates.get(connection)
    const action = fate === undefined ? undefined : SERVICE_FATES[fate.kind]?.(fate.atSeconds)
    if (action !== undefined) rules.push({ match: { connection }, action })
  }
  drawnUntil = first + AHEAD - 1
  emulator.setFaults({ rules })
}

function after(ms: number, action: () => void): void {
  const timer = setTimeout(() => {
    timers.delete(timer)
    action()
  }, ms)
  timers.add(timer)
}

function proxyOnConnection(connection: ProxiedConnection): void {
  drawFates()
  if (!isArmed) return
  connection.setWeather(WEATHERS[Math.floor(random() * WEATHERS.length)] ?? {})
  const names = Object.keys(NETWORK_FATES)
  const kind = names[Math.floor(random() * names.length)] ?? ''
  after(drawMoment(random, config.killEverySeconds * NETWORK_PATIENCE) * 1000, () => {
    if (!proxy.connections.has(connection)) return
    count(kind)
    NETWORK_FATES[kind]?.(connection)
    after(HOLD_MS, () => connection.destroy())
  })
}

/** Those that leave no stream are known by their number alone. */
function countRefusals(): void {
  for (const [connection, { kind }] of fates) {
    if (connection > emulator.connectionCount || !HANDSHAKE_FATES.has(kind)) continue
    fates.delete(connection)
    count(kind)
  }
}

emulator.events.on('end', ({ audioSeconds, closeCause, connection }) => {
  const fate = fates.get(connection)
  if (fate === undefined || HANDSHAKE_FATES.has(fate.kind)) return
  fates.delete(connection)
  if (closeCause === 'fault' || audioSeconds >= fate.atSeconds) count(fate.kind)
})
proxy.events.on('connection', proxyOnConnection)
const port = await proxy.start()

answer({
  start: () => ({ url: `ws://127.0.0.1:${port}` }),
  arm: () => {
    isArmed = true
    drawFates()
    return null
  },
  report: (): UpstreamReport => {
    countRefusals()
    return {
      kills,
      connections: emulator.connectionCount,
      heard: [...engine.hearings].map(([client, hearing]) => ({
        client,
        streams: hearing.stretches.length,
        heardBytes: hearing.heardBytes,
        wholeBytes: hearing.wholeBytes,
        foreignPieces: hearing.foreignPieces,
      })),
    }
  },
})
