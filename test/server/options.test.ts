import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import type { ClientServerOptions } from '../../src/server/options.ts'
import { resolveClientServerOptions } from '../../src/server/options.ts'
import { RecordingMetrics } from '../support/client-server.ts'

const NEEDED: ClientServerOptions = {
  metrics: new RecordingMetrics(),
  onFailure: () => {},
  streamDefaults: { parameters: {}, format: 'simple', words: false, partials: true, extraLanguageCodes: [] },
}

t.test('completes the options with their documented defaults, and freezes them', test => {
  const settings = resolveClientServerOptions(NEEDED)
  test.match(settings, {
    host: '127.0.0.1',
    port: 8080,
    maxMessageBytes: 65_536,
    clientHardBufferBytes: 262_144,
    idleTimeoutSeconds: 32,
    handshakeTimeoutMs: 5000,
    closeTimeoutMs: 10_000,
    maxConnections: null,
    handshakeErrors: 'auto',
    guard: null,
    authorize: null,
  })
  test.equal(settings.clock, systemClock)
  test.ok(Object.isFrozen(settings))
  test.end()
})

t.test('refuses what would end the process, naming the option, its value and the rule', test => {
  const refused: [Partial<ClientServerOptions>, string][] = [
    [{ idleTimeoutSeconds: 4 }, 'idleTimeoutSeconds must be a multiple of 4 from 8 to 960, got 4'],
    [{ idleTimeoutSeconds: 964 }, 'idleTimeoutSeconds must be a multiple of 4 from 8 to 960, got 964'],
    [{ idleTimeoutSeconds: 30 }, 'idleTimeoutSeconds must be a multiple of 4 from 8 to 960, got 30'],
    [{ idleTimeoutSeconds: Number.NaN }, 'idleTimeoutSeconds must be a multiple of 4 from 8 to 960, got NaN'],
    [{ port: 65_536 }, 'port must be a whole number from 0 to 65535, got 65536'],
    [{ port: 80.5 }, 'port must be a whole number from 0 to 65535, got 80.5'],
    [{ maxMessageBytes: 0 }, 'maxMessageBytes must be a whole number from 1024 to 1048576, got 0'],
    [
      { clientHardBufferBytes: 1 },
      'clientHardBufferBytes must be a whole number from 65536 to 16777216, got 1',
    ],
    [{ handshakeTimeoutMs: 0 }, 'handshakeTimeoutMs must be a whole number from 100 to 60000, got 0'],
    [{ closeTimeoutMs: Infinity }, 'closeTimeoutMs must be a whole number from 100 to 60000, got Infinity'],
    [{ maxConnections: 0 }, 'maxConnections must be a whole number from 1 to 1000000, got 0'],
    [{ host: '' }, 'host must not be empty, got ""'],
    [{ handshakeErrors: 'tcp' as 'http' }, 'handshakeErrors must be one of auto, http, websocket, got "tcp"'],
  ]
  for (const [options, message] of refused) {
    test.throws(() => resolveClientServerOptions({ ...NEEDED, ...options }), { name: 'RangeError', message })
  }
  test.end()
})

t.test('accepts each bound', test => {
  const accepted: Partial<ClientServerOptions>[] = [
    { idleTimeoutSeconds: 8 },
    { idleTimeoutSeconds: 960 },
    { port: 0 },
    { port: 65_535 },
    { maxMessageBytes: 1024 },
    { maxMessageBytes: 1_048_576 },
    { maxConnections: 1 },
    { maxConnections: null },
    { handshakeErrors: 'websocket' },
  ]
  for (const options of accepted) test.match(resolveClientServerOptions({ ...NEEDED, ...options }), options)
  test.end()
})
