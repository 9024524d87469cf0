import { once, EventEmitter } from 'node:events'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { WatchedFile } from '../../../src/server/auth/watched-file.ts'
import { ManualClock } from '../../support/manual-clock.ts'

class Watcher extends EventEmitter {
  readonly clock = new ManualClock()
  readonly contents: string[] = []
  readonly failures: unknown[] = []
  readonly file: WatchedFile

  constructor(t: { teardown(action: () => void): void }, path: string, maxBytes = 100) {
    super()
    this.file = new WatchedFile({
      path,
      maxBytes,
      clock: this.clock,
      onContent: text => {
        if (text === 'bad') throw new Error('bad content')
        this.contents.push(text)
      },
      onReload: name => this.emit('reload', name),
      onFailure: (_name, error) => {
        this.failures.push(error)
        this.emit('failure')
      },
    })
    t.teardown(() => this.file.close())
  }

  /** The system tells of a change when it likes; the timer is then set. */
  async next(event: 'reload' | 'failure'): Promise<void> {
    const happened = once(this, event)
    await this.pendingDebounce()
    this.clock.advance(200)
    await happened
  }

  async pendingDebounce(): Promise<void> {
    while (this.clock.pendingTimers < 2) await new Promise(resolve => setImmediate(resolve))
  }
}

t.test('a change is read once, however many events tell of it', async t => {
  const folder = t.testdir({ keys: 'one' })
  const path = join(folder, 'keys')
  const watcher = new Watcher(t, path)
  await watcher.file.start()
  writeFileSync(path, 'two')
  writeFileSync(path, 'three')
  await watcher.next('reload')
  t.strictSame(watcher.contents, ['one', 'three'])
})

t.test('a file that is replaced by renaming is seen, as Kubernetes replaces a Secret', async t => {
  const folder = t.testdir({ 'data-1': { keys: 'one' } })
  symlinkSync('data-1', join(folder, '..data'))
  symlinkSync('..data/keys', join(folder, 'keys'))
  const watcher = new Watcher(t, join(folder, 'keys'))
  await watcher.file.start()
  mkdirSync(join(folder, 'data-2'))
  writeFileSync(join(folder, 'data-2', 'keys'), 'two')
  symlinkSync('data-2', join(folder, '..new'))
  renameSync(join(folder, '..new'), join(folder, '..data'))
  await watcher.next('reload')
  t.strictSame(watcher.contents, ['one', 'two'])
})

t.test(
  'a content that is not valid is reported once and leaves the old one; the next good one is taken',
  async t => {
    const folder = t.testdir({ keys: 'one' })
    const path = join(folder, 'keys')
    const watcher = new Watcher(t, path)
    await watcher.file.start()
    writeFileSync(path, 'bad')
    await watcher.next('failure')
    t.match(watcher.failures, [{ message: 'bad content' }])
    writeFileSync(path, 'x'.repeat(101))
    await watcher.next('failure')
    t.match(watcher.failures[1], { message: 'keys must have at most 100 bytes' })
    rmSync(path)
    writeFileSync(path, 'two')
    await watcher.next('reload')
    t.strictSame(watcher.contents, ['one', 'two'])
    t.equal(watcher.failures.length, 2)
  },
)

t.test('what the system did not tell is found by the slow look', async t => {
  const folder = t.testdir({ keys: 'one' })
  const watcher = new Watcher(t, join(folder, 'keys'))
  await watcher.file.start()
  const reloaded = once(watcher, 'reload')
  writeFileSync(join(folder, 'keys'), 'two')
  watcher.clock.advance(60_200)
  await reloaded
  t.strictSame(watcher.contents, ['one', 'two'])
})

t.test('a file that cannot be read at the start is an error with its name, and leaves no timer', async t => {
  const folder = t.testdir({})
  const missing = new Watcher(t, join(folder, 'keys'))
  await t.rejects(missing.file.start(), {
    name: 'AuthFileError',
    message: 'keys must be a readable file (ENOENT)',
  })
  t.equal(missing.clock.pendingTimers, 0)
})

t.test('closed, it looks no more', async t => {
  const folder = t.testdir({ keys: 'one' })
  const watcher = new Watcher(t, join(folder, 'keys'))
  const starting = watcher.file.start()
  watcher.file.close()
  await starting
  t.equal(watcher.clock.pendingTimers, 0)
  const second = new Watcher(t, join(folder, 'keys'))
  await second.file.start()
  writeFileSync(join(folder, 'keys'), 'two')
  await second.pendingDebounce()
  second.file.close()
  t.equal(second.clock.pendingTimers, 0)
})
