/** The relay of the soak, a process of its own with `--expose-gc`: says what it holds after a collection. */
import { readdirSync } from 'node:fs'
import { answer, readConfig } from '../../bench/e2e/child.ts'
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { createLogger } from '../../src/log.ts'
import { createRelay } from '../../src/relay.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { VERSION } from '../../src/version.ts'
import type { SoakSample } from './judge.ts'

export type Holdings = Omit<SoakSample, 'seconds' | 'sessions'>

const options = readConfig() as Partial<RelayOptions>
/** Lines are counted, or standard output would have to be read. */
let logLines = 0
const relay = createRelay(
  { host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, region: 'us-east-1', ...options },
  {
    credentials: EXAMPLE_ACCOUNT,
    env: {},
    logger: createLogger({
      level: 'info',
      version: VERSION,
      sink: { write: () => void (logLines += 1), lostLines: 0, flush: () => Promise.resolve() },
    }),
  },
)

/** Collections until nothing more goes: finalisers of one free what the next one takes. */
async function collect(): Promise<void> {
  const { gc } = globalThis
  if (gc === undefined) throw new Error('the soak needs --expose-gc')
  for (let round = 0; round < 4; round += 1) {
    gc()
    await new Promise(resolve => setImmediate(resolve))
  }
}

function countByName(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

answer({
  start: () => relay.start(),
  active: () => relay.activeSessions,
  logLines: () => logLines,
  sample: async (): Promise<Holdings> => {
    await collect()
    const { external, heapUsed, rss } = process.memoryUsage()
    return {
      liveBytes: heapUsed + external,
      rssBytes: rss,
      descriptors: readdirSync('/proc/self/fd').length,
      resources: countByName(process.getActiveResourcesInfo()),
      listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    }
  },
  stop: async () => {
    await relay.drain()
    return null
  },
})
