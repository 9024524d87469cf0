import t from 'tap'
import {
  CUSTOM_MODEL_LANGUAGE_CODES,
  LANGUAGE_CODES,
  LANGUAGE_CODE_PATTERN,
  languageOf,
  PII_LANGUAGE_CODES,
  RECENT_LANGUAGE_CODES,
} from '../../src/transcribe/languages.ts'
import { validateParameters } from '../../src/transcribe/parameters.ts'
import type { StreamParameters } from '../../src/transcribe/parameters.ts'
import { warnAboutRegion } from '../../src/transcribe/region-features.ts'
import { REGIONS_WITHOUT_RECENT_LANGUAGES, STREAMING_REGIONS } from '../../src/transcribe/regions.ts'

const AUDIO = { 'media-encoding': 'pcm', 'sample-rate': '16000' }

function parametersOf(input: Readonly<Record<string, string>>): StreamParameters {
  const result = validateParameters({ ...AUDIO, ...input })
  if (!result.ok) throw new Error('refused')
  return result.parameters
}

t.test('99 languages are known, each of the right form, once, and accepted without a warning', async t => {
  t.equal(LANGUAGE_CODES.length, 99)
  t.equal(new Set(LANGUAGE_CODES).size, 99)
  t.equal(RECENT_LANGUAGE_CODES.size, 45)
  for (const code of LANGUAGE_CODES) {
    t.match(code, LANGUAGE_CODE_PATTERN)
    t.match(validateParameters({ ...AUDIO, 'language-code': code }), { ok: true, warnings: [] }, code)
  }
})

t.test('the languages of a feature are languages of the service', async t => {
  const known = new Set(LANGUAGE_CODES)
  t.equal(PII_LANGUAGE_CODES.size, 18)
  t.equal(CUSTOM_MODEL_LANGUAGE_CODES.size, 6)
  for (const code of [...PII_LANGUAGE_CODES, ...CUSTOM_MODEL_LANGUAGE_CODES]) t.ok(known.has(code), code)
})

t.test('the language of a code is what stands before the region', async t => {
  t.strictSame(['en-US', 'kab-DZ', 'ckb-IQ', 'en'].map(languageOf), ['en', 'kab', 'ckb', 'en'])
})

t.test('a region is warned about for what it is not documented to have', async t => {
  const tamil = parametersOf({ 'language-code': 'ta-IN' })
  for (const region of STREAMING_REGIONS) {
    const expected = REGIONS_WITHOUT_RECENT_LANGUAGES.has(region) ? 1 : 0
    t.equal(warnAboutRegion(tamil, region).length, expected, region)
  }
  const options = parametersOf({ 'identify-language': 'true', 'language-options': 'ta-IN,en-US,te-IN' })
  t.strictSame(
    warnAboutRegion(options, 'af-south-1').map(({ parameter, value }) => [parameter, value]),
    [
      ['language-options', 'ta-IN'],
      ['language-options', 'te-IN'],
    ],
  )
  const redacted = parametersOf({ 'language-code': 'en-US', 'content-redaction-type': 'PII' })
  const marked = parametersOf({ 'language-code': 'en-US', 'content-identification-type': 'PII' })
  t.strictSame(warnAboutRegion(redacted, 'us-east-1'), [])
  t.match(warnAboutRegion(redacted, 'sa-east-1'), [{ parameter: 'content-redaction-type' }])
  t.match(warnAboutRegion(marked, 'sa-east-1'), [{ parameter: 'content-identification-type' }])
  t.strictSame(warnAboutRegion(redacted, 'eu-south-9'), [], 'nothing is known of a new region')
})
