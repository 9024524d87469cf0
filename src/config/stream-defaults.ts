/**
 * What a stream is when the client says nothing, from the options; and whether Amazon Transcribe would take it.
 *
 * Checked when the relay starts: a default that the service refuses would end every session of every client.
 */
import type { StreamDefaults } from '../protocol/stream-request.ts'
import { validateParameters } from '../transcribe/parameters.ts'
import type { RelayOptions } from './options.ts'
import type { ConfigProblem } from './problems.ts'

const IDENTIFIERS = ['identify-language', 'identify-multiple-languages'] as const

export function streamDefaults(options: RelayOptions): StreamDefaults {
  const { languageCode, sampleRate, mediaEncoding, parameters, format, words, partials, languages } = options
  const identifies = IDENTIFIERS.some(name => parameters[name] === 'true')
  return Object.freeze({
    parameters: Object.freeze({
      ...(identifies ? {} : { 'language-code': languageCode }),
      'sample-rate': String(sampleRate),
      'media-encoding': mediaEncoding,
      ...parameters,
    }),
    format,
    words,
    partials,
    extraLanguageCodes: languages,
  })
}

/** What is wrong with the defaults together, by the rules of the service. */
export function checkStreamDefaults(options: RelayOptions): ConfigProblem[] {
  const defaults = streamDefaults(options)
  const validation = validateParameters(defaults.parameters, {
    extraLanguageCodes: defaults.extraLanguageCodes,
  })
  if (validation.ok) return []
  return validation.problems.map(({ parameter, value, rule }) => ({
    path: `defaults of a stream: ${parameter}`,
    value: value === null ? null : `"${value}"`,
    rule,
  }))
}
