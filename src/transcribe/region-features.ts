/**
 * What a request asks for that its region may not have. A stream may be tried in several regions, so this is apart from
 * validation, and it warns: the service's own lists lag behind it.
 */
import { RECENT_LANGUAGE_CODES } from './languages.ts'
import { Findings } from './parameter-problems.ts'
import type { ParameterWarning } from './parameter-problems.ts'
import type { StreamParameters } from './parameters.ts'
import { PII_REGIONS, REGIONS_WITHOUT_RECENT_LANGUAGES, STREAMING_REGIONS } from './regions.ts'

/** Empty for a region that nothing is known of. */
export function warnAboutRegion(parameters: StreamParameters, region: string): readonly ParameterWarning[] {
  if (!STREAMING_REGIONS.has(region)) return []
  const findings = new Findings()
  if (parameters.findsPii && !PII_REGIONS.has(region)) {
    const name = parameters.redactsPartials ? 'content-redaction-type' : 'content-identification-type'
    findings.warn(name, 'PII', `${name} is not documented to work in ${region}.`)
  }
  if (REGIONS_WITHOUT_RECENT_LANGUAGES.has(region)) {
    const name = parameters.languageCode === null ? 'language-options' : 'language-code'
    const codes = parameters.languageCode === null ? parameters.languageOptions : [parameters.languageCode]
    for (const code of codes) {
      if (RECENT_LANGUAGE_CODES.has(code)) {
        findings.warn(name, code, `${name} "${code}" is not documented to work in ${region}.`)
      }
    }
  }
  return findings.warnings
}
