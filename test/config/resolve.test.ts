import t from 'tap'
import { ConfigError } from '../../src/config/problems.ts'
import { parseConfigFile } from '../../src/config/file.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { OPTION_KEYS } from '../../src/config/options.ts'
import type { ConfigInput, FlagGiven } from '../../src/config/resolve.ts'
import { resolveOptions } from '../../src/config/resolve.ts'

const file = (values: object) => parseConfigFile('relay.json', JSON.stringify(values))
/** `name=value`, or the name alone. */
const flags = (...given: string[]): FlagGiven[] =>
  given.map(text => {
    const [name = '', value = null] = text.split('=')
    return { name, value }
  })

function refusalOf(input: ConfigInput): ConfigError {
  try {
    resolveOptions(input)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the configuration was accepted')
}

t.test(
  'a flag wins over the environment, the environment over the file, the file over the default',
  async t => {
    const everywhere: ConfigInput = {
      overrides: { chunkMs: 60 },
      flags: flags('chunk-ms=70'),
      env: { RELAY_CHUNK_MS: '80' },
      file: file({ chunkMs: 90 }),
    }
    const order = [
      ['overrides', 60, 'code'],
      ['flags', 70, 'flag'],
      ['env', 80, 'env'],
      ['file', 90, 'file'],
    ] as const
    const input: { -readonly [Name in keyof ConfigInput]: ConfigInput[Name] } = { ...everywhere }
    for (const [name, value, source] of order) {
      const { options, sources } = resolveOptions(input)
      t.equal(options.chunkMs, value)
      t.equal(sources.chunkMs, source)
      delete input[name]
    }
    const { options, sources } = resolveOptions(input)
    t.equal(options.chunkMs, 100)
    t.equal(sources.chunkMs, 'default')
  },
)

t.test('every kind can be said as text and as JSON, with the same result', async t => {
  const text = {
    RELAY_PORT: '8000',
    RELAY_WORKERS: '4',
    RELAY_CHUNK_MS: '60',
    RELAY_PACE_RATE: '1.5',
    RELAY_FIPS: 'true',
    RELAY_SILENCE: 'fill',
    RELAY_REGION: 'eu-central-1',
    RELAY_LANGUAGES: 'xx-XX, yy-YY',
    RELAY_PARAMETERS: 'show-speaker-label=true&vocabulary-name=clinic%5F1',
  }
  const json = {
    port: 8000,
    workers: 4,
    chunkMs: 60,
    paceRate: 1.5,
    fips: true,
    silence: 'fill',
    region: 'eu-central-1',
    languages: ['xx-XX', 'yy-YY'],
    parameters: { 'show-speaker-label': true, 'vocabulary-name': 'clinic_1' },
  }
  const fromText = resolveOptions({ env: text }).options
  const fromJson = resolveOptions({ file: file(json) }).options
  t.same(fromText, fromJson)
  t.equal(resolveOptions({ env: { RELAY_WORKERS: 'auto' } }).options.workers, 'auto')
  t.same(fromText.languages, ['xx-XX', 'yy-YY'])
  t.same(fromText.parameters, { 'show-speaker-label': 'true', 'vocabulary-name': 'clinic_1' })
  t.equal(
    resolveOptions({ env: { RELAY_ENDPOINT: 'ws://127.0.0.1:4000' } }).options.endpoint,
    'ws://127.0.0.1:4000',
  )
  t.same(resolveOptions({ flags: flags('languages=') }).options.languages, [])
})

t.test('the result is complete and frozen to the bottom', async t => {
  const overrides = { parameters: { 'vocabulary-name': 'a' }, languages: ['xx-XX'] }
  const resolved = resolveOptions({ overrides })
  t.same(Object.keys(resolved.options).sort(), [...OPTION_KEYS].sort())
  for (const part of [
    resolved,
    resolved.options,
    resolved.sources,
    resolved.options.parameters,
    resolved.options.languages,
  ]) {
    t.ok(Object.isFrozen(part))
  }
  overrides.languages.push('later')
  t.same(resolved.options.languages, ['xx-XX'], 'what the caller does later changes nothing')
})

t.test('an empty variable, an undefined override and null for "not set" change nothing', async t => {
  const { options, sources } = resolveOptions({
    env: { RELAY_REGION: '', RELAY_CHUNK_MS: '', PATH: '/bin', RELAY_CONFIG_FILE: 'relay.json' },
    file: file({ $schema: './schema.json', profile: null }),
    overrides: { tickMs: undefined } as unknown as Partial<RelayOptions>,
  })
  t.equal(options.region, null)
  t.equal(options.chunkMs, 100)
  t.equal(options.profile, null)
  t.equal(sources.tickMs, 'default')
})

t.test('every problem of every source is reported at once, with place, value and rule', async t => {
  const error = refusalOf({
    overrides: { tickMs: 5 },
    flags: flags('chunk-ms=20', 'port', 'silence=maybe'),
    env: {
      RELAY_MAX_SESSIONS: '1e3',
      RELAY_FIPS: 'yes',
      RELAY_PACE_RATE: 'fast',
      RELAY_LANGUAGES: 'english',
    },
    file: file({ chunkMs: 'x', idleTimeoutSeconds: 33 }),
  })
  t.same(error.problems, [
    { path: 'relay.json: chunkMs', value: '"x"', rule: 'must be an integer from 50 to 200' },
    {
      path: 'relay.json: idleTimeoutSeconds',
      value: '33',
      rule: 'must be an integer from 8 to 960 and a multiple of 4',
    },
    { path: 'env RELAY_MAX_SESSIONS', value: '"1e3"', rule: 'must be an integer from 1 to 100000' },
    { path: 'env RELAY_FIPS', value: '"yes"', rule: 'must be true or false' },
    { path: 'env RELAY_PACE_RATE', value: '"fast"', rule: 'must be a number from 1 to 1000' },
    {
      path: 'env RELAY_LANGUAGES',
      value: '"english"',
      rule: 'must be a list of at most 100, each a language code such as en-US',
    },
    { path: '--chunk-ms', value: '"20"', rule: 'must be an integer from 50 to 200' },
    { path: '--port', value: null, rule: 'needs a value' },
    { path: '--silence', value: '"maybe"', rule: 'must be one of park, end, fill' },
    { path: 'option tickMs', value: '5', rule: 'must be an integer from 10 to 1000' },
  ])
  t.equal(error.message.split('\n').length, error.problems.length, 'one line a problem')
  t.match(error.message, '--chunk-ms must be an integer from 50 to 200, got "20"')
})

t.test('an unknown name is refused with the nearest known one, and without its value', async t => {
  const secret = 'wJalrXUtnFEMI/K7MDENG'
  const error = refusalOf({
    overrides: { chunkMS2: secret } as unknown as Partial<RelayOptions>,
    flags: flags(`chunk-mss=${secret}`, 'x'.repeat(80), 'no-port'),
    env: { RELAY_CHUNK_MSS: secret, RELAY_API_SECRET_TOKEN: secret, RELAY_CONFIGFILE: secret },
    file: file({ maxSesions: secret, 'odd\nname': secret }),
  })
  t.same(
    error.problems.map(({ path, rule }) => `${path} ${rule}`),
    [
      'relay.json: maxSesions is not an option of the relay (did you mean maxSessions?)',
      'relay.json: odd?name is not an option of the relay',
      'env RELAY_CHUNK_MSS is not a variable of the relay (did you mean RELAY_CHUNK_MS?)',
      'env RELAY_API_SECRET_TOKEN is not a variable of the relay',
      'env RELAY_CONFIGFILE is not a variable of the relay (did you mean RELAY_CONFIG_FILE?)',
      '--chunk-mss is not a flag of the relay (did you mean --chunk-ms?)',
      `--${'x'.repeat(64)}… is not a flag of the relay`,
      '--no-port is not a flag of the relay',
      'option chunkMS2 is not an option of the relay (did you mean chunkMs?)',
    ],
  )
  t.notMatch(error.message, secret)
})

t.test('what a value may hide is not in the problem', async t => {
  const error = refusalOf({
    env: {
      RELAY_ENDPOINT: 'wss://user:hunter2@host/?X-Amz-Signature=deadbeef',
      RELAY_REGION: `\u001b[31m${'y'.repeat(500)}`,
    },
  })
  t.notMatch(error.message, /hunter2|deadbeef|[^ -~…\n]/)
  t.match(error.problems[0]?.value, 'wss://[redacted]@host/?[redacted]')
  t.ok((error.problems[1]?.value?.length ?? 0) < 80)
})

t.test('variables that Kubernetes sets for a Service called "relay" are recognised', async t => {
  const env = {
    RELAY_PORT: 'tcp://10.0.0.1:80',
    RELAY_SERVICE_HOST: '10.0.0.1',
    RELAY_SERVICE_PORT_HTTP: '80',
    RELAY_PORT_80_TCP_ADDR: '10.0.0.1',
  }
  const { problems } = refusalOf({ env })
  t.equal(problems.length, Object.keys(env).length)
  for (const { rule } of problems) t.match(rule, 'enableServiceLinks')
})

t.test('a switch is said alone, negated or with a value; a flag is given once', async t => {
  t.equal(resolveOptions({ flags: flags('fips') }).options.fips, true)
  t.equal(resolveOptions({ flags: flags('no-partials') }).options.partials, false)
  t.equal(resolveOptions({ flags: flags('partials=false') }).options.partials, false)
  t.same(refusalOf({ flags: flags('no-fips=true', 'chunk-ms=60', 'chunk-ms=70') }).problems, [
    { path: '--no-fips', value: null, rule: 'takes no value' },
    { path: '--chunk-ms', value: null, rule: 'must be given once' },
  ])
})

t.test(
  'a broken rule is told where the person said it, also if only the second option was given',
  async t => {
    const [problem] = refusalOf({
      env: { RELAY_SESSION_WARNING_MS: '3600000' },
      file: file({ maxSessionMs: 10_000 }),
    }).problems
    t.same(problem, {
      path: 'env RELAY_SESSION_WARNING_MS',
      value: 'sessionWarningMs = 3600000, maxSessionMs = 10000',
      rule: 'must be below maxSessionMs',
    })
    const [second] = refusalOf({ file: file({ maxSessionMs: 10_000 }) }).problems
    t.same(second, {
      path: 'relay.json: maxSessionMs',
      value: 'sessionWarningMs = 60000, maxSessionMs = 10000',
      rule: 'does not fit: sessionWarningMs must be below maxSessionMs',
    })
  },
)

t.test('parameters that have another place, or no name, are refused', async t => {
  const rules = [
    'language-code=de-DE',
    'session-id=1',
    'Bad=1',
    'a=1&a=2',
    '__proto__=1',
    'constructor=1',
  ].map(text => refusalOf({ env: { RELAY_PARAMETERS: text } }).problems[0]?.rule)
  t.same(rules, [
    'must not hold "language-code": it is the option languageCode',
    'must not hold "session-id": the relay chooses one for each session',
    'must not hold "Bad": it is no parameter name',
    'must name each parameter once, not "a" twice',
    'must not hold "__proto__": it is no parameter name',
    'is not a parameter of this stream',
  ])
})
