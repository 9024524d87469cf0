/**
 * What parameters of the standard operation may not do together, and what they need of each other.
 *
 * The service answers some of these with an exception in the stream, some with an early end and no word, and some
 * not at all; here they are found before anything is dialled. A rule looks at what was given, and stays silent about values
 * that were refused already, so that one mistake is reported once.
 *
 * Source: API Reference, "StartStreamTranscription"; Developer Guide, "Language identification with streaming
 * transcriptions"; the doc comments of @aws-sdk/client-transcribe-streaming.
 */
import { CUSTOM_MODEL_LANGUAGE_CODES, PII_LANGUAGE_CODES, languageOf } from './languages.ts'
import type { Findings } from './parameter-problems.ts'
import type { StandardParameterName } from './parameter-table.ts'

/** The parameters of a request, each checked by itself. */
export interface GivenParameters {
  /** Whether it was given, valid or not; a flag that is `false` was not. */
  has(name: StandardParameterName): boolean
  /** The wire value; `null` when it was not given or refused. */
  value(name: StandardParameterName): string | null
}

export type CombinationRule = (given: GivenParameters, findings: Findings) => void

/** More candidates than this cost accuracy, the service says. */
const ADVISED_LANGUAGE_OPTIONS = 5
const MIN_LANGUAGE_OPTIONS = 2

const LANGUAGE_CHOICES = ['language-code', 'identify-language', 'identify-multiple-languages'] as const
const IDENTIFICATIONS = ['identify-language', 'identify-multiple-languages'] as const

const IDENTIFIABLE_ENCODINGS = {
  'identify-language': ['pcm', 'flac'],
  'identify-multiple-languages': ['pcm'],
} as const

export const STANDARD_RULES: readonly CombinationRule[] = [
  languageIsChosenOnce,
  identificationNeedsOptions,
  optionsNeedIdentification,
  optionsAreDistinctLanguages,
  preferredLanguageIsAnOption,
  identificationExcludesModelAndRedaction,
  identificationLimitsEncoding,
  vocabulariesMatchTheLanguageChoice,
  filterMethodNeedsFilter,
  customModelKnowsLanguage,
  channelsComeInPairs,
  piiIsFoundOrRedacted,
  piiKnowsLanguage,
  stabilityNeedsStabilization,
]

function languageIsChosenOnce(given: GivenParameters, findings: Findings): void {
  const [first, ...others] = LANGUAGE_CHOICES.filter(name => given.has(name))
  if (first === undefined) {
    findings.refuse(
      'language-code',
      null,
      'must be given, or else identify-language or identify-multiple-languages with language-options',
    )
    return
  }
  for (const other of others) {
    findings.refuse(
      other,
      given.value(other),
      `cannot be combined with ${first}: exactly one of them is needed`,
    )
  }
}

function identificationNeedsOptions(given: GivenParameters, findings: Findings): void {
  const identification = IDENTIFICATIONS.find(name => given.has(name))
  if (identification === undefined || given.has('language-options')) return
  findings.refuse(
    'language-options',
    null,
    `must be given with ${identification}: a comma list of at least ${MIN_LANGUAGE_OPTIONS} language codes`,
  )
}

function optionsNeedIdentification(given: GivenParameters, findings: Findings): void {
  if (!given.has('language-options') || identifies(given)) return
  findings.refuse(
    'language-options',
    given.value('language-options'),
    'needs identify-language or identify-multiple-languages',
  )
}

function optionsAreDistinctLanguages(given: GivenParameters, findings: Findings): void {
  const value = given.value('language-options')
  if (value === null) return
  const codes = value.split(',')
  if (codes.length < MIN_LANGUAGE_OPTIONS) {
    findings.refuse('language-options', value, `must list at least ${MIN_LANGUAGE_OPTIONS} language codes`)
  }
  if (codes.length > ADVISED_LANGUAGE_OPTIONS) {
    findings.warn(
      'language-options',
      value,
      `language-options lists ${codes.length} codes; more than ${ADVISED_LANGUAGE_OPTIONS} make identification less accurate.`,
    )
  }
  const dialects = new Map<string, string>()
  for (const code of codes) {
    const earlier = dialects.get(languageOf(code))
    if (earlier === undefined) dialects.set(languageOf(code), code)
    else
      findings.refuse(
        'language-options',
        code,
        `must list one dialect of a language, and ${earlier} is listed`,
      )
  }
}

function preferredLanguageIsAnOption(given: GivenParameters, findings: Findings): void {
  if (!given.has('preferred-language')) return
  const value = given.value('preferred-language')
  const options = given.value('language-options')
  if (!given.has('language-options')) {
    findings.refuse('preferred-language', value, 'needs language-options, of which it is one')
  } else if (value !== null && options !== null && !options.split(',').includes(value)) {
    findings.refuse('preferred-language', value, 'must be one of language-options')
  }
  if (given.has('identify-multiple-languages')) {
    findings.warn(
      'preferred-language',
      value,
      'preferred-language is documented with identify-language only; with identify-multiple-languages it may have no effect.',
    )
  }
}

function identificationExcludesModelAndRedaction(given: GivenParameters, findings: Findings): void {
  const identification = IDENTIFICATIONS.find(name => given.has(name))
  if (identification === undefined) return
  for (const name of ['language-model-name', 'content-redaction-type'] as const) {
    if (given.has(name)) findings.refuse(name, given.value(name), `cannot be combined with ${identification}`)
  }
  if (given.has('content-identification-type')) {
    findings.warn(
      'content-identification-type',
      given.value('content-identification-type'),
      `content-identification-type is not documented together with ${identification}; it may have no effect.`,
    )
  }
}

function identificationLimitsEncoding(given: GivenParameters, findings: Findings): void {
  const encoding = given.value('media-encoding')
  if (encoding === null) return
  for (const identification of IDENTIFICATIONS) {
    const allowed: readonly string[] = IDENTIFIABLE_ENCODINGS[identification]
    if (given.has(identification) && !allowed.includes(encoding)) {
      findings.refuse('media-encoding', encoding, `must be ${allowed.join(' or ')} with ${identification}`)
    }
  }
}

function vocabulariesMatchTheLanguageChoice(given: GivenParameters, findings: Findings): void {
  for (const singular of ['vocabulary-name', 'vocabulary-filter-name'] as const) {
    const plural = `${singular}s` as const
    if (given.has(singular) && given.has('identify-language')) {
      findings.refuse(
        singular,
        given.value(singular),
        `cannot be combined with identify-language: use ${plural}`,
      )
    } else if (given.has(singular) && given.has('identify-multiple-languages')) {
      findings.warn(
        singular,
        given.value(singular),
        `${singular} counts for one language only; with identify-multiple-languages use ${plural}.`,
      )
    }
    if (given.has(plural) && !identifies(given)) {
      findings.refuse(
        plural,
        given.value(plural),
        `needs identify-language or identify-multiple-languages: with language-code use ${singular}`,
      )
    }
  }
}

function filterMethodNeedsFilter(given: GivenParameters, findings: Findings): void {
  if (!given.has('vocabulary-filter-method')) return
  if (given.has('vocabulary-filter-name') || given.has('vocabulary-filter-names')) return
  findings.warn(
    'vocabulary-filter-method',
    given.value('vocabulary-filter-method'),
    'vocabulary-filter-method has no effect without a vocabulary filter.',
  )
}

function customModelKnowsLanguage(given: GivenParameters, findings: Findings): void {
  const code = given.value('language-code')
  if (code === null || !given.has('language-model-name') || CUSTOM_MODEL_LANGUAGE_CODES.has(code)) return
  findings.warn(
    'language-model-name',
    given.value('language-model-name'),
    `language-model-name: custom language models are not documented for ${code}; the service may ignore the model.`,
  )
}

function channelsComeInPairs(given: GivenParameters, findings: Findings): void {
  const flag = given.has('enable-channel-identification')
  const count = given.has('number-of-channels')
  if (flag && !count) {
    findings.refuse('number-of-channels', null, 'must be given with enable-channel-identification, as 2')
  } else if (count && !flag) {
    findings.refuse(
      'number-of-channels',
      given.value('number-of-channels'),
      'needs enable-channel-identification: leave it out for mono audio',
    )
  }
}

function piiIsFoundOrRedacted(given: GivenParameters, findings: Findings): void {
  const identification = given.has('content-identification-type')
  const redaction = given.has('content-redaction-type')
  if (identification && redaction) {
    findings.refuse(
      'content-redaction-type',
      given.value('content-redaction-type'),
      'cannot be combined with content-identification-type',
    )
  }
  if (given.has('pii-entity-types') && !identification && !redaction) {
    findings.refuse(
      'pii-entity-types',
      given.value('pii-entity-types'),
      'needs content-identification-type or content-redaction-type',
    )
  }
}

function piiKnowsLanguage(given: GivenParameters, findings: Findings): void {
  const code = given.value('language-code')
  if (code === null || PII_LANGUAGE_CODES.has(code)) return
  for (const name of ['content-identification-type', 'content-redaction-type'] as const) {
    if (!given.has(name)) continue
    findings.warn(name, given.value(name), `${name}: personal data in ${code} is not documented to be found.`)
  }
}

function stabilityNeedsStabilization(given: GivenParameters, findings: Findings): void {
  if (!given.has('partial-results-stability') || given.has('enable-partial-results-stabilization')) return
  findings.refuse(
    'partial-results-stability',
    given.value('partial-results-stability'),
    'needs enable-partial-results-stabilization',
  )
}

function identifies(given: GivenParameters): boolean {
  return IDENTIFICATIONS.some(name => given.has(name))
}
