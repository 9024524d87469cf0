/**
 * What a refused handshake costs a relay in a process of its own (AU-17): printed, and bounded generously, as the machine of a
 * test has other work too. `npm run bench:access` has the figures of the guard alone.
 */
import { createHash } from 'node:crypto'
import t from 'tap'
import { startEmulatorProcess } from '../support/emulator-process.ts'
import { usageOf } from '../support/process-usage.ts'
import { encodeHandshake, RawSocket } from '../support/raw-socket.ts'
import { startRelayProcess } from '../support/relay-process.ts'

const WARM_UP = 2000
const ATTEMPTS = 5000
const MAX_CPU_MS = 2

t.test('a wrong key costs a fraction of a millisecond, and ten lines of log a second', async t => {
  const emulator = await startEmulatorProcess(t)
  const key = `clinic:${createHash('sha256').update('right').digest('hex')}`
  const relay = await startRelayProcess(t, {
    flags: {
      endpoint: emulator.url,
      auth: 'keys',
      'handshakes-per-second': 0,
      'address-handshakes-per-second': 0,
    },
    env: { RELAY_API_KEYS: key },
  })
  const raw = await RawSocket.connect(relay.port)
  t.teardown(() => raw.destroy())
  const request = encodeHandshake('dGhlIHNhbXBsZSBub25jZQ==', { headers: { authorization: 'Bearer wrong' } })
  const refuse = async (): Promise<number> => {
    raw.write(request)
    return (await raw.readAnswer()).status
  }
  for (let attempt = 0; attempt < WARM_UP; attempt += 1) await refuse()
  const startedMs = performance.now()
  const before = usageOf(relay.pid).cpuSeconds
  let refused = 0
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) refused += (await refuse()) === 401 ? 1 : 0
  t.equal(refused, ATTEMPTS)
  const cpuMs = ((usageOf(relay.pid).cpuSeconds - before) * 1000) / ATTEMPTS
  const seconds = (performance.now() - startedMs) / 1000
  t.comment(
    `${cpuMs.toFixed(3)} ms of CPU each, ${Math.round(ATTEMPTS / seconds)} a second over one connection`,
  )
  t.ok(cpuMs < MAX_CPU_MS, `${cpuMs} ms`)
  const lines = relay.output.stdout.split('client refused').length - 1
  t.ok(lines <= 10 * (seconds + 20), `${lines} lines of log`)
  t.equal(
    (await relay.scrape()).get('handshakes_total{outcome="rejected",reason="token_invalid"}'),
    WARM_UP + ATTEMPTS,
  )
})
