/**
 * Validates the parameters of a stream and says what they mean for its audio.
 *
 * Names and values are those of the service's query, case-sensitive as there. Every problem is reported at once. What comes
 * out as `wire` is canonical: it holds only known names, goes into the upstream URL as it stands, and validates to itself.
 */
import { LANGUAGE_CODES, LANGUAGE_CODE_PATTERN, languageOf } from './languages.ts'
import { OPERATIONS } from './operations.ts'
import type { OperationName } from './operations.ts'
import { guessChoice, guessLanguageCode, guessParameterName } from './parameter-hints.ts'
import { Findings } from './parameter-problems.ts'
import type { ParameterProblem, ParameterWarning } from './parameter-problems.ts'
import type {
  EnumKind,
  IntegerKind,
  ListKind,
  ParameterDefinition,
  ParameterKind,
  ParameterTable,
  PatternKind,
} from './parameter-table.ts'

export type { ParameterProblem, ParameterWarning } from './parameter-problems.ts'

export type MediaEncoding = 'pcm' | 'ogg-opus' | 'flac' | 'g711-alaw' | 'g711-ulaw' | 'g729'

export interface StreamParameters {
  readonly operation: OperationName
  /** The query of the upstream URL: wire names, wire values, without the signature. */
  readonly wire: Readonly<Record<string, string>>
  readonly encoding: MediaEncoding
  readonly isPcm: boolean
  readonly sampleRateHz: number
  readonly channels: 1 | 2
  /** Bytes of one sample of every channel; PCM is cut at multiples of it. */
  readonly frameBytes: 2 | 4
  /** Rate of the PCM. A compressed stream has fewer, so that this bounds it. */
  readonly bytesPerSecond: number
  /** `null` with language identification. */
  readonly languageCode: string | null
  readonly languageIdentification: 'one' | 'multiple' | null
  /** Empty without language identification. */
  readonly languageOptions: readonly string[]
  /** The service redacts final results; its partial results still hold what the final ones hide. */
  readonly redactsPartials: boolean
  /** Personal data is looked for, to be marked or redacted. */
  readonly findsPii: boolean
  readonly sessionId: string | null
  readonly sessionResumeWindowMinutes: number | null
}

export interface ValidationOptions {
  readonly operation?: OperationName
  /** Language codes to accept without a warning besides the known ones. */
  readonly extraLanguageCodes?: readonly string[]
}

export type ParameterValidation =
  | {
      readonly ok: true
      readonly parameters: StreamParameters
      readonly warnings: readonly ParameterWarning[]
    }
  | { readonly ok: false; readonly problems: readonly ParameterProblem[] }

const PCM_BYTES_PER_SAMPLE = 2
/** A list with more wrong entries than this gets no further problem. */
const MAX_PROBLEMS_PER_LIST = 8

/** Checks `input` (wire name → text) against the table and the rules of the operation. Never throws. */
export function validateParameters(
  input: Readonly<Record<string, string>>,
  options: ValidationOptions = {},
): ParameterValidation {
  const operationName = options.operation ?? 'standard'
  const { parameters: table, rules } = OPERATIONS[operationName]
  const findings = new Findings()
  const checker = new ValueChecker(findings, options.extraLanguageCodes ?? [])
  const given = new Set<string>()
  const accepted = new Map<string, string>()
  for (const [name, text] of Object.entries(input)) {
    const definition = lookUp(table, name)
    if (definition === null) {
      refuseName(name, table, findings)
      continue
    }
    const value = checker.check(name, text, definition)
    if (value !== LEFT_OUT) given.add(name)
    if (typeof value === 'string') accepted.set(name, value)
  }
  for (const [name, definition] of Object.entries(table)) {
    if (definition.required === true && !given.has(name)) findings.refuse(name, null, missingRule(definition))
  }
  const view = { has: (name: string) => given.has(name), value: (name: string) => accepted.get(name) ?? null }
  for (const rule of rules) rule(view, findings)
  if (findings.problems.length > 0) return { ok: false, problems: findings.problems }
  return { ok: true, parameters: describeStream(operationName, accepted), warnings: findings.warnings }
}

/** The result of a flag that is `false`. */
const LEFT_OUT = Symbol('left out')
const REFUSED = Symbol('refused')
type Checked = string | typeof LEFT_OUT | typeof REFUSED

/** Checks single values: returns the wire value, or reports what is wrong with it. */
class ValueChecker {
  readonly #findings: Findings
  readonly #languageCodes: ReadonlySet<string>

  constructor(findings: Findings, extraLanguageCodes: readonly string[]) {
    this.#findings = findings
    this.#languageCodes = new Set([...LANGUAGE_CODES, ...extraLanguageCodes])
  }

  check(name: string, text: string, definition: ParameterDefinition): Checked {
    const kind = definition.value
    if (kind.kind === 'list') return this.#checkList(name, text, kind)
    const rule = singleRule(text, kind)
    if (rule !== null) {
      const advice = definition.advice === undefined ? '' : `: ${definition.advice}`
      this.#findings.refuse(name, text, `must be ${rule}${advice}`)
      return REFUSED
    }
    if (kind.kind === 'boolean' && text === 'false') return LEFT_OUT
    if (definition.undocumented === true) {
      this.#findings.warn(
        name,
        text,
        `${name} is not documented by AWS; the service may ignore or refuse it.`,
      )
    }
    this.#warnAboutValue(name, text, kind)
    return text
  }

  #checkList(name: string, text: string, kind: ListKind): Checked {
    const entries = text.split(',').map(entry => entry.trim())
    const value = entries.join(',')
    if (value.length > kind.maxCharacters) {
      this.#findings.refuse(name, text, `must have at most ${kind.maxCharacters} characters`)
      return REFUSED
    }
    const problemsBefore = this.#findings.problems.length
    const seen = new Set<string>()
    for (const entry of entries) {
      if (this.#findings.problems.length - problemsBefore === MAX_PROBLEMS_PER_LIST) break
      const rule = singleRule(entry, kind.item)
      if (rule !== null) this.#findings.refuse(name, entry, `must be a comma list, each entry ${rule}`)
      else if (seen.has(entry)) this.#findings.refuse(name, entry, 'must list an entry once only')
      seen.add(entry)
    }
    if (this.#findings.problems.length > problemsBefore) return REFUSED
    for (const entry of entries) this.#warnAboutValue(name, entry, kind.item)
    return value
  }

  #warnAboutValue(name: string, value: string, kind: ParameterKind): void {
    if (kind.kind === 'enum' && kind.undocumented?.includes(value) === true) {
      this.#findings.warn(
        name,
        value,
        `${name} "${value}" is not documented by AWS; the service may refuse it.`,
      )
    }
    if (kind.kind === 'language' && !this.#languageCodes.has(value)) {
      const relatives = LANGUAGE_CODES.filter(code => languageOf(code) === languageOf(value))
      const known = relatives.length > 0 ? `; of this language it knows ${relatives.join(', ')}` : ''
      this.#findings.warn(
        name,
        value,
        `${name} "${value}" is not in the relay's list of streaming languages${known}.`,
      )
    }
  }
}

/** The rule that `text` breaks, to be read after "must be"; `null`: none. */
function singleRule(text: string, kind: Exclude<ParameterKind, ListKind>): string | null {
  switch (kind.kind) {
    case 'enum':
      return enumRule(text, kind)
    case 'pattern':
      return patternRule(text, kind)
    case 'integer':
      return integerRule(text, kind)
    case 'language':
      if (LANGUAGE_CODE_PATTERN.test(text)) return null
      return `a language code such as en-US${hint(guessLanguageCode(text))}`
    default:
      if (text === 'true' || text === 'false') return null
      return `true or false${hint(guessChoice(text, ['true', 'false']))}`
  }
}

function enumRule(text: string, kind: EnumKind): string | null {
  const values = [...kind.values, ...(kind.undocumented ?? [])]
  if (values.includes(text)) return null
  const choices = kind.values.length === 1 ? kind.values.join('') : `one of ${kind.values.join(', ')}`
  return `${choices}${hint(guessChoice(text, values))}`
}

function patternRule(text: string, kind: PatternKind): string | null {
  if (text.length <= kind.maxCharacters && kind.pattern.test(text)) return null
  return `${kind.form}, at most ${kind.maxCharacters} characters long`
}

function integerRule(text: string, { min, max, unit }: IntegerKind): string | null {
  const value = Number(text)
  if (/^[1-9]\d*$/.test(text) && value >= min && value <= max) return null
  return min === max ? `${min}` : `a whole number from ${min} to ${max} (${unit})`
}

function hint(guess: string | null): string {
  return guess === null ? '' : ` (did you mean "${guess}"?)`
}

function missingRule({ value }: ParameterDefinition): string {
  if (value.kind === 'integer')
    return `must be given: a whole number from ${value.min} to ${value.max} (${value.unit})`
  return value.kind === 'enum' ? `must be given: one of ${value.values.join(', ')}` : 'must be given'
}

function lookUp(table: ParameterTable, name: string): ParameterDefinition | null {
  return Object.hasOwn(table, name) ? (table[name] ?? null) : null
}

/** Without the value: under a name that nobody knows it may be a secret, such as a token. */
function refuseName(name: string, table: ParameterTable, findings: Findings): void {
  const guess = guessParameterName(name, table)
  findings.refuse(name, null, `is not a parameter of this stream${hint(guess)}`)
}

function describeStream(operation: OperationName, accepted: ReadonlyMap<string, string>): StreamParameters {
  const encoding = accepted.get('media-encoding') as MediaEncoding
  const sampleRateHz = Number(accepted.get('sample-rate'))
  const channels = accepted.has('number-of-channels') ? 2 : 1
  const resumeWindow = accepted.get('session-resume-window')
  const redacts = accepted.has('content-redaction-type')
  return Object.freeze({
    operation,
    wire: Object.freeze(Object.fromEntries(accepted)),
    encoding,
    isPcm: encoding === 'pcm',
    sampleRateHz,
    channels,
    frameBytes: channels === 2 ? 4 : 2,
    bytesPerSecond: sampleRateHz * channels * PCM_BYTES_PER_SAMPLE,
    languageCode: accepted.get('language-code') ?? null,
    languageIdentification: readIdentification(accepted),
    languageOptions: accepted.get('language-options')?.split(',') ?? [],
    redactsPartials: redacts,
    findsPii: redacts || accepted.has('content-identification-type'),
    sessionId: accepted.get('session-id') ?? null,
    sessionResumeWindowMinutes: resumeWindow === undefined ? null : Number(resumeWindow),
  })
}

function readIdentification(accepted: ReadonlyMap<string, string>): 'one' | 'multiple' | null {
  if (accepted.has('identify-language')) return 'one'
  return accepted.has('identify-multiple-languages') ? 'multiple' : null
}
