/** One session with everything around it in memory, and a clock that the test moves. */
import type { Clock } from '../../src/clock.ts'
import { readStreamQuery, type StreamDefaults, type StreamQuery } from '../../src/protocol/stream-request.ts'
import { AdmissionGate } from '../../src/session/admission-gate.ts'
import type { ClientAccess } from '../../src/session/host.ts'
import type { SessionLimits } from '../../src/session/limits.ts'
import type { ClientListener, SessionTracer } from '../../src/session/ports.ts'
import { SessionRegistry } from '../../src/session/registry.ts'
import type { Session } from '../../src/session/session.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryClient, MemoryDialer, MemoryLog, MemoryMetrics, type MemoryDial } from './memory-ports.ts'
import { SpoiltBuffers } from './spoilt-buffers.ts'

/** The defaults of the configuration, so that a test says only what it is about. */
export const LIMITS: SessionLimits = {
  chunkMs: 100,
  minChunkMs: 50,
  maxChunkMs: 200,
  pendingAudioBytes: 1_048_576,
  paceBurstMs: 5000,
  paceRate: 1.25,
  messagesPerSecond: 500,
  audioTimeoutMs: 14_000,
  parkAfterMs: 10_000,
  silence: 'park',
  silenceFillMaxMs: 600_000,
  maxSessionMs: 43_200_000,
  maxStreamMs: 14_100_000,
  handoverLeadMs: 60_000,
  replaySeconds: 30,
  replayRate: 4,
  rolloverAttempts: 5,
  rolloverBackoffMs: 250,
  rolloverGapMs: 30_000,
  sessionWarningMs: 60_000,
  configureTimeoutMs: 5000,
  flushTimeoutMs: 10_000,
  upstreamBufferBytes: 4_194_304,
  upstreamStallMs: 10_000,
  clientPartialsBufferBytes: 16_384,
  clientSoftBufferBytes: 65_536,
  maxMessageBytes: 65_536,
  allowUnredactedPartials: false,
  resumeSeconds: 30,
  resumeBufferBytes: 262_144,
  resumeAckMs: 1000,
}

export const DEFAULTS: StreamDefaults = {
  parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
  format: 'simple',
  words: false,
  partials: true,
  extraLanguageCodes: [],
}

export const SESSION_ID = '11111111-2222-4333-8444-555555555555'
const TICK_MS = 100
/** Of the default parameters. */
export const BYTES_PER_MS = 32

export function queryOf(queryString: string): StreamQuery {
  const result = readStreamQuery(queryString, DEFAULTS)
  if (!result.ok) throw new Error(JSON.stringify(result.problems))
  return result.query
}

export interface Harness {
  readonly clock: ManualClock
  readonly client: MemoryClient
  readonly dialer: MemoryDialer
  readonly metrics: MemoryMetrics
  readonly log: MemoryLog
  readonly registry: SessionRegistry
  /** Of all frames; whoever uses one after it was given back sends a wrong CRC. */
  readonly frameMemory: SpoiltBuffers
  readonly session: Session
  /** The only dial. */
  readonly dial: MemoryDial
  /** Opens the upstream, in the middle of whose stream most tests begin. */
  opened(): Harness
}

/** A session that may outlive its socket, of `key:ana`. `listener` is that of the first socket. */
export interface KeptHarness {
  readonly clock: ManualClock
  readonly client: MemoryClient
  readonly listener: ClientListener
  readonly dialer: MemoryDialer
  readonly metrics: MemoryMetrics
  readonly registry: SessionRegistry
  /** The last dial. */
  readonly dial: MemoryDial
  /** How often it was told that neither session nor socket is left. */
  readonly overs: number
  /** One more session; `digit` makes its id. */
  another(digit: string): { readonly client: MemoryClient; readonly listener: ClientListener }
}

export function openKept(
  queryString = '',
  limits: Partial<SessionLimits> = {},
  maxSessions = 10,
): KeptHarness {
  const { clock, dialer, metrics, registry } = createRegistry(limits, maxSessions)
  let overs = 0
  const open = (sessionId: string) => {
    const client = new MemoryClient()
    const listener = registry.open(client, {
      sessionId,
      query: queryOf(queryString),
      remoteAddress: '192.0.2.1',
      kept: { owner: 'key:ana', onOver: () => (overs += 1) },
    })
    client.listener = listener
    return { client, listener }
  }
  return {
    ...open(SESSION_ID),
    clock,
    dialer,
    metrics,
    registry,
    get dial() {
      return dialer.last
    },
    get overs() {
      return overs
    },
    another: digit => open(SESSION_ID.replace('1', digit)),
  }
}

type TracerFactory = (clock: Clock) => SessionTracer | undefined

function createRegistry(
  limits: Partial<SessionLimits>,
  maxSessions = 10,
  createTracer: TracerFactory = () => undefined,
) {
  const clock = new ManualClock()
  const dialer = new MemoryDialer()
  const metrics = new MemoryMetrics()
  const log = new MemoryLog()
  const frameMemory = new SpoiltBuffers()
  const registry = new SessionRegistry(
    { maxSessions, tickMs: TICK_MS, reconnectSpreadMs: 4000 },
    {
      clock,
      dialer,
      metrics,
      log,
      tracer: createTracer(clock),
      limits: { ...LIMITS, ...limits },
      defaults: DEFAULTS,
      readiness: () => null,
      random: () => 0.5,
      frameMemory,
      gate: new AdmissionGate({ clock, maxSessions, probes: [], onChange: () => {} }),
      origin: { relay: 'test', process: 1 },
    },
  )
  return { clock, dialer, frameMemory, metrics, log, registry }
}

/** A session at its start: dialling, or waiting for Configure with `configure=true` in the query. */
export function startSession(
  queryString = '',
  limits: Partial<SessionLimits> = {},
  { access, createTracer }: { access?: ClientAccess; createTracer?: TracerFactory } = {},
): Harness {
  const client = new MemoryClient()
  const { clock, dialer, frameMemory, log, metrics, registry } = createRegistry(limits, 10, createTracer)
  const listener = registry.open(client, {
    sessionId: SESSION_ID,
    query: queryOf(queryString),
    remoteAddress: '192.0.2.1',
    ...(access === undefined ? {} : { access }),
  })
  client.listener = listener
  const harness: Harness = {
    clock,
    client,
    dialer,
    metrics,
    log,
    registry,
    frameMemory,
    session: listener as Session,
    get dial() {
      return dialer.last
    },
    opened() {
      dialer.last.open()
      return harness
    },
  }
  return harness
}

/** Audio that is no silence: every sample is different from the one before. */
export function audioOf(ms: number, bytesPerMs = BYTES_PER_MS): Buffer {
  const bytes = Buffer.alloc(Math.round(ms * bytesPerMs))
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = 1 + ((index * 7) % 250)
  return bytes
}

/** Every stream is the last: what an end of the service means to a client without another stream. */
export const NO_ROLLOVER = { rolloverAttempts: 0 } as const

/** Sends audio in real time: `pieceMs` of it every `pieceMs`. */
export function speak({ clock, session }: Harness, ms: number, pieceMs = 100): void {
  for (let sentMs = 0; sentMs < ms; sentMs += pieceMs) {
    clock.advance(pieceMs)
    session.clientOnAudio(audioOf(pieceMs))
  }
}
