import { join } from 'node:path'
import t from 'tap'
import { readOpenFileLimit, sessionCapacity } from '../../src/server/file-limit.ts'

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
