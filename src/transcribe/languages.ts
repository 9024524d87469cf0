/**
 * The languages of standard streaming, and which of them a feature knows.
 *
 * The service learns languages often (54 in April 2025, 99 a year later), so the list informs and never decides: a code
 * of the right form passes, and one that is not listed here is reported. Traps: Estonian is `et-ET` in streams and
 * `et-EE` in batch jobs, Luganda is `lg-IN`, Kabyle and Central Kurdish have three letters, there is no `en-CA`.
 *
 * Source: enum LanguageCode of the service's model; Developer Guide, "Supported languages and language-specific features".
 */

export const LANGUAGE_CODE_PATTERN = /^[a-z]{2,3}-[A-Z]{2}$/

/** Available in every region with streaming. */
const ESTABLISHED = words(`
  af-ZA ar-AE ar-SA ca-ES cs-CZ da-DK de-CH de-DE el-GR en-AB en-AU en-GB en-IE en-IN en-NZ en-US en-WL en-ZA
  es-ES es-US eu-ES fa-IR fi-FI fr-CA fr-FR gl-ES he-IL hi-IN hr-HR id-ID it-IT ja-JP ko-KR lv-LV ms-MY nl-NL
  no-NO pl-PL pt-BR pt-PT ro-RO ru-RU sk-SK so-SO sr-RS sv-SE th-TH tl-PH uk-UA vi-VN zh-CN zh-HK zh-TW zu-ZA`)

/** Newer, and missing in some regions: see region-features.ts. */
const RECENT = words(`
  am-ET be-BY bg-BG bn-IN bs-BA ckb-IQ ckb-IR cy-WL es-MX et-ET fa-AF gu-IN ht-HT hu-HU hy-AM is-IS jv-ID kab-DZ
  ka-GE kk-KZ km-KH kn-IN lg-IN lt-LT mk-MK ml-IN mr-IN my-MM ne-NP or-IN pa-IN ps-AF si-LK sl-SI sq-AL su-ID
  sw-BI sw-KE sw-RW sw-TZ sw-UG ta-IN te-IN tr-TR uz-UZ`)

/** All codes of standard streaming, sorted. */
export const LANGUAGE_CODES: readonly string[] = Object.freeze([...ESTABLISHED, ...RECENT].sort())

export const RECENT_LANGUAGE_CODES: ReadonlySet<string> = new Set(RECENT)

/** Languages in which streams find personal data (identification and redaction). */
export const PII_LANGUAGE_CODES: ReadonlySet<string> = new Set(
  words(
    `en-AB en-AU en-GB en-IE en-IN en-NZ en-US en-WL en-ZA es-US es-ES fr-FR fr-CA pt-PT pt-BR it-IT de-DE de-CH`,
  ),
)

/** Languages of custom language models. In any other the service ignores the model without a word. */
export const CUSTOM_MODEL_LANGUAGE_CODES: ReadonlySet<string> = new Set(
  words('en-AU en-GB en-US de-DE ja-JP es-US'),
)

/** The language of a code without its region: `en-US` → `en`, `kab-DZ` → `kab`. */
export function languageOf(code: string): string {
  const dash = code.indexOf('-')
  return dash === -1 ? code : code.slice(0, dash)
}

function words(list: string): readonly string[] {
  return list.trim().split(/\s+/)
}
