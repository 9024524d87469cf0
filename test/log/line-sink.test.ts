import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../src/clock.ts'
import { LineSink } from '../../src/log/line-sink.ts'
import { ManualClock } from '../support/manual-clock.ts'

/** Longer than any of these tests takes. */
const LONG_MS = 60_000

/** A pipe whose two ends never block, as a full pipe must not stop the test. */
function openPipe(t: Test): { path: string; readFd: number; writeFd: number } {
  const path = join(t.testdir(), 'pipe')
  execFileSync('mkfifo', [path])
  const readFd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK)
  const writeFd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK)
  return { path, readFd, writeFd }
}

type WriteDone = (error: NodeJS.ErrnoException | null, count: number) => void
type WriteArguments = [
  fd: number,
  bytes: Buffer,
  offset: number,
  length: number,
  position: null,
  done: WriteDone,
]

const { write } = fs

function writeThreeBytes(...[fd, bytes, offset, , position, done]: WriteArguments): void {
  write(fd, bytes, offset, 3, position, done)
}

function refuseWrite(...args: WriteArguments): void {
  setImmediate(args[5], Object.assign(new Error('no space'), { code: 'ENOSPC' }), 0)
}

t.test('lines arrive whole and in order, also through a pipe that is full at first', async t => {
  const { path, readFd, writeFd } = openPipe(t)
  const sink = new LineSink(writeFd, { clock: systemClock })
  const lines = Array.from({ length: 3000 }, (_, index) => `${index} ${'x'.repeat(100)}\n`)
  for (const line of lines) sink.write(line)
  const arrived = text(fs.createReadStream(path))
  await sink.flush(LONG_MS)
  for (const fd of [readFd, writeFd]) fs.closeSync(fd)
  t.equal(await arrived, lines.join(''))
  t.equal(sink.lostLines, 0)
})

t.test(
  'beside other writers no write is larger than what arrives in one piece, unless one line is',
  async t => {
    const { path, readFd, writeFd } = openPipe(t)
    const sizes: number[] = []
    t.intercept(fs, 'write', {
      value: (...args: WriteArguments) => {
        sizes.push(args[3])
        write(...args)
      },
    })
    const sink = new LineSink(writeFd, { clock: systemClock, maxWriteBytes: 4096 })
    const lines = [10, 2000, 2000, 95, 1, 5000, 10].map(sizeBytes => `${'x'.repeat(sizeBytes - 1)}\n`)
    for (const line of lines) sink.write(line)
    const arrived = text(fs.createReadStream(path))
    await sink.flush(LONG_MS)
    for (const fd of [readFd, writeFd]) fs.closeSync(fd)
    t.equal(await arrived, lines.join(''))
    t.strictSame(sizes, [10, 4096, 5000, 10])
    t.equal(sink.lostLines, 0)
  },
)

t.test('a reader that stalls costs the lines beyond the buffer, and a flush only its time', async t => {
  const { readFd, writeFd } = openPipe(t)
  t.teardown(() => [readFd, writeFd].forEach(fd => fs.closeSync(fd)))
  const clock = new ManualClock()
  const sink = new LineSink(writeFd, { clock, maxBufferedBytes: 200_000 })
  const line = `${'x'.repeat(999)}\n`
  for (let index = 0; index < 300; index++) sink.write(line)
  t.equal(sink.lostLines, 100)
  const flushed = sink.flush(1000)
  clock.advance(1000)
  await flushed
})

t.test('a flush with nothing to write is done at once', async () => {
  await new LineSink(1, { clock: new ManualClock() }).flush(1000)
})

t.test('a reader that is gone costs every line from then on', async t => {
  const { readFd, writeFd } = openPipe(t)
  t.teardown(() => fs.closeSync(writeFd))
  fs.closeSync(readFd)
  const sink = new LineSink(writeFd, { clock: systemClock })
  sink.write('first\n')
  sink.write('waits behind the first\n')
  await sink.flush(LONG_MS)
  sink.write('after\n')
  await sink.flush(LONG_MS)
  t.equal(sink.lostLines, 3)
})

t.test('a full disk costs the lines of that time only, and the next line starts on its own', async t => {
  const path = join(t.testdir(), 'log')
  const fd = fs.openSync(path, 'w')
  t.teardown(() => fs.closeSync(fd))
  const sink = new LineSink(fd, { clock: systemClock })
  // The disk takes 3 bytes of the second line, then nothing.
  const answers = [write, writeThreeBytes, refuseWrite, write]
  t.intercept(fs, 'write', { value: (...args: WriteArguments) => answers.shift()?.(...args) })
  for (const line of ['one\n', 'two\n', 'three\n']) {
    sink.write(line)
    await sink.flush(LONG_MS)
  }
  t.equal(fs.readFileSync(path, 'utf8'), 'one\ntwo\nthree\n')
  t.equal(sink.lostLines, 1)
})
