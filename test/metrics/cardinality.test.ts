/** What a scrape costs, however many sessions there were and whatever they said. */
import t from 'tap'
import type { ErrorCode } from '../../src/errors.ts'
import { ERROR_CODES, RelayError } from '../../src/errors.ts'
import { createMetrics } from '../../src/metrics/registry.ts'
import type { RelayMetrics } from '../../src/metrics/registry.ts'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import { AdmissionGate } from '../../src/session/admission-gate.ts'
import { SessionRegistry } from '../../src/session/registry.ts'
import { ROLLOVER_REASONS } from '../../src/session/rollover-policy.ts'
import { LANGUAGE_CODES } from '../../src/transcribe/languages.ts'
import { CONNECT_REASONS } from '../../src/upstream/connect-failure.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { MemoryClient, MemoryDialer, MemoryLog } from '../support/memory-ports.ts'
import { createRandom } from '../support/random.ts'
import { audioOf, DEFAULTS, LIMITS, queryOf } from '../support/session-harness.ts'

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1e9)
const SESSIONS = 10_000
const MAX_SERIES = 400
const MAX_SCRAPE_CPU_MS = 50

function startSessions() {
  const clock = new ManualClock()
  const dialer = new MemoryDialer()
  const metrics: RelayMetrics = createMetrics({
    version: '1.2.3',
    connectReasons: CONNECT_REASONS,
    violationReasons: VIOLATION_CODES,
    sources: {
      activeSessions: () => registry.activeCount,
      maxSessions: () => SESSIONS,
      isReady: () => true,
      isDraining: () => false,
      clientBufferedBytes: () => registry.buffered('client'),
      upstreamBufferedBytes: () => registry.buffered('upstream'),
      credentials: () => ({ refreshesOk: 1, refreshesFailed: 0, expiresAtMs: null }),
      logLines: () => ({ info: 0 }),
      sessionsAway: () => 0,
      admission: { refusals: () => 0, isClosed: () => false, load: () => 0 },
    },
  })
  const registry: SessionRegistry = new SessionRegistry(
    { maxSessions: SESSIONS, tickMs: 100, reconnectSpreadMs: 0 },
    {
      clock,
      dialer,
      metrics,
      log: new MemoryLog(),
      limits: { ...LIMITS, rolloverAttempts: 0 },
      defaults: DEFAULTS,
      readiness: () => null,
      random: () => 0.5,
      gate: new AdmissionGate({ clock, maxSessions: SESSIONS, probes: [], onChange: () => {} }),
      origin: { relay: 'test', process: 1 },
    },
  )
  return { dialer, metrics, registry }
}

async function countSeries(metrics: RelayMetrics): Promise<number> {
  const { body } = await metrics.scrape()
  return body.split('\n').filter(line => line.startsWith('transcribe_relay_')).length
}

t.test(`OB-01 ten thousand sessions of all kinds make no series, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  const pick = <Value>(values: readonly Value[]): Value => {
    const value = values[Math.floor(random() * values.length)]
    if (value === undefined) throw new Error('nothing to pick from')
    return value
  }
  const noise = (): string => Math.floor(random() * 2 ** 48).toString(36)
  const { dialer, metrics, registry } = startSessions()
  const before = await countSeries(metrics)
  for (let count = 0; count < SESSIONS; count += 1) {
    const client = new MemoryClient()
    const listener = registry.open(client, {
      sessionId: noise(),
      query: queryOf(`language-code=${pick(LANGUAGE_CODES)}&vocabulary-name=${noise()}`),
      remoteAddress: `192.0.2.${count % 256}`,
      access: {
        principal: noise(),
        method: noise(),
        refusalOf: () => null,
        endOf: () => null,
        takeWarning: () => null,
        renew: async () => null,
      },
    })
    client.listener = listener
    const code: ErrorCode = pick(ERROR_CODES)
    if (random() < 0.5) dialer.last.fail(new RelayError(code, { detail: noise() }))
    else dialer.last.open()
    listener.clientOnAudio(audioOf(100))
    if (random() < 0.5) listener.clientOnText(noise())
    metrics.countUpstreamException(`${noise()}Exception`)
    metrics.countConnect('error', noise())
    metrics.countViolation(noise())
    metrics.countDecodeError(noise())
    metrics.countHandshake('rejected', code)
    metrics.countRollover(pick(ROLLOVER_REASONS))
    listener.clientOnClose({ code: 'client_closed', closeCode: 1000 + (count % 4000) })
  }
  t.equal(registry.activeCount, 0)
  t.equal(await countSeries(metrics), before)
  t.ok(before < MAX_SERIES, `${before} series`)
  registry.close()
})

t.test('OB-07 a scrape of a thousand sessions takes little of the processor', async t => {
  const { dialer, metrics, registry } = startSessions()
  for (let count = 0; count < 1000; count += 1) {
    const client = new MemoryClient()
    client.buffered = count
    const listener = registry.open(client, {
      sessionId: String(count),
      query: queryOf(''),
      remoteAddress: '192.0.2.1',
    })
    client.listener = listener
    if (count % 2 === 0) dialer.last.open()
    // The other half waits for a service that does not answer.
    listener.clientOnAudio(audioOf(100))
  }
  const scrapes = 100
  const before = process.cpuUsage()
  for (let count = 0; count < scrapes; count += 1) await metrics.scrape()
  const { system, user } = process.cpuUsage(before)
  const cpuMs = (user + system) / 1000 / scrapes
  t.comment(`${cpuMs.toFixed(1)} ms of the processor for one scrape`)
  t.ok(cpuMs < MAX_SCRAPE_CPU_MS)
  registry.abortAll()
  registry.close()
})
