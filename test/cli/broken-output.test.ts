/** Nobody reads what a command prints any more. */
import { once } from 'node:events'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { startCli } from '../support/cli.ts'
import type { CliProcess } from '../support/cli.ts'
import { fetchText, parseMetrics } from '../support/metric-values.ts'

function start(t: Test, args: readonly string[]): CliProcess {
  const running = startCli(args)
  t.teardown(() => running.child.kill('SIGKILL'))
  return running
}

function stopReading({ child }: CliProcess): void {
  child.stdout.destroy()
  child.stderr.destroy()
}

t.test('the emulator serves on, and ends when it is told to', async t => {
  const emulate = start(t, ['emulate', '--engine', 'scripted'])
  const [, url = ''] = await emulate.waitFor(/listens at (ws:\S+)/)
  stopReading(emulate)
  for (let connection = 0; connection < 5; connection += 1) {
    // Each is refused with a line for it.
    const socket = new WebSocket(`${url}/stream-transcription-websocket`)
    t.match(await once(socket, 'error'), [/403|400/], `connection ${connection}`)
  }
  emulate.child.kill('SIGTERM')
  t.match(await emulate.result, { code: 0 })
})

t.test('the canary goes on with its runs and its figures', async t => {
  const folder = t.testdir({ 'a.raw': Buffer.alloc(3200) })
  const sample = ['--sample', join(folder, 'a.raw'), '--words', 'any', '--every', '1s']
  const target = ['--url', 'ws://127.0.0.1:1/v1/stream', '--ops-host', '127.0.0.1', '--ops-port', '0']
  const canary = start(t, ['canary', ...sample, ...target])
  const [, metricsUrl = ''] = await canary.waitFor(/^metrics +(\S+\/metrics)$/m)
  stopReading(canary)
  let runs = 0
  while (runs < 3) {
    const values = parseMetrics(await fetchText(metricsUrl))
    runs = values.get('canary_runs_total{outcome="failed"}') ?? 0
  }
  canary.child.kill('SIGTERM')
  t.match(await canary.result, { code: 0 })
})

t.test('a command that only prints ends without a failure', async t => {
  const help = start(t, ['help', 'serve'])
  stopReading(help)
  t.match(await help.result, { code: 0 })
})
