/** The relay under test, a process of its own: ours from dist/, or one of the peers. */
import { Session } from 'node:inspector/promises'
import { pathToFileURL } from 'node:url'
import type * as TranscribeRelay from '../../src/index.ts'
import type { Peer, PeerOptions, StartPeer } from '../peers/peer.ts'
import { answer, readConfig } from './child.ts'
import { watchUsage } from './usage.ts'

export type Candidate = 'ours' | 'plain' | 'sdk' | 'floor'

export interface RelayConfig extends PeerOptions {
  readonly candidate: Candidate
  /** Of our relay: an `index.js`, or the `index.ts` of the sources. */
  readonly entryFile: string
}

/** With the defaults of the product, but for ports and capacity. */
async function startOurs(options: RelayConfig): Promise<Peer> {
  const entry = pathToFileURL(options.entryFile).href
  const { createRelay } = (await import(entry)) as typeof TranscribeRelay
  const relay = createRelay(
    {
      host: '127.0.0.1',
      port: 0,
      opsHost: '127.0.0.1',
      opsPort: 0,
      region: options.region,
      endpoint: options.webSocketUrl,
      maxSessions: options.maxSessions,
    },
    { credentials: { ...options.credentials }, env: {} },
  )
  const { port } = await relay.start()
  return { port, close: () => relay.close() }
}

const config = readConfig() as RelayConfig

const STARTERS: Readonly<Record<Candidate, () => Promise<StartPeer>>> = {
  ours: async () => () => startOurs(config),
  plain: async () => (await import('../peers/plain-relay.ts')).startPlainRelay,
  sdk: async () => (await import('../peers/sdk-relay.ts')).startSdkRelay,
  floor: async () => (await import('../peers/floor-relay.ts')).startFloorRelay,
}

const usage = watchUsage()
const profiler = new Session()
let peer: Peer | null = null

answer({
  start: async () => {
    const start = await STARTERS[config.candidate]()
    peer = await start(config)
    return { url: `ws://127.0.0.1:${peer.port}/v1/stream` }
  },
  usage,
  profileStart: async () => {
    profiler.connect()
    await profiler.post('Profiler.enable')
    await profiler.post('Profiler.start')
    return null
  },
  profileStop: async () => {
    const { profile } = await profiler.post('Profiler.stop')
    return JSON.stringify(profile)
  },
})
