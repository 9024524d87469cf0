import { join } from 'node:path'
import t from 'tap'
import { MAX_CONFIG_FILE_BYTES, parseConfigFile, readConfigFile } from '../../src/config/file.ts'
import { ConfigError } from '../../src/config/problems.ts'

const dir = t.testdir({
  'relay.json': '\uFEFF{ "$schema": "./relay.schema.json", "chunkMs": 60 }',
  'list.json': '[1]',
  'null.json': 'null',
  'broken.json': '{ "token": "s3cret" ',
  'full.json': `{"profile":"a"}${' '.repeat(MAX_CONFIG_FILE_BYTES - 15)}`,
  'large.json': `{"profile":"a"}${' '.repeat(MAX_CONFIG_FILE_BYTES - 14)}`,
})

async function ruleOf(name: string): Promise<string> {
  return readConfigFile(join(dir, name)).then(
    () => 'accepted',
    (error: unknown) => {
      if (!(error instanceof ConfigError)) throw error
      const [problem] = error.problems
      return `${problem?.path} ${problem?.rule}`
    },
  )
}

t.test('a file is one JSON object; a byte order mark and $schema do no harm', async t => {
  t.same(await readConfigFile(join(dir, 'relay.json')), { name: 'relay.json', values: { chunkMs: 60 } })
  t.same((await readConfigFile(join(dir, 'full.json'))).values, { profile: 'a' }, 'exactly the largest size')
})

t.test('what is no such file is refused by name, without quoting it', async t => {
  t.equal(await ruleOf('list.json'), 'list.json must be a JSON object of options')
  t.equal(await ruleOf('null.json'), 'null.json must be a JSON object of options')
  t.equal(await ruleOf('broken.json'), 'broken.json must be valid JSON')
  t.equal(await ruleOf('large.json'), `large.json must have at most ${MAX_CONFIG_FILE_BYTES} bytes`)
  t.equal(await ruleOf('absent.json'), 'absent.json must be a readable file (ENOENT)')
  t.equal(await ruleOf('.'), `${dir.split('/').at(-1)} must be a readable file (EISDIR)`)
})

t.test('a key of the prototype is a key like any other', async t => {
  const { values } = parseConfigFile('relay.json', '{"__proto__": {"chunkMs": 60}}')
  t.same(Object.keys(values), ['__proto__'])
})

t.test('an endless file is not read to its end', async t => {
  t.match(await readConfigFile('/dev/zero').catch((error: Error) => error.message), 'must have at most')
})
