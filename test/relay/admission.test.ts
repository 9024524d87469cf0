import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { totalmem } from 'node:os'
import t from 'tap'
import { resolveOptions } from '../../src/config/resolve.ts'
import { createLogger } from '../../src/log.ts'
import { createAdmission, memoryLimit, OpenFiles } from '../../src/relay/admission.ts'
import { connectionCapacity } from '../../src/server/file-limit.ts'
import { SAMPLE_MS } from '../../src/session/admission-gate.ts'
import { LogRecorder } from '../support/log-recorder.ts'
import { ManualClock } from '../support/manual-clock.ts'

t.test('the memory limit is what is given, else that of the container, else the machine', async t => {
  t.equal(memoryLimit(500, 1000, 2000), 500)
  t.equal(memoryLimit(0, 1000, 2000), 1000)
  t.equal(memoryLimit(0, 2 ** 63, 2000), 2000, 'no limit is a number beyond every machine')
  for (const none of [0, -1]) t.equal(memoryLimit(0, none, 2000), 2000)
  const here = memoryLimit(0)
  t.ok(here > 0 && here <= totalmem())
})

t.test('open files are counted where the system says them', async t => {
  const folder = t.testdir({ 0: '', 1: '', 2: '', 3: '' })
  const files = new OpenFiles(folder)
  t.equal(files.count(0), null, 'not read yet')
  await files.refresh()
  t.equal(files.count(10), 3)
  const here = new OpenFiles()
  await here.refresh()
  t.ok((here.count(0) ?? 0) > 3)
  const nowhere = new OpenFiles(join(folder, 'no'))
  await nowhere.refresh()
  t.equal(nowhere.count(0), null)
})

t.test('connections leave every session its upstream', async t => {
  t.equal(connectionCapacity(300, 1024), 596)
  t.equal(connectionCapacity(300, 100), 1)
  t.equal(connectionCapacity(300, 10_000_000), 1_000_000)
  t.equal(connectionCapacity(300, null), null)
})

t.test('a gate that changes is a line in the log', async t => {
  const log = new LogRecorder()
  const logger = createLogger({ level: 'info', version: '0', sink: log })
  const clock = new ManualClock()
  const { options } = resolveOptions({ overrides: { memoryLimitBytes: 1, overloadMemoryRatio: 1 } })
  const gate = createAdmission(options, clock, logger)
  clock.advance(SAMPLE_MS)
  t.equal(gate.refuse(0), 'memory')
  t.match(log.lines, [{ message: 'new sessions refused', reason: 'memory' }])
  t.ok(
    readFileSync('docs/operations.md', 'utf8').includes('new sessions refused'),
    'and the runbook knows it',
  )
  gate.close()
})
