/**
 * Results as they are on the wire of the emulated service. Absent members do not apply; `Confidence`, `Speaker` and
 * `Entities` come on final results only, as measured at the real service.
 *
 * Source: Amazon Transcribe API Reference, "TranscriptEvent" and the types below it. Times are seconds from the start
 * of the stream.
 */
export interface WireItem {
  readonly StartTime: number
  readonly EndTime: number
  readonly Type: 'pronunciation' | 'punctuation'
  readonly Content: string
  readonly VocabularyFilterMatch: boolean
  readonly Confidence?: number
  readonly Speaker?: string
  readonly Stable?: boolean
}

export interface WireEntity {
  readonly StartTime: number
  readonly EndTime: number
  readonly Category: 'PII'
  readonly Type: string
  readonly Content: string
  readonly Confidence: number
}

export interface WireAlternative {
  readonly Transcript: string
  readonly Items: readonly WireItem[]
  readonly Entities?: readonly WireEntity[]
}

export interface WireResult {
  readonly ResultId: string
  readonly StartTime: number
  readonly EndTime: number
  readonly IsPartial: boolean
  readonly Alternatives: readonly WireAlternative[]
  readonly ChannelId?: string
  readonly LanguageCode?: string
  readonly LanguageIdentification?: readonly { readonly LanguageCode: string; readonly Score: number }[]
}
