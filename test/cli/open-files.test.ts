/** What commands open they close, also where nothing was sent of it. */
import { readdirSync, readlinkSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { join } from 'node:path'
import t from 'tap'
import { openAudioFile } from '../../src/cli/audio-input.ts'
import { runProgram } from '../../src/cli/program.ts'
import { memoryContext } from '../support/cli.ts'
import { ManualClock } from '../support/manual-clock.ts'

const NOBODY = 'ws://127.0.0.1:1/v1/stream'
const RUNS = 5

/** Descriptors of this process that lead to the file. */
function countOpen(path: string): number {
  return readdirSync('/proc/self/fd').filter(name => {
    try {
      return readlinkSync(join('/proc/self/fd', name)) === path
    } catch (error) {
      // That of the listing itself is gone by now.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false
      throw error
    }
  }).length
}

t.test('a canary that reaches nobody keeps no sample open', async t => {
  const sample = join(t.testdir({ 'a.raw': Buffer.alloc(320_000) }), 'a.raw')
  const clock = new ManualClock()
  const context = memoryContext({ clock })
  const target = ['--url', NOBODY, '--ops-host', '127.0.0.1', '--ops-port', '0']
  const running = runProgram(
    ['canary', ...target, '--sample', sample, '--words', 'any', '--every', '1s'],
    context,
  )
  for (let run = 1; run <= RUNS; run += 1) {
    while (context.output.stdout.split('\n').length <= run || clock.pendingTimers === 0) await setImmediate()
    clock.advance(1000)
  }
  context.signal('SIGTERM')
  t.equal(await running, 0)
  t.match(context.output.stdout, /"connection_failed"/)
  t.equal(countOpen(sample), 0)
})

t.test('a stream that reaches nobody keeps no file open', async t => {
  const file = join(t.testdir({ 'a.raw': Buffer.alloc(320_000) }), 'a.raw')
  t.equal(await runProgram(['stream', file, '--url', NOBODY], memoryContext()), 1)
  t.equal(countOpen(file), 0)
})

t.test('a file may be closed twice, while it is read, and after it was', async t => {
  const path = join(t.testdir({ 'a.raw': Buffer.alloc(320_000) }), 'a.raw')
  const input = await openAudioFile(path, { sampleRate: 16_000, channels: 1, forced: false })
  t.equal(countOpen(path), 1)
  const reading = (async () => {
    for await (const part of input.pcm) t.ok(part.length > 0)
  })()
  await t.resolves(input.close())
  await t.rejects(reading, { name: 'CommandError' })
  t.equal(countOpen(path), 0)
  await t.resolves(input.close())
})
