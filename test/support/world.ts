/**
 * The whole relay between real sockets: an emulated Amazon Transcribe on one side, the client port on the other. Every
 * part listens on port 0 of the loopback and is closed with the test that opened it.
 */
import {
  createEmulator,
  EXAMPLE_ACCOUNT,
  type Emulator,
  type EmulatorOptions,
} from '../../src/emulator/index.ts'
import type { FaultAction, FaultScriptInput, StreamRecord } from '../../src/emulator/index.ts'
import type { ClientOptions } from 'ws'
import { createLogger } from '../../src/log.ts'
import { createRelay, type Relay, type RelayAddresses, type RelayDependencies } from '../../src/relay.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { scrapeMetrics, type MetricValues } from './metric-values.ts'
import { LogRecorder } from './log-recorder.ts'
import { RelayClient } from './relay-client.ts'

/** The part of a test that a helper needs. */
export interface Closing {
  teardown(action: () => unknown): void
}

/** Audio may come as fast as the loopback carries it. */
export const ANY_SPEED = {
  paceRate: 1000,
  paceBurstMs: 600_000,
  messagesPerSecond: 10_000,
} as const

/** On free ports, and however busy the machine is that tests share: what that does has tests of its own. */
const LOCAL = {
  host: '127.0.0.1',
  port: 0,
  opsHost: '127.0.0.1',
  opsPort: 0,
  overloadLagMs: 60_000,
  overloadMemoryRatio: 1,
} as const

/** The quotas of an emulator out of the way. */
export const NO_QUOTAS = { concurrentStreams: 100_000, startsPerSecond: 100_000 } as const

export interface RunningRelay extends RelayAddresses {
  readonly relay: Relay
  readonly log: LogRecorder
  /** Opens a client; `query` goes behind `/v1/stream`. */
  connect(query?: string, options?: ClientOptions): Promise<RelayClient>
  scrape(): Promise<MetricValues>
}

export async function startRelay(
  t: Closing,
  options: Partial<RelayOptions>,
  dependencies: RelayDependencies = {},
): Promise<RunningRelay> {
  const log = new LogRecorder()
  const relay = createRelay(
    { ...LOCAL, region: 'us-east-1', ...options },
    {
      credentials: EXAMPLE_ACCOUNT,
      logger: createLogger({ level: 'trace', version: '0.0.0', sink: log }),
      ...dependencies,
    },
  )
  t.teardown(() => relay.close())
  const addresses = await relay.start()
  return {
    ...addresses,
    relay,
    log,
    connect: (query = '', webSocket = {}) =>
      RelayClient.open(t, `${addresses.url}${query === '' ? '' : `?${query}`}`, webSocket),
    scrape: () => scrapeMetrics(addresses.opsUrl),
  }
}

export interface World extends RunningRelay {
  readonly emulator: Emulator
  /** Gives the next stream this fault, and no other. Returns the number of its connection. */
  faultNext(...actions: readonly FaultAction[]): number
  /** The record of a connection, once its stream has ended. */
  endOf(connection: number): Promise<StreamRecord>
  /** The record of a client's stream, once it has ended. */
  streamOf(client: RelayClient): Promise<StreamRecord>
}

export interface WorldOptions {
  readonly relay?: Partial<RelayOptions>
  readonly emulator?: EmulatorOptions
  readonly dependencies?: RelayDependencies
}

export async function startWorld(t: Closing, options: WorldOptions = {}): Promise<World> {
  const emulator = createEmulator({ ...NO_QUOTAS, ...options.emulator })
  t.teardown(() => emulator.close())
  const { url } = await emulator.start()
  const running = await startRelay(t, { ...ANY_SPEED, endpoint: url, ...options.relay }, options.dependencies)
  return {
    ...running,
    emulator,
    faultNext(...actions) {
      const connection = emulator.connectionCount + 1
      const rules = actions.map(action => ({ match: { connection }, action }))
      emulator.setFaults({ rules } satisfies FaultScriptInput)
      return connection
    },
    endOf: connection => emulator.waitForStream(record => record.connection === connection && !record.isLive),
    streamOf: async client => {
      const { session_id: sessionId } = await client.waitFor('Begin')
      return emulator.waitForStream(record => record.sessionId === sessionId && !record.isLive)
    },
  }
}
