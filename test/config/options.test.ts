import t from 'tap'
import type { OptionDefinition } from '../../src/config/definition.ts'
import { THEMES } from '../../src/config/definition.ts'
import type { OptionKey, RelayOptions } from '../../src/config/options.ts'
import { OPTION_KEYS, definitionOf, envName, flagName } from '../../src/config/options.ts'
import { ConfigError } from '../../src/config/problems.ts'
import { resolveOptions } from '../../src/config/resolve.ts'
import { OPTION_RULES } from '../../src/config/rules.ts'
import { describeBounds } from '../../src/config/values.ts'
import type { SessionLimits } from '../../src/session/limits.ts'

/** The problems of a configuration that must be refused. */
function problemsOf(attempt: () => unknown): ConfigError['problems'] {
  try {
    attempt()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

/** Values of the wrong type, and just outside the bounds, as JSON would give them. */
function badValues(definition: OptionDefinition): unknown[] {
  switch (definition.kind) {
    case 'integer':
    case 'number': {
      const { min, max, multipleOf, kind } = definition
      const bad: unknown[] = [min - 1, max + 1, String(min), Number.NaN, Infinity, null, true, [min], {}]
      if (kind === 'integer') bad.push(min + 0.5)
      if (multipleOf !== undefined) bad.push(min + 1)
      return bad
    }
    case 'count':
      return [
        definition.min - 1,
        definition.max + 1,
        definition.min + 0.5,
        String(definition.min),
        'AUTO',
        null,
      ]
    case 'port':
      return [-1, 65_536, 80.5, '80', null]
    case 'boolean':
      return ['true', 1, 0, null, []]
    case 'enum':
      return ['', 'nonsense', 1, null, definition.values[0]?.toUpperCase()]
    case 'string':
      return ['', 1, true, {}, '\n', 'x'.repeat(300)]
    case 'url':
      return [
        'here',
        'ftp://host',
        ...(definition.mayHaveUser === true ? [] : ['wss://user:secret@host']),
        'wss://host/?token=secret',
        'wss://host?',
        'wss://host/#',
        'wss://host/path',
        `wss://${'h'.repeat(2100)}`,
        7,
      ]
    case 'list':
      return [
        'en-US',
        [1],
        ['nonsense'],
        Array.from({ length: definition.maxItems + 1 }, () => 'en-US'),
        null,
      ]
    case 'regions':
      return [
        'us-east-1',
        ['nowhere'],
        [7],
        [{}],
        ['us-east-1', { region: 'us-east-1' }],
        [{ region: 'us-east-1', streams: -1 }],
        [{ region: 'us-east-1', startsPerSecond: 'many' }],
        [{ region: 'us-east-1', endpoint: 'wss://host/path' }],
        [{ region: 'us-east-1', roleArn: 'arn:aws:iam::1:role/r' }],
        [{ region: 'us-east-1', roleExternalId: 'without-a-role' }],
        [{ region: 'us-east-1', stream: 1 }],
        Array.from({ length: definition.maxItems + 1 }, (_, index) => `us-east-${index}`),
        null,
      ]
    default:
      return [
        'a=b',
        ['a'],
        null,
        { 'show-speaker-label': null },
        { 'vocabulary-name': 'x'.repeat(1025) },
        Object.fromEntries(
          Array.from({ length: definition.maxItems + 1 }, (_, index) => [`name-${index}`, 'x']),
        ),
      ]
  }
}

/** The ends of the range, or every choice. */
function goodValues(definition: OptionDefinition): unknown[] {
  switch (definition.kind) {
    case 'integer':
    case 'number':
      return [definition.min, definition.max, ...(definition.zeroIsOff === true ? [0] : [])]
    case 'count':
      return [definition.min, definition.max, 'auto']
    case 'port':
      return [0, 65_535]
    case 'boolean':
      return [true, false]
    case 'enum':
      return [...definition.values]
    default:
      return [definition.default]
  }
}

const only = (key: OptionKey, value: unknown) => ({ overrides: { [key]: value } as Partial<RelayOptions> })

for (const key of OPTION_KEYS) {
  const definition = definitionOf(key)
  t.test(`${key}: keeps its bounds, and says the rule where it is broken`, async t => {
    t.ok(definition.theme in THEMES)
    t.match(definition.doc, /[.:`]$/, 'the doc is a sentence')
    t.same(resolveOptions().options[key], definition.default, 'the default holds')
    for (const value of goodValues(definition)) {
      const own = problemsOf(() => resolveOptions(only(key, value))).filter(
        ({ rule }) => rule === describeBounds(definition),
      )
      t.same(own, [], `takes ${String(value)}`)
    }
    for (const value of badValues(definition)) {
      const problems = problemsOf(() => resolveOptions(only(key, value)))
      t.match(problems, [{ path: `option ${key}` }], `refuses ${JSON.stringify(value)?.slice(0, 40)}`)
      if (definition.kind !== 'parameters') t.equal(problems[0]?.rule, describeBounds(definition))
    }
  })
}

t.test('a number has a unit, and its key ends with it', async t => {
  const SUFFIXES: Readonly<Record<string, RegExp>> = {
    milliseconds: /Ms$/,
    'milliseconds of audio': /Ms$/,
    seconds: /Seconds$/,
    bytes: /Bytes$/,
    'messages per second': /PerSecond$/,
    'handshakes per second': /PerSecond$/,
  }
  for (const key of OPTION_KEYS) {
    const definition = definitionOf(key)
    if (definition.kind !== 'integer' && definition.kind !== 'number') continue
    t.type(definition.unit, 'string', key)
    const suffix = SUFFIXES[definition.unit ?? '']
    if (suffix !== undefined) t.match(key, suffix)
    else t.notMatch(key, /(Ms|Seconds|Bytes)$/)
  }
})

t.test('names of the environment and the flags follow from the key, and are unique', async t => {
  t.equal(envName('chunkMs'), 'RELAY_CHUNK_MS')
  t.equal(flagName('chunkMs'), 'chunk-ms')
  t.equal(envName('fips'), 'RELAY_FIPS')
  t.equal(new Set(OPTION_KEYS.map(envName)).size, OPTION_KEYS.length)
  t.equal(new Set(OPTION_KEYS.map(flagName)).size, OPTION_KEYS.length)
  t.notOk(OPTION_KEYS.some(key => flagName(key) === 'config' || flagName(key).startsWith('no-')))
})

t.test('the options hold every limit that a session wants', async t => {
  const limits: SessionLimits = resolveOptions().options
  t.equal(limits.chunkMs, 100)
})

/** For each rule, a choice that breaks it and no other; the next test sees that none is missing. */
const BREAKING: Readonly<Record<string, Partial<RelayOptions>>> = {
  'two-ports': { port: 9090 },
  'region-or-regions': { regions: [{ region: 'us-east-1' }], region: 'us-west-2' },
  'region-hosts-or-variant': {
    regions: [{ region: 'us-east-1', endpoint: 'wss://vpce.example' }],
    fips: true,
  },
  'a-stream-a-share': { regions: [{ region: 'us-east-1', streams: 3 }], quotaShares: 4 },
  'lease-outlives-its-renewal': { redisLeaseMs: 1000, redisTimeoutMs: 251 },
  'exposed-needs-auth': { host: '192.0.2.1' },
  'keys-from-somewhere': { auth: ['keys'] },
  'jwt-says-whose': { auth: ['jwt'], jwtKeysFile: '/keys.json', jwtIssuer: 'https://id.example' },
  'jwt-keys-from-one-place': { auth: ['jwt'], jwtIssuer: 'https://id.example', jwtAudience: 'relay' },
  'secrets-from-files': { jwksUrl: 'https://id.example/keys', jwtAlgorithms: ['RS256', 'HS256'] },
  'some-algorithm': {
    auth: ['jwt'],
    jwtKeysFile: '/keys.json',
    jwtIssuer: 'https://id.example',
    jwtAudience: 'relay',
    jwtAlgorithms: [],
  },
  'signing-keys-by-tls': { jwksUrl: 'http://id.example/keys' },
  'signing-keys-in-time': { jwksUrl: 'https://id.example/keys', jwksTimeoutMs: 5000 },
  'tokens-for-keys': { auth: ['tokens'] },
  'tokens-of-every-worker': { auth: ['keys', 'tokens'], apiKeysFile: '/keys.json', workers: 2 },
  'keys-are-asked-for': { apiKeysFile: '/keys.json' },
  'a-session-a-worker': { workers: 8, maxSessions: 7 },
  'chunk-in-range': { chunkMs: 50, minChunkMs: 60 },
  'partials-before-soft': { clientPartialsBufferBytes: 65_537 },
  'hard-buffer-doubles-soft': { clientSoftBufferBytes: 262_144, clientHardBufferBytes: 400_000 },
  'hard-buffer-takes-a-message': { clientSoftBufferBytes: 16_384, clientHardBufferBytes: 70_000 },
  'pending-takes-a-message': { pendingAudioBytes: 65_536, maxMessageBytes: 65_537 },
  'upstream-takes-the-pending': { upstreamBufferBytes: 2_097_151 },
  'end-before-upstream': { silence: 'end', audioTimeoutMs: 15_000 },
  'lead-within-stream': { maxStreamMs: 60_000 },
  'warn-within-session': { maxSessionMs: 60_000 },
  'lag-recovers': { overloadLagMs: 200 },
  'memory-recovers': { overloadMemoryRatio: 0.8 },
  'files-recover': { overloadFilesRecoveryRatio: 0.9 },
  'deadline-takes-a-connect': { connectTimeoutMs: 15_001 },
  'deadline-takes-credentials': { credentialsTimeoutMs: 15_001 },
  'signature-outlives-connect': { presignExpiresSeconds: 4 },
  'tls-takes-both': { tlsCertFile: '/tls.crt' },
  'proxies-are-networks': { trustedProxies: ['10.0.0.0/33'] },
  'proxy-protocol-of-somebody': { proxyProtocol: true },
  'proxy-protocol-without-tls': {
    proxyProtocol: true,
    trustedProxies: ['10.0.0.0/8'],
    tlsCertFile: '/tls.crt',
    tlsKeyFile: '/tls.key',
  },
  'endpoint-or-variant': { endpoint: 'wss://vpce.example', fips: true },
}

t.test('every rule between options is broken by something, and says which options are concerned', async t => {
  t.same(Object.keys(BREAKING).sort(), OPTION_RULES.map(({ name }) => name).sort())
  for (const { name, fields, rule } of OPTION_RULES) {
    const overrides = BREAKING[name] ?? {}
    const problems = problemsOf(() => resolveOptions({ overrides }))
    t.equal(problems.length, 1, name)
    t.ok(problems[0]?.rule.endsWith(rule), `${name}: ${problems[0]?.rule}`)
    const given = fields.find(key => key in overrides)
    t.equal(problems[0]?.path, `option ${given}`)
    t.ok(problems[0]?.value?.includes(`${fields[0]} = `), problems[0]?.value ?? 'no value')
  }
})

t.test('the rules leave room for what is sound', async t => {
  const sound: Partial<RelayOptions>[] = [
    { port: 0, opsPort: 0 },
    { port: 9090, opsPort: 9090, host: '127.0.0.2', opsHost: '127.0.0.1' },
    { host: '::1' },
    { regions: [{ region: 'us-east-1' }, { region: 'us-west-2' }], fips: true },
    { regions: [{ region: 'us-east-1', streams: 4, startsPerSecond: 0.5 }], quotaShares: 4 },
    { redisUrl: 'rediss://user:secret@redis.example:6380/1' },
    { jwksUrl: 'http://127.0.0.1:4000/keys' },
    { jwksUrl: 'http://[::1]:4000/keys' },
    { jwksUrl: 'https://id.example/.well-known/jwks.json' },
    { auth: ['keys', 'tokens'], apiKeysFile: '/k', workers: 2, tokenSecretFile: '/s' },
    { host: '0.0.0.0', insecure: true },
    { host: '0.0.0.0', auth: ['keys'], apiKeys: [`a:${'0'.repeat(64)}`] },
    { auth: ['none', 'keys'], apiKeysFile: '/keys.json' },
    { silence: 'fill', audioTimeoutMs: 3_600_000 },
    { endpoint: 'ws://127.0.0.1:4000' },
    { endpoint: 'https://vpce-1.example:8443/', region: 'us-gov-west-1' },
    { fips: true, dualStack: true },
    { trustedProxies: ['192.0.2.7', '10.0.0.0/8', 'fd00::/8', '::1', '0.0.0.0/0'], proxyProtocol: true },
    { maxSessionMs: 2000, sessionWarningMs: 0 },
  ]
  for (const overrides of sound) t.match(resolveOptions({ overrides }).options, overrides)
  t.same(
    problemsOf(() => resolveOptions({ overrides: { port: 9090, host: '127.0.0.2' } })).map(
      ({ path }) => path,
    ),
    ['option port'],
    'a wildcard address meets every other one',
  )
})
