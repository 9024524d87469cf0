import t from 'tap'
import type { Test } from 'tap'
import * as fc from 'fast-check'
import { LANGUAGE_CODES } from '../../src/transcribe/languages.ts'
import { PII_ENTITY_TYPES, STANDARD_PARAMETERS } from '../../src/transcribe/parameter-table.ts'
import { validateParameters } from '../../src/transcribe/parameters.ts'
import type { ParameterProblem, StreamParameters } from '../../src/transcribe/parameters.ts'

type Input = Record<string, string>

const AUDIO: Input = { 'media-encoding': 'pcm', 'sample-rate': '16000' }
const BASE: Input = { ...AUDIO, 'language-code': 'en-US' }
const IDENTIFY: Input = { ...AUDIO, 'identify-language': 'true', 'language-options': 'en-US,fr-FR' }
const IDENTIFY_MANY: Input = {
  ...AUDIO,
  'identify-multiple-languages': 'true',
  'language-options': 'en-US,fr-FR',
}

function accept(test: Test, input: Input): { parameters: StreamParameters; warnings: string[] } {
  const result = validateParameters(input)
  if (!result.ok) {
    test.fail('refused', { problems: result.problems })
    throw new Error('refused')
  }
  return { parameters: result.parameters, warnings: result.warnings.map(({ message }) => message) }
}

function refuse(test: Test, input: Input): readonly ParameterProblem[] {
  const result = validateParameters(input)
  test.equal(result.ok, false, 'refused')
  return result.ok ? [] : result.problems
}

interface Row {
  /** What the parameter needs around it; `BASE` without. */
  readonly base?: Input
  /** Text given → text on the wire; `null`: left out. */
  readonly valid: Record<string, string | null>
  /** Text given → a part of the rule it breaks. */
  readonly invalid: Record<string, string>
}

const UUID = '11111111-2222-3333-4444-5555abcdABCD'
const NAME_ROW = {
  valid: { 'my-Vocab_1.0': 'my-Vocab_1.0', ['v'.repeat(200)]: 'v'.repeat(200) },
  invalid: { '': 'a name of letters', 'two words': 'a name of letters', ['v'.repeat(201)]: 'at most 200' },
}
const NAMES_ROW = {
  base: IDENTIFY,
  valid: { 'one,Two.2': 'one,Two.2', ' one , two ': 'one,two' },
  invalid: {
    '': 'each entry a name',
    'one,': 'each entry a name',
    'one,b/c': 'each entry a name',
    'one,two,one': 'once only',
    [`a${',b'.repeat(1500)}`]: 'at most 3000',
  },
}
const FLAG_ROW = {
  valid: { true: 'true', false: null },
  invalid: { TRUE: 'true or false (did you mean "true"?)', '1': 'true or false', '': 'true or false' },
}

const ROWS: Record<keyof typeof STANDARD_PARAMETERS, Row> = {
  'language-code': {
    base: AUDIO,
    valid: { 'en-US': 'en-US', 'kab-DZ': 'kab-DZ', 'xx-YY': 'xx-YY' },
    invalid: {
      '': 'a language code such as en-US',
      en: 'a language code such as en-US',
      'en-us': 'did you mean "en-US"?',
      EN_US: 'did you mean "en-US"?',
      'xx-yy': 'did you mean "xx-YY"?',
      'en-US,fr-FR': 'a language code such as en-US',
    },
  },
  'identify-language': { base: IDENTIFY, valid: { true: 'true' }, invalid: FLAG_ROW.invalid },
  'identify-multiple-languages': { base: IDENTIFY_MANY, valid: { true: 'true' }, invalid: FLAG_ROW.invalid },
  'language-options': {
    base: IDENTIFY,
    valid: { 'en-US,de-DE': 'en-US,de-DE', ' en-US ,\tde-DE': 'en-US,de-DE' },
    invalid: {
      '': 'each entry a language code',
      'en-US,': 'each entry a language code',
      'en-US,de': 'each entry a language code',
      'en-US,fr-fr': 'did you mean "fr-FR"?',
      'en-US,en-US,de-DE': 'once only',
      'en-US': 'at least 2 language codes',
      'en-US,de-DE,en-AU': 'one dialect of a language, and en-US is listed',
      [LANGUAGE_CODES.slice(0, 40).join(',')]: 'at most 200 characters',
    },
  },
  'preferred-language': {
    base: IDENTIFY,
    valid: { 'fr-FR': 'fr-FR' },
    invalid: { french: 'a language code', 'de-DE': 'one of language-options' },
  },
  'media-encoding': {
    valid: { pcm: 'pcm', 'ogg-opus': 'ogg-opus', flac: 'flac', 'g711-alaw': 'g711-alaw', g729: 'g729' },
    invalid: {
      PCM: 'did you mean "pcm"?',
      opus: 'one of pcm, ogg-opus, flac',
      '': 'one of pcm, ogg-opus, flac',
    },
  },
  'sample-rate': {
    valid: { 8000: '8000', 44100: '44100', 48000: '48000' },
    invalid: {
      7999: 'a whole number from 8000 to 48000 (hertz)',
      48001: 'a whole number',
      '016000': 'a whole number',
      '16e3': 'a whole number',
      '16000.0': 'a whole number',
      '-16000': 'a whole number',
      '': 'a whole number',
      ['9'.repeat(400)]: 'a whole number',
    },
  },
  'session-id': {
    valid: { [UUID]: UUID },
    invalid: { '': 'a UUID', [UUID.slice(1)]: 'a UUID', [`{${UUID}}`]: 'a UUID', ['g'.repeat(36)]: 'a UUID' },
  },
  'session-resume-window': {
    valid: { 1: '1', 300: '300' },
    invalid: { 0: '1 to 300 (minutes)', 301: '1 to 300 (minutes)' },
  },
  'vocabulary-name': NAME_ROW,
  'vocabulary-names': NAMES_ROW,
  'vocabulary-filter-name': NAME_ROW,
  'vocabulary-filter-names': NAMES_ROW,
  'vocabulary-filter-method': {
    base: { ...BASE, 'vocabulary-filter-name': 'f' },
    valid: { remove: 'remove', mask: 'mask', tag: 'tag' },
    invalid: { Tag: 'did you mean "tag"?', drop: 'one of remove, mask, tag' },
  },
  'language-model-name': NAME_ROW,
  'show-speaker-label': FLAG_ROW,
  'enable-channel-identification': {
    base: { ...BASE, 'number-of-channels': '2' },
    valid: { true: 'true' },
    invalid: FLAG_ROW.invalid,
  },
  'number-of-channels': {
    base: { ...BASE, 'enable-channel-identification': 'true' },
    valid: { 2: '2' },
    invalid: { 1: 'must be 2: leave it out for mono audio', 3: 'must be 2', two: 'must be 2' },
  },
  'enable-partial-results-stabilization': FLAG_ROW,
  'partial-results-stability': {
    base: { ...BASE, 'enable-partial-results-stabilization': 'true' },
    valid: { high: 'high', medium: 'medium', low: 'low' },
    invalid: { HIGH: 'did you mean "high"?', best: 'one of high, medium, low' },
  },
  'content-identification-type': {
    valid: { PII: 'PII' },
    invalid: { pii: 'did you mean "PII"?', PHI: 'must be PII' },
  },
  'content-redaction-type': {
    valid: { PII: 'PII' },
    invalid: { pii: 'did you mean "PII"?', PHI: 'must be PII' },
  },
  'pii-entity-types': {
    base: { ...BASE, 'content-redaction-type': 'PII' },
    valid: {
      ALL: 'ALL',
      'NAME, SSN': 'NAME,SSN',
      [PII_ENTITY_TYPES.join(',')]: PII_ENTITY_TYPES.join(','),
    },
    invalid: { name: 'did you mean "NAME"?', 'NAME,FOO': 'one of ADDRESS', 'NAME;SSN': 'one of ADDRESS' },
  },
  'transcript-format': {
    valid: { written: 'written', spoken: 'spoken' },
    invalid: { WRITTEN: 'did you mean "written"?' },
  },
}

for (const [name, { base = BASE, valid, invalid }] of Object.entries(ROWS)) {
  t.test(`${name} takes what the service takes and nothing else`, async t => {
    for (const [text, wire] of Object.entries(valid)) {
      const { parameters } = accept(t, { ...base, [name]: text })
      t.equal(parameters.wire[name] ?? null, wire, `${name}=${text.slice(0, 40)}`)
    }
    for (const [text, rule] of Object.entries(invalid)) {
      const problems = refuse(t, { ...base, [name]: text })
      t.equal(problems.length, 1, `one mistake, one problem: ${JSON.stringify(problems)}`)
      t.equal(problems[0]?.parameter, name)
      t.ok(problems[0]?.rule.includes(rule), `${problems[0]?.rule ?? ''} ∋ ${rule}`)
    }
  })
}

t.test('every parameter has documentation and a source', async t => {
  t.strictSame(Object.keys(STANDARD_PARAMETERS).sort(), Object.keys(ROWS).sort())
  for (const [name, { doc, source }] of Object.entries(STANDARD_PARAMETERS)) {
    t.match(doc, /^[A-Z].*\.$/, name)
    t.match(source, /model|api|sdk/, name)
  }
})

type Expected = Record<string, string>
const REFUSALS: [string, Input, Expected][] = [
  [
    'nothing at all',
    {},
    {
      'media-encoding': 'must be given: one of pcm, ogg-opus, flac',
      'sample-rate': 'must be given: a whole number from 8000 to 48000 (hertz)',
      'language-code': 'must be given, or else identify-language or identify-multiple-languages',
    },
  ],
  [
    'a flag that is false is not given',
    { ...AUDIO, 'identify-language': 'false' },
    { 'language-code': 'must be given' },
  ],
  [
    'two choices of language',
    { ...IDENTIFY, 'language-code': 'en-US' },
    { 'identify-language': 'cannot be combined with language-code: exactly one' },
  ],
  [
    'both identifications',
    { ...IDENTIFY, 'identify-multiple-languages': 'true' },
    { 'identify-multiple-languages': 'cannot be combined with identify-language' },
  ],
  [
    'identification without options',
    { ...AUDIO, 'identify-language': 'true' },
    { 'language-options': 'must be given with identify-language' },
  ],
  [
    'identification of many without options',
    { ...AUDIO, 'identify-multiple-languages': 'true' },
    { 'language-options': 'must be given with identify-multiple-languages' },
  ],
  [
    'options without identification',
    { ...BASE, 'language-options': 'en-US,fr-FR' },
    { 'language-options': 'needs identify-language or' },
  ],
  [
    'preferred language without options',
    { ...BASE, 'preferred-language': 'en-US' },
    { 'preferred-language': 'needs language-options' },
  ],
  [
    'a language model with identification',
    { ...IDENTIFY, 'language-model-name': 'm' },
    { 'language-model-name': 'cannot be combined with identify-language' },
  ],
  [
    'redaction with identification',
    { ...IDENTIFY_MANY, 'content-redaction-type': 'PII' },
    { 'content-redaction-type': 'cannot be combined with identify-multiple-languages' },
  ],
  [
    'Opus with identification',
    { ...IDENTIFY, 'media-encoding': 'ogg-opus' },
    { 'media-encoding': 'pcm or flac with' },
  ],
  [
    'FLAC with identification of many',
    { ...IDENTIFY_MANY, 'media-encoding': 'flac' },
    { 'media-encoding': 'must be pcm with identify-multiple-languages' },
  ],
  [
    'a single vocabulary with identification',
    { ...IDENTIFY, 'vocabulary-name': 'v', 'vocabulary-filter-name': 'f' },
    { 'vocabulary-name': 'use vocabulary-names', 'vocabulary-filter-name': 'use vocabulary-filter-names' },
  ],
  [
    'vocabularies without identification',
    { ...BASE, 'vocabulary-names': 'v,w', 'vocabulary-filter-names': 'f' },
    { 'vocabulary-names': 'use vocabulary-name', 'vocabulary-filter-names': 'use vocabulary-filter-name' },
  ],
  [
    'channel identification without a count',
    { ...BASE, 'enable-channel-identification': 'true' },
    { 'number-of-channels': 'must be given with enable-channel-identification, as 2' },
  ],
  [
    'a count without channel identification',
    { ...BASE, 'number-of-channels': '2' },
    { 'number-of-channels': 'needs enable-channel-identification' },
  ],
  [
    'personal data marked and redacted',
    { ...BASE, 'content-identification-type': 'PII', 'content-redaction-type': 'PII' },
    { 'content-redaction-type': 'cannot be combined with content-identification-type' },
  ],
  [
    'types of personal data alone',
    { ...BASE, 'pii-entity-types': 'NAME' },
    { 'pii-entity-types': 'needs content-identification-type or content-redaction-type' },
  ],
  [
    'stability without stabilization',
    { ...BASE, 'partial-results-stability': 'high' },
    { 'partial-results-stability': 'needs enable-partial-results-stabilization' },
  ],
  [
    'many mistakes',
    { 'sample-rate': '1', 'language-code': 'english', 'number-of-channels': '2', nonsense: 'x' },
    {
      'sample-rate': 'a whole number',
      'language-code': 'a language code',
      nonsense: 'is not a parameter',
      'media-encoding': 'must be given',
      'number-of-channels': 'needs enable-channel-identification',
    },
  ],
]

for (const [what, input, expected] of REFUSALS) {
  t.test(`is refused, all problems at once: ${what}`, async t => {
    const problems = refuse(t, input)
    t.strictSame(problems.map(({ parameter }) => parameter).sort(), Object.keys(expected).sort())
    for (const { parameter, value, rule } of problems) {
      t.ok(rule.includes(expected[parameter] ?? '?'), `${rule} ∋ ${expected[parameter] ?? '?'}`)
      if (input[parameter] === undefined) t.equal(value, null, 'nothing was given')
    }
  })
}

t.test('warns about what is probably not meant, and about nothing else', async t => {
  const rows: [Input, RegExp[]][] = [
    [BASE, []],
    [IDENTIFY, []],
    [IDENTIFY_MANY, []],
    [
      {
        ...BASE,
        'show-speaker-label': 'true',
        'enable-channel-identification': 'true',
        'number-of-channels': '2',
      },
      [],
    ],
    [{ ...BASE, 'language-code': 'et-EE' }, [/^language-code "et-EE" is not in .*knows et-ET\.$/]],
    [{ ...BASE, 'language-code': 'xx-YY' }, [/"xx-YY" is not in the relay's list of streaming languages\.$/]],
    [{ ...IDENTIFY, 'language-options': 'en-CA,fr-FR' }, [/^language-options "en-CA" is not in/]],
    [{ ...BASE, 'media-encoding': 'g729' }, [/^media-encoding "g729" is not documented by AWS/]],
    [{ ...BASE, 'transcript-format': 'spoken' }, [/^transcript-format is not documented by AWS/]],
    [
      { ...IDENTIFY, 'language-options': 'en-US,fr-FR,de-DE,it-IT,es-ES,pt-PT' },
      [/lists 6 codes; more than 5/],
    ],
    [{ ...IDENTIFY_MANY, 'preferred-language': 'en-US' }, [/documented with identify-language only/]],
    [{ ...IDENTIFY_MANY, 'vocabulary-name': 'v' }, [/use vocabulary-names\.$/]],
    [
      { ...IDENTIFY, 'content-identification-type': 'PII' },
      [/not documented together with identify-language/],
    ],
    [{ ...BASE, 'vocabulary-filter-method': 'mask' }, [/no effect without a vocabulary filter/]],
    [{ ...IDENTIFY, 'vocabulary-filter-names': 'f', 'vocabulary-filter-method': 'mask' }, []],
    [{ ...BASE, 'language-code': 'fr-FR', 'language-model-name': 'm' }, [/not documented for fr-FR/]],
    [{ ...BASE, 'language-model-name': 'm' }, []],
    [{ ...BASE, 'language-code': 'ja-JP', 'content-redaction-type': 'PII' }, [/personal data in ja-JP/]],
  ]
  for (const [input, expected] of rows) {
    const { warnings } = accept(t, input)
    t.equal(warnings.length, expected.length, JSON.stringify(warnings))
    for (const [index, pattern] of expected.entries()) t.match(warnings[index], pattern)
  }
  const extended = validateParameters(
    { ...BASE, 'language-code': 'xx-YY' },
    { extraLanguageCodes: ['xx-YY'] },
  )
  t.match(extended, { ok: true, warnings: [] }, 'the list of languages can be extended')
})

t.test('guesses what a wrong name was meant to be', async t => {
  const rows: Record<string, string | null> = {
    LanguageCode: 'language-code',
    languageCode: 'language-code',
    language_code: 'language-code',
    'Sample-Rate': 'sample-rate',
    'media-sample-rate-hertz': 'sample-rate',
    MediaSampleRateHertz: 'sample-rate',
    'x-amzn-transcribe-sample-rate': 'sample-rate',
    'sample-rat': 'sample-rate',
    'smaple-rate': 'sample-rate',
    'channel-identification': 'enable-channel-identification',
    diarize: 'show-speaker-label',
    encoding: 'media-encoding',
    'vocabulary-nmes': 'vocabulary-names',
    specialty: null,
    '': null,
    x: null,
    constructor: null,
    ['sample-rate'.repeat(20)]: null,
  }
  for (const [name, guess] of Object.entries(rows)) {
    const [problem] = refuse(t, { ...BASE, [name]: 'secret' })
    const hint = guess === null ? '' : ` (did you mean "${guess}"?)`
    t.equal(problem?.rule, `is not a parameter of this stream${hint}`, name.slice(0, 40))
    t.equal(problem?.value, null, 'a value under an unknown name may be a secret')
  }
})

t.test('shows names and values cut to 64 characters and without control characters', async t => {
  const [long, ansi, name] = refuse(t, {
    ...AUDIO,
    'language-code': 'x'.repeat(1000),
    'session-id': '\u001b[31m\nü😀\ud800',
    ['evil\r\n'.repeat(100)]: '',
  })
  t.equal(long?.value, `${'x'.repeat(63)}…`)
  t.equal(ansi?.value, '\\u{1b}[31m\\u{a}\\u{fc}\\u{1f600}\\u{d800}')
  t.equal(name?.parameter.length, 64)
  t.match(name?.parameter, /^[ -~]+…$/)
  const inherited: unknown = JSON.parse('{"__proto__":"x"}')
  t.equal(refuse(t, { ...BASE, ...(inherited as Input) }).length, 1, 'an inherited name is no parameter')
  const entries = refuse(t, {
    ...IDENTIFY,
    'language-options': Array.from({ length: 60 }, (_, i) => i).join(','),
  })
  t.equal(entries.length, 8, 'a list full of mistakes does not flood')
})

t.test('says what the parameters mean for the audio', async t => {
  const mono = accept(t, BASE).parameters
  t.match(mono, {
    operation: 'standard',
    encoding: 'pcm',
    isPcm: true,
    sampleRateHz: 16_000,
    channels: 1,
    frameBytes: 2,
    bytesPerSecond: 32_000,
    languageCode: 'en-US',
    languageIdentification: null,
    languageOptions: [],
    redactsPartials: false,
    findsPii: false,
    sessionId: null,
    sessionResumeWindowMinutes: null,
  })
  const stereo = accept(t, {
    ...BASE,
    'media-encoding': 'flac',
    'sample-rate': '48000',
    'enable-channel-identification': 'true',
    'number-of-channels': '2',
    'content-redaction-type': 'PII',
    'session-id': UUID,
    'session-resume-window': '30',
  }).parameters
  t.match(stereo, {
    isPcm: false,
    channels: 2,
    frameBytes: 4,
    bytesPerSecond: 192_000,
    redactsPartials: true,
    findsPii: true,
    sessionId: UUID,
    sessionResumeWindowMinutes: 30,
  })
  const identified = accept(t, { ...IDENTIFY, 'content-identification-type': 'PII' }).parameters
  t.match(identified, {
    languageCode: null,
    languageIdentification: 'one',
    languageOptions: ['en-US', 'fr-FR'],
    redactsPartials: false,
    findsPii: true,
  })
  t.equal(accept(t, IDENTIFY_MANY).parameters.languageIdentification, 'multiple')
  t.throws(() => Object.assign(mono.wire, { x: 'y' }), TypeError, 'frozen')
})

t.test('any mixture of parameters gives problems or a wire form that validates to itself', async t => {
  const text = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 80 }), fc.constantFrom('true', 'false', ''))
  const known = Object.entries(ROWS).map(([name, row]) => {
    const texts = [...Object.keys(row.valid), ...Object.keys(row.invalid)]
    return [name, fc.oneof({ arbitrary: fc.constantFrom(...texts), weight: 8 }, text)] as const
  })
  const chosen = fc.record(Object.fromEntries(known), { requiredKeys: [] }) as fc.Arbitrary<Input>
  const validText = (name: keyof typeof ROWS) => fc.constantFrom(...Object.keys(ROWS[name].valid))
  const strange = fc.dictionary(fc.string({ maxLength: 60 }), text, { maxKeys: 2 })
  const bases = fc.constantFrom<Input>({}, BASE, IDENTIFY, IDENTIFY_MANY)
  const few = fc
    .subarray(Object.keys(ROWS) as (keyof typeof ROWS)[], { maxLength: 3 })
    .chain(names => fc.record(Object.fromEntries(names.map(name => [name, validText(name)]))))
  const input: fc.Arbitrary<Input> = fc.oneof(
    fc.tuple(bases, chosen, strange).map(([a, b, c]) => ({ ...a, ...b, ...c })),
    fc.tuple(bases, few).map(([a, b]) => ({ ...a, ...b })),
  )
  let acceptedCount = 0
  const property = fc.property(input, given => {
    const result = validateParameters(given)
    if (!result.ok) {
      return (
        result.problems.length > 0 &&
        result.problems.every(({ parameter, value }) => parameter.length <= 64 && (value ?? '').length <= 64)
      )
    }
    acceptedCount++
    const again = validateParameters(result.parameters.wire)
    return (
      again.ok &&
      JSON.stringify(again) === JSON.stringify(result) &&
      Object.values(result.parameters.wire).every(value => /^[0-9A-Za-z,._-]+$/.test(value))
    )
  })
  // On failure fast-check reports the seed and the smallest case.
  t.doesNotThrow(() => fc.assert(property, { numRuns: 3000 }))
  t.ok(acceptedCount > 100, `${acceptedCount} mixtures were accepted`)
})
