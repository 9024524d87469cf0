import { join } from 'node:path'
import t from 'tap'
import {
  connectionCapacity,
  openFilesRule,
  readOpenFileLimit,
  sessionCapacity,
} from '../../src/server/file-limit.ts'

t.test('the soft limit of open files is read from the system', async t => {
  const limit = readOpenFileLimit()
  t.type(limit, 'number')
  t.ok(limit !== null && limit > 0)
})

t.test('a system that does not say, or has no limit, gives none', async t => {
  const dir = t.testdir({
    unlimited: 'Max open files            unlimited            unlimited            files\n',
  })
  t.equal(readOpenFileLimit(join(dir, 'unlimited')), null)
  t.equal(readOpenFileLimit(join(dir, 'missing')), null)
})

t.test('two files a session, and some for the process', async t => {
  t.equal(sessionCapacity(20_000), 9872)
  t.equal(sessionCapacity(256), 0)
  t.equal(sessionCapacity(100), 0)
})

t.test('connections may take what the streams of all sessions leave', async t => {
  t.equal(connectionCapacity(372, 1000), 500)
  t.equal(connectionCapacity(1000, 1000), 1)
  t.equal(connectionCapacity(10, 1e9), 1_000_000)
  t.equal(connectionCapacity(10, null), null)
})

t.test('sessions beyond the files of all processes break a rule, which is told in words', async t => {
  t.equal(openFilesRule(372, 1, 1000), null)
  t.equal(openFilesRule(744, 2, 1000), null)
  t.equal(openFilesRule(1_000_000, 1, null), null)
  t.equal(
    openFilesRule(373, 1, 1000),
    'must be at most 372: the limit of open files is 1000, and each session takes two',
  )
  t.match(openFilesRule(745, 2, 1000), /^must be at most 744 with 2 workers: /)
})
