/** What a client asks for: its query, its Configure message, and the defaults of the relay. */
import t from 'tap'
import {
  describeProblems,
  MAX_PARAMETERS,
  readStreamQuery,
  readStreamRequest,
  type StreamDefaults,
} from '../../src/protocol/stream-request.ts'

const PCM = { 'media-encoding': 'pcm', 'sample-rate': '16000' }
const DEFAULTS: StreamDefaults = {
  parameters: { ...PCM, 'language-code': 'en-US' },
  format: 'simple',
  words: false,
  partials: true,
  extraLanguageCodes: ['tlh-KL'],
}

function withParameters(parameters: Readonly<Record<string, string>>): StreamDefaults {
  return { ...DEFAULTS, parameters: { ...PCM, ...parameters } }
}

function wireOf(query: string, defaults: StreamDefaults = DEFAULTS) {
  const result = readStreamQuery(query, defaults)
  if (!result.ok) return describeProblems(result.problems)
  return result.query.kind === 'ready' ? result.query.stream.parameters.wire : 'configure'
}

/** So many parameters that nobody knows. */
function many(count: number): string {
  return Array.from({ length: count }, (_, index) => `p${index}=1`).join('&')
}

/** What a client reads that is refused. */
function refusalOf(query: string): string {
  const result = readStreamQuery(query, DEFAULTS)
  return result.ok ? '' : describeProblems(result.problems)
}

t.test('an empty query is the defaults', async t => {
  const result = readStreamQuery('', DEFAULTS)
  t.match(result, {
    ok: true,
    query: { kind: 'ready', stream: { format: 'simple', words: false, partials: true, warnings: [] } },
  })
  t.strictSame(wireOf(''), { ...PCM, 'language-code': 'en-US' })
})

t.test('parameters of the relay stay with the relay', async t => {
  const result = readStreamQuery(
    'format=aws&words=true&partials=false&configure=false&sample-rate=8000',
    DEFAULTS,
  )
  t.match(result, { query: { stream: { format: 'aws', words: true, partials: false } } })
  t.strictSame(wireOf('format=aws&words=true&sample-rate=8000'), {
    'language-code': 'en-US',
    'media-encoding': 'pcm',
    'sample-rate': '8000',
  })
})

t.test('a default never contradicts what the client chose', async t => {
  const identify = { 'identify-language': 'true', 'language-options': 'en-US,fr-FR' }
  const named = { 'language-code': 'en-US', 'vocabulary-name': 'names', 'language-model-name': 'model' }
  const cases: [query: string, defaults: StreamDefaults, expected: Record<string, string> | RegExp][] = [
    [
      'identify-language=true&language-options=en-US,de-DE',
      DEFAULTS,
      { ...PCM, 'identify-language': 'true', 'language-options': 'en-US,de-DE' },
    ],
    ['language-code=de-DE', withParameters(identify), { ...PCM, 'language-code': 'de-DE' }],
    ['language-code=de-DE', withParameters(named), { ...PCM, 'language-code': 'de-DE' }],
    ['', withParameters(named), { ...PCM, ...named }],
    ['identify-language=false', DEFAULTS, { ...PCM, 'language-code': 'en-US' }],
    ['identify-language=false', withParameters(identify), /^language-code must be given/],
    [
      'content-identification-type=PII',
      withParameters({
        'language-code': 'en-US',
        'content-redaction-type': 'PII',
        'pii-entity-types': 'NAME',
      }),
      { ...PCM, 'language-code': 'en-US', 'content-identification-type': 'PII' },
    ],
    [
      'enable-partial-results-stabilization=false',
      withParameters({
        'language-code': 'en-US',
        'enable-partial-results-stabilization': 'true',
        'partial-results-stability': 'high',
      }),
      { ...PCM, 'language-code': 'en-US' },
    ],
    [
      'enable-channel-identification=false',
      withParameters({
        'language-code': 'en-US',
        'enable-channel-identification': 'true',
        'number-of-channels': '2',
      }),
      { ...PCM, 'language-code': 'en-US' },
    ],
  ]
  for (const [query, defaults, expected] of cases) {
    const wire = wireOf(query, defaults)
    if (expected instanceof RegExp) t.match(wire, expected, query)
    else t.strictSame(wire, expected, query)
  }
})

t.test('every mistake is told at once, in order, with its name, its value and the rule', async t => {
  const result = readStreamQuery(
    'words=yes&configure=maybe&format=xml&sample-rate=1&colour=red&words=no&partials=&token=SECRET&token=SECRET2',
    DEFAULTS,
  )
  t.equal(result.ok, false)
  if (result.ok) return
  const text = describeProblems(result.problems)
  t.strictSame(
    result.problems.map(({ parameter }) => parameter),
    ['words', 'token', 'configure', 'format', 'words', 'partials', 'sample-rate', 'colour', 'token'],
  )
  t.match(
    text,
    'words must be given once. token must be given once. configure must be true or false, got "maybe".',
  )
  t.match(text, 'format must be simple or aws, got "xml". words must be true or false, got "yes".')
  t.match(text, /partials must be true or false, got ""\. sample-rate must be .*, got "1"\./)
  t.notMatch(text, /SECRET/)
})

t.test('texts of the client come back short and printable', async t => {
  const nasty = encodeURIComponent('\u0000\u001b[2J\r\n"grüß" 😀')
  for (const query of [
    `${nasty}=1`,
    `${nasty}=1&${nasty}=2`,
    `format=${nasty}`,
    `words=${nasty}`,
    `sample-rate=${nasty}`,
    `format=${'x'.repeat(5000)}`,
    `${'y'.repeat(5000)}=1&${'y'.repeat(5000)}=1`,
    `%ff%fe=%c3%28`,
  ]) {
    const text = refusalOf(query)
    t.match(text, /^[\x20-\x7e…]+$/, query.slice(0, 40))
    t.ok(text.length < 500, `${text.length} characters`)
  }
})

t.test('too many parameters are refused without reading on, in the query and in Configure', async t => {
  t.equal(wireOf(many(10_000)), `p64 must be among at most ${MAX_PARAMETERS} parameters.`)
  t.equal(wireOf(`configure=true&${many(64)}`), `p63 must be among at most ${MAX_PARAMETERS} parameters.`)
  t.equal(wireOf(`configure=true&${many(63)}`), 'configure')
  const repeated = Array.from({ length: 1000 }, () => 'sample-rate=8000').join('&')
  t.equal(wireOf(repeated), 'sample-rate must be given once.', 'told once')
  const given = new Map(Array.from({ length: 500 }, (_, index) => [`p${index}`, '1']))
  t.match(readStreamRequest(given, DEFAULTS), { ok: false, problems: [{ parameter: 'p64', value: null }] })
})

t.test('configure=true waits, unless something is wrong already', async t => {
  t.match(readStreamQuery('configure=true&language-code=de-DE', DEFAULTS), {
    ok: true,
    query: { kind: 'configure', given: new Map([['language-code', 'de-DE']]) },
  })
  t.equal(wireOf('configure=true&sample-rate=1&sample-rate=2'), 'sample-rate must be given once.')
  const result = readStreamRequest(
    new Map([
      ['configure', 'true'],
      ['words', 'true'],
    ]),
    DEFAULTS,
  )
  t.match(result, { ok: true, stream: { words: true } })
})

t.test('names of JavaScript are names like any other', async t => {
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    t.match(refusalOf(`${name}=x`), `${name} is not a parameter of this stream`)
  }
})

t.test('an unusual language is accepted, with a warning unless the operator knows it', async t => {
  for (const [code, warnings] of [
    ['tlh-KL', 0],
    ['xx-XX', 1],
  ] as const) {
    const result = readStreamQuery(`language-code=${code}`, DEFAULTS)
    t.match(result, { ok: true, query: { stream: { warnings: { length: warnings } } } }, code)
  }
})
