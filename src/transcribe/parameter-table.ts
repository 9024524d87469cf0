/**
 * The parameters of the standard operation, one row each, as they stand in the query of the upstream URL.
 *
 * A row says what a single value may be. What parameters may not do together is in parameter-rules.ts. Another
 * operation of the service (medical, call analytics) is another table of the same shape, listed in operations.ts.
 *
 * Sources: `model` is the service's Smithy model (2017-10-26); `api` the API Reference, "StartStreamTranscription"; `sdk`
 * the enums of @aws-sdk/client-transcribe-streaming, for what neither of the others has yet.
 */

export interface EnumKind {
  readonly kind: 'enum'
  readonly values: readonly string[]
  /** Values that only the newest SDK names: accepted with a warning. */
  readonly undocumented?: readonly string[]
}

export interface PatternKind {
  readonly kind: 'pattern'
  readonly pattern: RegExp
  readonly maxCharacters: number
  /** The pattern in words, after "must be". */
  readonly form: string
}

/** A code of languages.ts, or one of its form. */
export interface LanguageKind {
  readonly kind: 'language'
}

export interface IntegerKind {
  readonly kind: 'integer'
  readonly min: number
  readonly max: number
  readonly unit: string
}

/** Present as `true` or not at all: `false` is accepted and left out. */
export interface BooleanKind {
  readonly kind: 'boolean'
}

/** Comma-separated, each entry once. Blanks around entries are accepted and taken out. */
export interface ListKind {
  readonly kind: 'list'
  readonly item: EnumKind | PatternKind | LanguageKind
  /** Of the whole list, without blanks. */
  readonly maxCharacters: number
}

export type ParameterKind = EnumKind | PatternKind | LanguageKind | IntegerKind | BooleanKind | ListKind

export interface ParameterDefinition {
  readonly value: ParameterKind
  readonly required?: true
  /** Not in the API Reference: accepted with a warning. */
  readonly undocumented?: true
  /** Names that people use for it elsewhere, for hints. Spellings of the wire name itself need no entry. */
  readonly aliases?: readonly string[]
  /** Added to the rule when the value is refused. */
  readonly advice?: string
  readonly doc: string
  readonly source: string
}

export type ParameterTable = Readonly<Record<string, ParameterDefinition>>

const NAME: PatternKind = {
  kind: 'pattern',
  pattern: /^[0-9a-zA-Z._-]+$/,
  maxCharacters: 200,
  form: 'a name of letters, digits, ".", "_" and "-"',
}

const NAMES: ListKind = { kind: 'list', item: NAME, maxCharacters: 3000 }
const FLAG: BooleanKind = { kind: 'boolean' }
const PII: EnumKind = { kind: 'enum', values: ['PII'] }

export const PII_ENTITY_TYPES: readonly string[] = Object.freeze([
  'ADDRESS',
  'AGE',
  'BANK_ACCOUNT_NUMBER',
  'BANK_ROUTING',
  'CREDIT_DEBIT_CVV',
  'CREDIT_DEBIT_EXPIRY',
  'CREDIT_DEBIT_NUMBER',
  'DATE_TIME',
  'EMAIL',
  'LICENSE_PLATE',
  'NAME',
  'PASSPORT_NUMBER',
  'PASSWORD',
  'PHONE',
  'PIN',
  'SSN',
  'USERNAME',
  'VEHICLE_IDENTIFICATION_NUMBER',
])

export const STANDARD_PARAMETERS = {
  'language-code': {
    value: { kind: 'language' },
    aliases: ['language', 'lang', 'locale'],
    doc: 'Language of the speech.',
    source: 'model',
  },
  'identify-language': {
    value: FLAG,
    aliases: ['detect-language', 'language-detection'],
    doc: 'Finds the one language that is spoken, among language-options.',
    source: 'model',
  },
  'identify-multiple-languages': {
    value: FLAG,
    doc: 'Finds every language that is spoken, among language-options.',
    source: 'model',
  },
  'language-options': {
    value: { kind: 'list', item: { kind: 'language' }, maxCharacters: 200 },
    aliases: ['languages', 'language-codes'],
    doc: 'Candidates of language identification: two or more codes, one dialect a language, at best not over five.',
    source: 'model, api',
  },
  'preferred-language': {
    value: { kind: 'language' },
    doc: 'The most likely one of language-options; speeds identification up.',
    source: 'model, api',
  },
  'media-encoding': {
    value: {
      kind: 'enum',
      values: ['pcm', 'ogg-opus', 'flac'],
      undocumented: ['g711-alaw', 'g711-ulaw', 'g729'],
    },
    required: true,
    aliases: ['encoding', 'codec', 'audio-encoding', 'audio-format'],
    doc: 'Signed 16-bit little-endian PCM without a header, Opus in Ogg, or FLAC.',
    source: 'model; g711 and g729: sdk',
  },
  'sample-rate': {
    value: { kind: 'integer', min: 8000, max: 48_000, unit: 'hertz' },
    required: true,
    aliases: ['media-sample-rate-hertz', 'sample-rate-hertz', 'rate'],
    doc: 'Samples a second and channel. It must be the true rate of the audio.',
    source: 'model',
  },
  'session-id': {
    value: {
      kind: 'pattern',
      pattern: /^[a-fA-F0-9]{8}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{4}-[a-fA-F0-9]{12}$/,
      maxCharacters: 36,
      form: 'a UUID of 36 characters',
    },
    doc: 'Name of the stream at the service, which makes one when it is left out.',
    source: 'model',
  },
  'session-resume-window': {
    value: { kind: 'integer', min: 1, max: 300, unit: 'minutes' },
    doc: 'How long, from the first start on, a stream with the same session-id may continue.',
    source: 'api, sdk',
  },
  'vocabulary-name': { value: NAME, doc: 'Custom vocabulary, for a given language.', source: 'model' },
  'vocabulary-names': {
    value: NAMES,
    aliases: ['vocabularies'],
    doc: 'Custom vocabularies, with language identification.',
    source: 'model',
  },
  'vocabulary-filter-name': { value: NAME, doc: 'Vocabulary filter, for a given language.', source: 'model' },
  'vocabulary-filter-names': {
    value: NAMES,
    aliases: ['vocabulary-filters'],
    doc: 'Vocabulary filters, with language identification.',
    source: 'model',
  },
  'vocabulary-filter-method': {
    value: { kind: 'enum', values: ['remove', 'mask', 'tag'] },
    doc: 'Filtered words disappear, become ***, or are marked in the result.',
    source: 'model',
  },
  'language-model-name': {
    value: NAME,
    aliases: ['custom-language-model', 'model-name', 'model'],
    doc: 'Custom language model, for a given language.',
    source: 'model',
  },
  'show-speaker-label': {
    value: FLAG,
    aliases: ['show-speaker-labels', 'speaker-labels', 'diarize', 'diarization'],
    doc: 'Tells speakers apart.',
    source: 'model',
  },
  'enable-channel-identification': {
    value: FLAG,
    aliases: ['channel-identification', 'multichannel'],
    doc: 'Transcribes the two channels of interleaved stereo each by itself.',
    source: 'model',
  },
  'number-of-channels': {
    value: { kind: 'integer', min: 2, max: 2, unit: 'channels' },
    aliases: ['channels', 'channel-count', 'num-channels'],
    advice: 'leave it out for mono audio',
    doc: 'Channels of the audio, with enable-channel-identification.',
    source: 'model; upper bound: api',
  },
  'enable-partial-results-stabilization': {
    value: FLAG,
    aliases: ['partial-results-stabilization'],
    doc: 'Words of partial results settle sooner and are marked once they have.',
    source: 'model',
  },
  'partial-results-stability': {
    value: { kind: 'enum', values: ['high', 'medium', 'low'] },
    doc: 'How soon words settle: high is fastest and least accurate.',
    source: 'model',
  },
  'content-identification-type': {
    value: PII,
    doc: 'Marks personal data in final results.',
    source: 'model',
  },
  'content-redaction-type': {
    value: PII,
    aliases: ['redact'],
    doc: 'Replaces personal data in final results. Partial results are not redacted.',
    source: 'model',
  },
  'pii-entity-types': {
    value: {
      kind: 'list',
      item: { kind: 'enum', values: [...PII_ENTITY_TYPES, 'ALL'] },
      maxCharacters: 300,
    },
    aliases: ['pii-entities'],
    doc: 'Which personal data to look for; all when left out.',
    source: 'model; the newer seven types: sdk',
  },
  'transcript-format': {
    value: { kind: 'enum', values: ['written', 'spoken'] },
    undocumented: true,
    doc: 'Numbers and the like as written (the default) or as spoken.',
    source: 'sdk',
  },
} as const satisfies ParameterTable

export type StandardParameterName = keyof typeof STANDARD_PARAMETERS
