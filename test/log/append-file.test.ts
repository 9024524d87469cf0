/** The file of the audit: rotated, full, gone, slow. */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AppendFile } from '../../src/log/append-file.ts'
import { ManualClock } from '../support/manual-clock.ts'

const LONG_MS = 60_000

function openAppendFile(t: Test, path: string) {
  const failures: [lostLines: number, error: unknown][] = []
  const clock = new ManualClock()
  const file = new AppendFile({ path, clock, onFailure: (lost, error) => failures.push([lost, error]) })
  t.teardown(() => file.close())
  return { clock, failures, file }
}

const linesOf = (path: string): string[] => fs.readFileSync(path, 'utf8').trim().split('\n')

t.test('lines are appended, and go to a new file when the old one was renamed or removed', async t => {
  const path = join(t.testdir({ audit: 'before\n' }), 'audit')
  const { file } = openAppendFile(t, path)
  file.write('one\n')
  await file.flush(LONG_MS)
  t.strictSame(linesOf(path), ['before', 'one'])
  fs.renameSync(path, `${path}.1`)
  file.write('two\n')
  await file.look()
  file.write('three\n')
  await file.flush(LONG_MS)
  t.strictSame(linesOf(`${path}.1`), ['before', 'one', 'two'])
  t.strictSame(linesOf(path), ['three'])
  fs.rmSync(path)
  await file.look()
  file.write('four\n')
  await file.flush(LONG_MS)
  t.strictSame(linesOf(path), ['four'])
  t.equal(fs.statSync(path).mode & 0o007, 0, 'not for everybody')
  t.equal(file.lostLines, 0)
})

t.test('the look is taken every two seconds, and ends with the file', async t => {
  const path = join(t.testdir({}), 'audit')
  const { clock, file } = openAppendFile(t, path)
  fs.rmSync(path)
  clock.advance(2000)
  while (!fs.existsSync(path)) await new Promise(resolve => setImmediate(resolve))
  await file.close()
  t.equal(clock.pendingTimers, 0)
})

t.test('a full disk costs lines, which are counted and told, and the next ones are tried', async t => {
  const path = join(t.testdir({}), 'audit')
  const { failures, file } = openAppendFile(t, path)
  const { write } = fs
  const refuse = (...args: unknown[]): void => {
    const done = args[5] as (error: Error, count: number) => void
    setImmediate(done, Object.assign(new Error('no space'), { code: 'ENOSPC' }), 0)
  }
  const restore = t.intercept(fs, 'write', { value: refuse })
  file.write('lost\n')
  await file.flush(LONG_MS)
  await file.look()
  t.strictSame(failures, [[1, null]])
  restore.restore()
  t.equal(fs.write, write)
  file.write('kept\n')
  await file.flush(LONG_MS)
  t.strictSame(linesOf(path), ['kept'])
  await file.look()
  t.equal(failures.length, 1, 'told once')
})

t.test('a disk that takes nothing holds a bounded number of bytes', async t => {
  const path = join(t.testdir({}), 'pipe')
  execFileSync('mkfifo', [path])
  const reader = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  const { file } = openAppendFile(t, path)
  const line = `${'x'.repeat(10_000)}\n`
  for (let count = 0; count < 1000; count += 1) file.write(line)
  t.ok(file.lostLines > 880, `${file.lostLines} lines lost`)
  t.ok(file.lostLines < 1000)
  fs.closeSync(reader)
})

t.test('a folder that is gone is reported, and the file in hand is written on', async t => {
  const folder = join(t.testdir({ logs: {} }), 'logs')
  const { failures, file } = openAppendFile(t, join(folder, 'audit'))
  fs.rmSync(folder, { recursive: true })
  await file.look()
  t.match(failures, [[0, { code: 'ENOENT' }]])
  file.write('one\n')
  await file.flush(LONG_MS)
  t.equal(file.lostLines, 0)
})

t.test('what cannot be opened is an error at once, also a pipe without a reader', async t => {
  const folder = t.testdir({})
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const options = { clock: new ManualClock(), onFailure: () => {} }
  t.throws(() => new AppendFile({ ...options, path: pipe }), { code: 'ENXIO' })
  t.throws(() => new AppendFile({ ...options, path: folder }), { code: 'EISDIR' })
})
