/**
 * What a client asks for: the query of `GET /v1/stream`, or the query and a `Configure` message together.
 *
 * The relay's own parameters (`format`, `words`, `partials`, `regions`, `configure`, `resume`) are taken out here; everything else is a
 * parameter of Amazon Transcribe, goes by its name there and is checked by `transcribe/parameters`. Defaults of the
 * relay fill what the client left open, but never contradict what it said.
 */
import type { ParameterProblem, ParameterWarning, StreamParameters } from '../transcribe/parameters.ts'
import { showText } from '../transcribe/parameter-problems.ts'
import { validateParameters } from '../transcribe/parameters.ts'

/** `simple`: flat results of the relay's own. `aws`: the service's JSON as it came, with a `type`. */
export type ResultFormat = 'simple' | 'aws'

export interface StreamRequest {
  readonly parameters: StreamParameters
  readonly warnings: readonly ParameterWarning[]
  readonly format: ResultFormat
  /** Word times and confidences in `simple` results. */
  readonly words: boolean
  /** Whether partial results are wanted. */
  readonly partials: boolean
  /** Regions that it may go to; `null`: any. */
  readonly regions: readonly string[] | null
}

/** Either complete, or waiting for the `Configure` message that completes it. */
export type StreamQuery =
  | { readonly kind: 'ready'; readonly resume: boolean; readonly stream: StreamRequest }
  | { readonly kind: 'configure'; readonly resume: boolean; readonly given: ReadonlyMap<string, string> }

export interface StreamDefaults {
  /** Parameters of Amazon Transcribe by wire name, for clients that do not give them. */
  readonly parameters: Readonly<Record<string, string>>
  readonly format: ResultFormat
  readonly words: boolean
  readonly partials: boolean
  /** Language codes to accept without a warning besides the known ones. */
  readonly extraLanguageCodes: readonly string[]
  /** Where streams can go, for clients that want a choice of these. Absent: there is none. */
  readonly regions?: readonly string[]
}

export type StreamQueryResult =
  | { readonly ok: true; readonly query: StreamQuery }
  | { readonly ok: false; readonly problems: readonly ParameterProblem[] }

export type StreamRequestResult =
  | { readonly ok: true; readonly stream: StreamRequest }
  | { readonly ok: false; readonly problems: readonly ParameterProblem[] }

/** Most parameters in one request, the relay's own included; the service has 24. */
export const MAX_PARAMETERS = 64

const OWN_PARAMETERS = ['format', 'words', 'partials', 'regions', 'configure', 'resume'] as const

/**
 * Parameters that answer one question together. A client that gives one of a group gets no default for the others:
 * `identify-language=true` must not meet a default `language-code`.
 */
const GROUPS: readonly (readonly string[])[] = [
  [
    'language-code',
    'identify-language',
    'identify-multiple-languages',
    'language-options',
    'preferred-language',
  ],
  ['content-identification-type', 'content-redaction-type', 'pii-entity-types'],
  ['enable-channel-identification', 'number-of-channels'],
  ['enable-partial-results-stabilization', 'partial-results-stability'],
]

/** Names of things made for one language: no default of these once the client chose the language itself. */
const LANGUAGE_BOUND = [
  'vocabulary-name',
  'vocabulary-names',
  'vocabulary-filter-name',
  'vocabulary-filter-names',
  'language-model-name',
]

/** Reads the query string of the upgrade (without `?`). */
export function readStreamQuery(queryString: string, defaults: StreamDefaults): StreamQueryResult {
  const given = new Map<string, string>()
  const repeated = new Set<string>()
  for (const [name, value] of new URLSearchParams(queryString)) {
    if (given.has(name)) repeated.add(name)
    else given.set(name, value)
    if (given.size > MAX_PARAMETERS) return { ok: false, problems: [tooMany(name)] }
  }
  // Without the values: under a name that nobody knows they may be secrets.
  const problems: ParameterProblem[] = [...repeated].map(name => ({
    parameter: showText(name),
    value: null,
    rule: 'must be given once',
  }))
  const waits = readBoolean(given, 'configure', false, problems)
  given.delete('configure')
  // Of the connection and not of the stream: a Configure message comes too late to say it.
  const resume = readBoolean(given, 'resume', false, problems)
  given.delete('resume')
  if (waits) {
    if (problems.length > 0) return { ok: false, problems }
    return { ok: true, query: { kind: 'configure', resume, given } }
  }
  const result = readStreamRequest(given, defaults)
  if (!result.ok) return { ok: false, problems: [...problems, ...result.problems] }
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, query: { kind: 'ready', resume, stream: result.stream } }
}

/** Checks what a client gave, by wire name, and completes it from the defaults. Reports every problem at once. */
export function readStreamRequest(
  given: ReadonlyMap<string, string>,
  defaults: StreamDefaults,
): StreamRequestResult {
  const surplus = [...given.keys()][MAX_PARAMETERS]
  if (surplus !== undefined) return { ok: false, problems: [tooMany(surplus)] }
  const problems: ParameterProblem[] = []
  const format = readFormat(given, defaults.format, problems)
  const words = readBoolean(given, 'words', defaults.words, problems)
  const partials = readBoolean(given, 'partials', defaults.partials, problems)
  const regions = readRegions(given, defaults.regions ?? [], problems)
  const validation = validateParameters(withDefaults(given, defaults.parameters), {
    extraLanguageCodes: defaults.extraLanguageCodes,
  })
  if (!validation.ok) return { ok: false, problems: [...problems, ...validation.problems] }
  if (problems.length > 0) return { ok: false, problems }
  const { parameters, warnings } = validation
  return { ok: true, stream: { parameters, warnings, format, words, partials, regions } }
}

function tooMany(name: string): ParameterProblem {
  return {
    parameter: showText(name),
    value: null,
    rule: `must be among at most ${MAX_PARAMETERS} parameters`,
  }
}

/** One sentence a problem, joined: what the client reads. */
export function describeProblems(problems: readonly ParameterProblem[]): string {
  return problems.map(describeProblem).join(' ')
}

function describeProblem({ parameter, value, rule }: ParameterProblem): string {
  return value === null ? `${parameter} ${rule}.` : `${parameter} ${rule}, got "${value}".`
}

function withDefaults(
  given: ReadonlyMap<string, string>,
  defaults: Readonly<Record<string, string>>,
): Record<string, string> {
  const blocked = new Set<string>()
  // A flag given as `false` takes a default away only where the default is that flag.
  const isChoice = (name: string) =>
    given.has(name) && (given.get(name) !== 'false' || defaults[name] === 'true')
  for (const group of GROUPS) if (group.some(isChoice)) for (const name of group) blocked.add(name)
  if (blocked.has('language-code')) for (const name of LANGUAGE_BOUND) blocked.add(name)
  // Through a map: a parameter named `__proto__` is refused by its name, and not lost.
  const merged = new Map(Object.entries(defaults).filter(([name]) => !blocked.has(name)))
  for (const [name, value] of given) if (!isOwnParameter(name)) merged.set(name, value)
  return Object.fromEntries(merged)
}

function isOwnParameter(name: string): boolean {
  return (OWN_PARAMETERS as readonly string[]).includes(name)
}

function readFormat(
  given: ReadonlyMap<string, string>,
  fallback: ResultFormat,
  problems: ParameterProblem[],
): ResultFormat {
  const value = given.get('format')
  if (value === undefined) return fallback
  if (value === 'simple' || value === 'aws') return value
  problems.push({ parameter: 'format', value: showText(value), rule: 'must be simple or aws' })
  return fallback
}

function readRegions(
  given: ReadonlyMap<string, string>,
  known: readonly string[],
  problems: ParameterProblem[],
): readonly string[] | null {
  const value = given.get('regions')
  if (value === undefined) return null
  const names = [...new Set(value.split(',').map(name => name.trim()))]
  if (names.every(name => known.includes(name))) return names
  const rule = `must be one or more of ${known.join(', ')}, separated by commas`
  problems.push({ parameter: 'regions', value: showText(value), rule })
  return null
}

function readBoolean(
  given: ReadonlyMap<string, string>,
  name: string,
  fallback: boolean,
  problems: ParameterProblem[],
): boolean {
  const value = given.get(name)
  if (value === undefined) return fallback
  if (value === 'true') return true
  if (value === 'false') return false
  problems.push({ parameter: name, value: showText(value), rule: 'must be true or false' })
  return fallback
}
