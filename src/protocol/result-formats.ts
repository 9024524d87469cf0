/**
 * From a result of Amazon Transcribe to the `Transcript` message of the client, in the two formats. Pure.
 *
 * `shiftSeconds` is added to every time: the service counts from the start of its own stream, the client from the
 * start of its session.
 */
import type { TranscribeItem, TranscribeResult } from '../transcribe/results.ts'
import { roundMs } from './server-messages.ts'

export interface SimpleWord {
  readonly text: string
  readonly start: number
  readonly end: number
  /** Absent for words; `punctuation` or a type the service may add. */
  readonly type?: string
  readonly confidence?: number
  readonly speaker?: string
  /** With stabilization: the word will not change any more. */
  readonly stable?: boolean
  /** The word is in the vocabulary filter. */
  readonly filtered?: boolean
}

/** Consecutive words of one speaker, in a result with several. */
export interface SimpleTurn {
  readonly speaker: string
  readonly text: string
  readonly start: number
  readonly end: number
}

/** The `Transcript` message of `format=simple`. Absent members do not apply. */
export interface SimpleTranscript {
  readonly type: 'Transcript'
  readonly seq: number
  readonly result_id: string
  readonly is_final: boolean
  readonly text: string
  readonly start: number
  readonly end: number
  readonly channel?: string
  readonly speaker?: string
  readonly turns?: readonly SimpleTurn[]
  readonly language?: string
  readonly words?: readonly SimpleWord[]
  readonly entities?: readonly Readonly<Record<string, unknown>>[]
}

export function simpleTranscript(
  result: TranscribeResult,
  seq: number,
  words: boolean,
  shiftSeconds: number,
): SimpleTranscript {
  const alternative = result.Alternatives?.[0]
  const items = alternative?.Items ?? []
  const turns = speakerTurns(items, shiftSeconds)
  const entities = alternative?.Entities ?? []
  return {
    type: 'Transcript',
    seq,
    result_id: result.ResultId ?? '',
    is_final: result.IsPartial === false,
    text: alternative?.Transcript ?? '',
    start: roundMs((result.StartTime ?? 0) + shiftSeconds),
    end: roundMs((result.EndTime ?? 0) + shiftSeconds),
    ...(result.ChannelId == null ? {} : { channel: result.ChannelId }),
    ...(turns.length === 1 && turns[0] !== undefined ? { speaker: turns[0].speaker } : {}),
    ...(turns.length > 1 ? { turns } : {}),
    ...(result.LanguageCode == null ? {} : { language: result.LanguageCode }),
    ...(words ? { words: items.map(item => simpleWord(item, shiftSeconds)) } : {}),
    ...(entities.length === 0
      ? {}
      : {
          entities: entities.map(entity => ({
            text: entity.Content ?? '',
            type: entity.Type ?? entity.Category ?? '',
            category: entity.Category ?? '',
            start: roundMs((entity.StartTime ?? 0) + shiftSeconds),
            end: roundMs((entity.EndTime ?? 0) + shiftSeconds),
            ...(entity.Confidence == null ? {} : { confidence: entity.Confidence }),
          })),
        }),
  }
}

/** The `Transcript` message of `format=aws`, when the results were chosen or moved: the service's shape, rewritten. */
export function awsTranscript(results: readonly TranscribeResult[], shiftSeconds: number): string {
  const moved = shiftSeconds === 0 ? results : results.map(result => shiftResult(result, shiftSeconds))
  return JSON.stringify({ type: 'Transcript', Transcript: { Results: moved } })
}

/** The `Transcript` message of `format=aws`, when nothing was left out or moved: the bytes as they came. */
export function awsTranscriptAsCame(json: string): string {
  return `{"type":"Transcript",${json.slice(json.indexOf('{') + 1)}`
}

function simpleWord(item: TranscribeItem, shiftSeconds: number): SimpleWord {
  return {
    text: item.Content ?? '',
    start: roundMs((item.StartTime ?? 0) + shiftSeconds),
    end: roundMs((item.EndTime ?? 0) + shiftSeconds),
    ...(item.Type == null || item.Type === 'pronunciation' ? {} : { type: item.Type }),
    ...(item.Confidence == null ? {} : { confidence: item.Confidence }),
    ...(item.Speaker == null ? {} : { speaker: item.Speaker }),
    ...(item.Stable == null ? {} : { stable: item.Stable }),
    ...(item.VocabularyFilterMatch === true ? { filtered: true } : {}),
  }
}

/** Only finals carry speakers, and only on words; punctuation belongs to the words before it. */
function speakerTurns(items: readonly TranscribeItem[], shiftSeconds: number): SimpleTurn[] {
  const turns: { speaker: string; text: string; start: number; end: number }[] = []
  for (const item of items) {
    const current = turns.at(-1)
    if (item.Type === 'punctuation') {
      if (current !== undefined) current.text += item.Content ?? ''
      continue
    }
    const end = roundMs((item.EndTime ?? 0) + shiftSeconds)
    if (item.Speaker == null || item.Speaker === current?.speaker) {
      if (current !== undefined) {
        current.text += ` ${item.Content ?? ''}`
        current.end = end
      }
      continue
    }
    const start = roundMs((item.StartTime ?? 0) + shiftSeconds)
    turns.push({ speaker: item.Speaker, text: item.Content ?? '', start, end })
  }
  return turns
}

function shiftResult(result: TranscribeResult, shiftSeconds: number): TranscribeResult {
  return {
    ...shiftSpan(result, shiftSeconds),
    ...(result.Alternatives == null
      ? {}
      : {
          Alternatives: result.Alternatives.map(alternative => ({
            ...alternative,
            ...(alternative.Items == null
              ? {}
              : { Items: alternative.Items.map(item => shiftSpan(item, shiftSeconds)) }),
            ...(alternative.Entities == null
              ? {}
              : { Entities: alternative.Entities.map(entity => shiftSpan(entity, shiftSeconds)) }),
          })),
        }),
  }
}

interface Span {
  readonly StartTime?: number | null
  readonly EndTime?: number | null
}

function shiftSpan<T extends Span>(span: T, shiftSeconds: number): T {
  return {
    ...span,
    ...(span.StartTime == null ? {} : { StartTime: roundMs(span.StartTime + shiftSeconds) }),
    ...(span.EndTime == null ? {} : { EndTime: roundMs(span.EndTime + shiftSeconds) }),
  }
}
