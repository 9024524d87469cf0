import t from 'tap'
import { readDocuments } from '../../scripts/docs.ts'
import { describeOptions, renderConfiguration } from '../../src/config/describe.ts'
import { OPTION_KEYS, envName } from '../../src/config/options.ts'
import { resolveOptions } from '../../src/config/resolve.ts'
import { OPTION_RULES } from '../../src/config/rules.ts'
import { suggestName } from '../../src/spelling.ts'
import { checkValue, showValue } from '../../src/config/values.ts'

t.test(
  'docs/configuration.md is what the table says (node --import tsx scripts/docs.ts writes it)',
  async t => {
    const document = readDocuments().find(({ name }) => name === 'configuration.md')
    t.equal(document?.actual, document?.expected)
  },
)

t.test('the tables hold every option and every rule, and no broken row', async t => {
  const text = renderConfiguration()
  for (const key of OPTION_KEYS) t.ok(text.includes(`| \`${key}\`<br>\`${envName(key)}\``), key)
  for (const { rule } of OPTION_RULES) t.ok(text.includes(`${rule}.`))
  for (const line of text.split('\n').filter(line => line.startsWith('|')))
    t.equal(line.split('|').length, 6, line)
})

t.test('an option is described with its value, where it comes from and what it may be', async t => {
  const rows = describeOptions(
    resolveOptions({
      env: { RELAY_REGION: 'eu-central-1', RELAY_LANGUAGES: 'xx-XX,yy-YY' },
      overrides: { parameters: { 'show-speaker-label': 'true', 'vocabulary-name': 'a' } },
    }),
  )
  t.same([...rows].map(({ key }) => key).sort(), [...OPTION_KEYS].sort())
  const row = (wanted: string) => rows.find(({ key }) => key === wanted)
  t.match(row('chunkMs'), {
    value: '100',
    source: 'default',
    default: '100',
    bounds: 'integer from 50 to 200 (milliseconds of audio)',
    env: 'RELAY_CHUNK_MS',
    flag: '--chunk-ms',
  })
  t.match(row('region'), { value: 'eu-central-1', source: 'env', default: '' })
  t.match(row('languages'), { value: 'xx-XX,yy-YY', default: '' })
  t.match(row('parameters'), { value: 'show-speaker-label=true&vocabulary-name=a', source: 'code' })
})

t.test('a secret is checked, but never shown', async t => {
  const definition = {
    kind: 'string',
    theme: 'server',
    doc: '',
    default: null,
    pattern: /^k/,
    shape: 'a key',
    secret: true,
  } as const
  t.same(checkValue(definition, 'nope'), { ok: false, rule: 'must be a key' })
  t.equal(showValue(definition, 'nope'), '[redacted]')
})

t.test('a suggestion is made for a typing mistake, not for another word', async t => {
  const known = ['chunkMs', 'maxSessions', 'port']
  t.equal(suggestName('chunkms', known), 'chunkMs')
  t.equal(suggestName('maxSession', known), 'maxSessions')
  t.equal(suggestName('prot', ['port']), null, 'two of four letters')
  t.equal(suggestName('something', known), null)
  t.equal(suggestName('m'.repeat(65), ['m'.repeat(65)]), null, 'not compared')
  t.equal(suggestName('', known), null)
})
