import t from 'tap'
import { readStreamQuery } from '../../src/protocol/stream-request.ts'
import { ConfigError } from '../../src/config/problems.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { resolveOptions } from '../../src/config/resolve.ts'
import { checkStreamDefaults, streamDefaults } from '../../src/config/stream-defaults.ts'

const defaultsOf = (overrides: Partial<RelayOptions>) => streamDefaults(resolveOptions({ overrides }).options)

t.test('an empty query is a whole request with the default options', async t => {
  const result = readStreamQuery('', defaultsOf({}))
  t.match(result, {
    ok: true,
    query: {
      kind: 'ready',
      stream: {
        format: 'simple',
        words: false,
        partials: true,
        parameters: { wire: { 'language-code': 'en-US', 'sample-rate': '16000', 'media-encoding': 'pcm' } },
      },
    },
  })
})

t.test('language identification takes the place of the language code', async t => {
  const defaults = defaultsOf({
    parameters: { 'identify-language': 'true', 'language-options': 'en-US,de-DE' },
  })
  t.notOk('language-code' in defaults.parameters)
  t.equal(defaults.parameters['identify-language'], 'true')
})

t.test('defaults that the service would refuse stop the start', async t => {
  const parameters = { 'show-speaker-labels': 'true', 'partial-results-stability': 'medium' }
  const overrides = { parameters }
  t.throws(() => resolveOptions({ overrides }), ConfigError)
  const { options } = resolveOptions()
  const problems = checkStreamDefaults({ ...options, parameters })
  t.match(problems, [
    { path: 'defaults of a stream: show-speaker-labels', value: null },
    { path: 'defaults of a stream: partial-results-stability', value: '"medium"' },
  ])
})
