/**
 * What a principal may ask for, and how much of it: the same object for an API key, a JWT and a client token.
 *
 *     {"concurrent_sessions": 5, "languages": ["en-US"], "features": ["speaker-labels"]}
 *
 * A member that is absent does not limit. Lists name what is allowed; an empty list allows nothing of its kind. What is
 * checked are the effective parameters, with the defaults of the relay in them.
 */
import { z } from 'zod'
import { RelayError } from '../../errors.ts'
import type { StreamRequest } from '../../protocol/stream-request.ts'

/** What a feature is, in parameters of the service. Parameters that are in no feature are everybody's. */
export const FEATURES = {
  'language-identification': ['identify-language', 'identify-multiple-languages'],
  'speaker-labels': ['show-speaker-label'],
  channels: ['enable-channel-identification'],
  vocabularies: ['vocabulary-name', 'vocabulary-names'],
  'vocabulary-filters': ['vocabulary-filter-name', 'vocabulary-filter-names'],
  'language-models': ['language-model-name'],
  'pii-identification': ['content-identification-type'],
  'pii-redaction': ['content-redaction-type'],
  resume: ['session-resume-window'],
} as const satisfies Record<string, readonly string[]>

export type Feature = keyof typeof FEATURES

const FEATURE_NAMES = Object.keys(FEATURES) as [Feature, ...Feature[]]

/** Names of things made in the AWS account: one list for all of them. */
const ACCOUNT_NAMES = [
  ...FEATURES.vocabularies,
  ...FEATURES['vocabulary-filters'],
  ...FEATURES['language-models'],
]

const MAX_ITEMS = 256
const MAX_SESSIONS = 100_000
const MAX_STARTS_PER_MINUTE = 60_000
/** Every session of a full relay, all day. */
const MAX_MINUTES_PER_DAY = 1_000_000
const MAX_SESSION_SECONDS = 86_400

const names = z.array(z.string().min(1).max(200)).max(MAX_ITEMS).readonly()

export const grantsSchema = z.strictObject({
  concurrent_sessions: z.int().min(0).max(MAX_SESSIONS).optional(),
  starts_per_minute: z.int().min(1).max(MAX_STARTS_PER_MINUTE).optional(),
  /** Of open sessions, by the clock; the day is that of UTC. */
  minutes_per_day: z.number().min(0).max(MAX_MINUTES_PER_DAY).optional(),
  session_seconds: z.int().min(1).max(MAX_SESSION_SECONDS).optional(),
  /** Codes, also those of `language-options`. */
  languages: names.optional(),
  /** Names of vocabularies, vocabulary filters and language models. */
  vocabularies: names.optional(),
  regions: names.optional(),
  features: z.array(z.enum(FEATURE_NAMES)).max(FEATURE_NAMES.length).readonly().optional(),
})

/** As it is written. */
export type GrantsInput = z.infer<typeof grantsSchema>

/** `null`: not limited. */
export interface Grants {
  readonly concurrentSessions: number | null
  readonly startsPerMinute: number | null
  readonly minutesPerDay: number | null
  readonly sessionSeconds: number | null
  readonly languages: readonly string[] | null
  readonly vocabularies: readonly string[] | null
  readonly regions: readonly string[] | null
  readonly features: readonly string[] | null
}

export const NO_GRANTS_LIMIT: Grants = Object.freeze({
  concurrentSessions: null,
  startsPerMinute: null,
  minutesPerDay: null,
  sessionSeconds: null,
  languages: null,
  vocabularies: null,
  regions: null,
  features: null,
})

export function toGrants(input: GrantsInput): Grants {
  return Object.freeze({
    concurrentSessions: input.concurrent_sessions ?? null,
    startsPerMinute: input.starts_per_minute ?? null,
    minutesPerDay: input.minutes_per_day ?? null,
    sessionSeconds: input.session_seconds ?? null,
    languages: input.languages ?? null,
    vocabularies: input.vocabularies ?? null,
    regions: input.regions ?? null,
    features: input.features ?? null,
  })
}

/** What both allow: the lower number, what is in both lists. */
export function narrowGrants(one: Grants, other: Grants): Grants {
  return Object.freeze({
    concurrentSessions: lower(one.concurrentSessions, other.concurrentSessions),
    startsPerMinute: lower(one.startsPerMinute, other.startsPerMinute),
    minutesPerDay: lower(one.minutesPerDay, other.minutesPerDay),
    sessionSeconds: lower(one.sessionSeconds, other.sessionSeconds),
    languages: common(one.languages, other.languages),
    vocabularies: common(one.vocabularies, other.vocabularies),
    regions: common(one.regions, other.regions),
    features: common(one.features, other.features),
  })
}

/** `null`, or `forbidden` naming the first parameter that is not granted. */
export function refusalOfStream(grants: Grants, { parameters }: StreamRequest): RelayError | null {
  const { languageCode, languageOptions, wire } = parameters
  const { features, languages, vocabularies } = grants
  for (const code of languageCode === null ? languageOptions : [languageCode]) {
    if (languages !== null && !languages.includes(code)) {
      return forbidden(languageCode === null ? 'language-options' : 'language-code', code)
    }
  }
  for (const parameter of ACCOUNT_NAMES) {
    for (const name of wire[parameter]?.split(',') ?? []) {
      if (vocabularies !== null && !vocabularies.includes(name)) return forbidden(parameter, name)
    }
  }
  for (const [feature, parts] of Object.entries(FEATURES)) {
    const used = parts.find(parameter => wire[parameter] !== undefined)
    if (used !== undefined && features !== null && !features.includes(feature)) {
      return needsFeature(used, feature)
    }
  }
  return null
}

function needsFeature(parameter: string, feature: string): RelayError {
  return new RelayError('forbidden', {
    message: `${parameter} needs the feature ${feature}, which this token does not have.`,
  })
}

/** `null`, or `forbidden`: a session that can be resumed is a feature like any other. */
export function refusalOfResume({ features }: Grants): RelayError | null {
  return features === null || features.includes('resume') ? null : needsFeature('resume', 'resume')
}

/** `null`, or `forbidden`: of the regions that there are, or that the client wants, it may go to none. */
export function refusalOfRegions(
  { regions: granted }: Grants,
  regions: readonly string[],
): RelayError | null {
  if (granted === null || regions.some(region => granted.includes(region))) return null
  return new RelayError('forbidden', {
    message: `This token may not be used in the region ${regions.join(' or ')}.`,
  })
}

/** The value was checked before: it is a code or a name. */
function forbidden(parameter: string, value: string): RelayError {
  return new RelayError('forbidden', { message: `${parameter} "${value}" is not allowed with this token.` })
}

function lower(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other)
}

function common(one: readonly string[] | null, other: readonly string[] | null): readonly string[] | null {
  return one === null || other === null ? (one ?? other) : one.filter(item => other.includes(item))
}
