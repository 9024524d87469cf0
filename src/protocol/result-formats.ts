/**
 * From a result of Amazon Transcribe to the `Transcript` message of the client, in the two formats. Pure.
 *
 * `clientTime` moves every time: the service counts from the start of its own stream, silence of the relay included;
 * the client counts its own audio. Each time is moved by itself, because silence may lie within a result.
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

/** Seconds of the upstream's stream to seconds of the client's audio. */
export type ClientTime = (upstreamSeconds: number) => number

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
  clientTime: ClientTime,
): SimpleTranscript {
  const alternative = result.Alternatives?.[0]
  const items = alternative?.Items ?? []
  const turns = speakerTurns(items, alternative?.Transcript ?? '', clientTime)
  const entities = alternative?.Entities ?? []
  return {
    type: 'Transcript',
    seq,
    result_id: result.ResultId ?? '',
    is_final: result.IsPartial === false,
    text: alternative?.Transcript ?? '',
    start: roundMs(clientTime(result.StartTime ?? 0)),
    end: roundMs(clientTime(result.EndTime ?? 0)),
    ...(result.ChannelId == null ? {} : { channel: result.ChannelId }),
    ...(turns.length === 1 && turns[0] !== undefined ? { speaker: turns[0].speaker } : {}),
    ...(turns.length > 1 ? { turns } : {}),
    ...(result.LanguageCode == null ? {} : { language: result.LanguageCode }),
    ...(words ? { words: items.map(item => simpleWord(item, clientTime)) } : {}),
    ...(entities.length === 0
      ? {}
      : {
          entities: entities.map(entity => ({
            text: entity.Content ?? '',
            type: entity.Type ?? entity.Category ?? '',
            category: entity.Category ?? '',
            start: roundMs(clientTime(entity.StartTime ?? 0)),
            end: roundMs(clientTime(entity.EndTime ?? 0)),
            ...(entity.Confidence == null ? {} : { confidence: entity.Confidence }),
          })),
        }),
  }
}

/** The `Transcript` message of `format=aws`, when results were left out or moved: the service's shape, rewritten. */
export function awsTranscript(results: readonly TranscribeResult[], clientTime: ClientTime): string {
  const moved = results.map(result => moveResult(result, clientTime))
  return JSON.stringify({ type: 'Transcript', Transcript: { Results: moved } })
}

/** The `Transcript` message of `format=aws`, when nothing was left out or moved: the bytes as they came. */
export function awsTranscriptAsCame(json: string): string {
  return `{"type":"Transcript",${json.slice(json.indexOf('{') + 1)}`
}

function simpleWord(item: TranscribeItem, clientTime: ClientTime): SimpleWord {
  return {
    text: item.Content ?? '',
    start: roundMs(clientTime(item.StartTime ?? 0)),
    end: roundMs(clientTime(item.EndTime ?? 0)),
    ...(item.Type == null || item.Type === 'pronunciation' ? {} : { type: item.Type }),
    ...(item.Confidence == null ? {} : { confidence: item.Confidence }),
    ...(item.Speaker == null ? {} : { speaker: item.Speaker }),
    ...(item.Stable == null ? {} : { stable: item.Stable }),
    ...(item.VocabularyFilterMatch === true ? { filtered: true } : {}),
  }
}

/**
 * Only finals carry speakers, and only on words; punctuation belongs to the words before it, and words before the first
 * speaker belong to the first. What stands between two items (a space, or nothing, as in Japanese) is taken from the
 * transcript.
 */
function speakerTurns(
  items: readonly TranscribeItem[],
  transcript: string,
  clientTime: ClientTime,
): SimpleTurn[] {
  // Most results have none, and a long final has a hundred words.
  if (!items.some(({ Speaker }) => Speaker != null)) return []
  const turns: { speaker: string | null; text: string; start: number; end: number }[] = []
  let cursor = 0
  for (const item of items) {
    const content = item.Content ?? ''
    const at = transcript.indexOf(content, cursor)
    const gap = at === -1 ? ' ' : transcript.slice(cursor, at)
    if (at !== -1) cursor = at + content.length
    const isPunctuation = item.Type === 'punctuation'
    const speaker = isPunctuation ? null : (item.Speaker ?? null)
    const current = turns.at(-1)
    if (
      current !== undefined &&
      (speaker === null || current.speaker === null || speaker === current.speaker)
    ) {
      current.speaker ??= speaker
      current.text += isPunctuation && at === -1 ? content : gap + content
      if (!isPunctuation) current.end = roundMs(clientTime(item.EndTime ?? 0))
    } else {
      const start = roundMs(clientTime(item.StartTime ?? 0))
      turns.push({ speaker, text: content, start, end: roundMs(clientTime(item.EndTime ?? 0)) })
    }
  }
  return turns.filter(hasSpeaker)
}

function hasSpeaker(turn: { readonly speaker: string | null }): turn is SimpleTurn {
  return turn.speaker !== null
}

function moveResult(result: TranscribeResult, clientTime: ClientTime): TranscribeResult {
  return {
    ...moveSpan(result, clientTime),
    ...(result.Alternatives == null
      ? {}
      : {
          Alternatives: result.Alternatives.map(alternative => ({
            ...alternative,
            ...(alternative.Items == null
              ? {}
              : { Items: alternative.Items.map(item => moveSpan(item, clientTime)) }),
            ...(alternative.Entities == null
              ? {}
              : { Entities: alternative.Entities.map(entity => moveSpan(entity, clientTime)) }),
          })),
        }),
  }
}

interface Span {
  readonly StartTime?: number | null
  readonly EndTime?: number | null
}

function moveSpan<T extends Span>(span: T, clientTime: ClientTime): T {
  return {
    ...span,
    ...(span.StartTime == null ? {} : { StartTime: roundMs(clientTime(span.StartTime)) }),
    ...(span.EndTime == null ? {} : { EndTime: roundMs(clientTime(span.EndTime)) }),
  }
}
