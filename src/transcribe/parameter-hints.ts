/**
 * Guesses what was meant by a name or a value that is nearly right: another case, the SDK's spelling, a typing error.
 */
import { editDistance } from '../spelling.ts'
import { LANGUAGE_CODES } from './languages.ts'
import type { ParameterTable } from './parameter-table.ts'

const MAX_EDITS = 2
/** Edits a name may need, as a part of its length: keeps short names from matching anything. */
const EDITS_PER_CHARACTER = 0.25
/** Longer names are not compared: the work is the product of the lengths. */
const MAX_COMPARED_CHARACTERS = 48

/**
 * The wire name that `name` probably stands for: `SampleRate`, `sample_rate`, `x-amzn-transcribe-sample-rate`,
 * `MediaSampleRateHertz` and `sample-rat` all mean `sample-rate`. `null` without a good guess.
 */
export function guessParameterName(name: string, table: ParameterTable): string | null {
  if (name.length > MAX_COMPARED_CHARACTERS) return null
  const wanted = plain(name.replace(/^x-amzn-transcribe-/i, ''))
  let best: string | null = null
  let bestEdits = Math.min(MAX_EDITS, Math.floor(wanted.length * EDITS_PER_CHARACTER)) + 1
  for (const [wireName, definition] of Object.entries(table)) {
    for (const spelling of [wireName, ...(definition.aliases ?? [])]) {
      const candidate = plain(spelling)
      // Each character more is an edit. Strangers send names: comparing all of them would cost milliseconds a request.
      if (Math.abs(candidate.length - wanted.length) >= bestEdits) continue
      const edits = editDistance(wanted, candidate)
      if (edits < bestEdits) {
        best = wireName
        bestEdits = edits
      }
    }
  }
  return best
}

/** The one of `values` that differs from `value` by case alone, else `null`. */
export function guessChoice(value: string, values: readonly string[]): string | null {
  const wanted = value.trim().toLowerCase()
  return values.find(candidate => candidate.toLowerCase() === wanted) ?? null
}

/** `en-us`, `EN_US` → `en-US`; also for codes that are not in the list. `null` without a good guess. */
export function guessLanguageCode(value: string): string | null {
  const wanted = value.trim().replace('_', '-')
  const known = guessChoice(wanted, LANGUAGE_CODES)
  if (known !== null) return known
  const [language, region] = /^([a-z]{2,3})-([a-z]{2})$/i.exec(wanted)?.slice(1) ?? []
  return language === undefined || region === undefined
    ? null
    : `${language.toLowerCase()}-${region.toUpperCase()}`
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, '')
}
