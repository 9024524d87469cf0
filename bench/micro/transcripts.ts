/** TranscriptEvents of the sizes that the service sends: a short partial, a sentence, a long final with every detail. */
import type * as EventStream from '../../src/eventstream/index.ts'
import type { TranscribeItem } from '../../src/transcribe/results.ts'
import { load } from './built.ts'

/** By name in the tables: least bytes of the JSON, and how rich each word is. */
export const EVENT_KINDS = [
  { kind: '0.3 KB', leastBytes: 300, isFinal: false },
  { kind: '2 KB', leastBytes: 2000, isFinal: false },
  { kind: '8 KB', leastBytes: 8000, isFinal: true },
] as const

export type EventKind = (typeof EVENT_KINDS)[number]

const WORDS =
  'the quick brown fox jumps over the lazy dog and runs back into the forest where it lives'.split(' ')

/** JSON of one TranscriptEvent with one result, with as many words as the size asks for. */
export function transcriptJson({ leastBytes, isFinal }: EventKind): string {
  const items: TranscribeItem[] = []
  for (;;) {
    const json = JSON.stringify(transcriptEvent(items, isFinal))
    if (json.length >= leastBytes) return json
    items.push(itemOf(items.length, isFinal))
  }
}

/** The same as a message of the service. */
export async function transcriptMessage(kind: EventKind): Promise<Buffer> {
  const { encodeMessage } = await load<typeof EventStream>('eventstream/index')
  const headers = new Map([
    [':message-type', text('event')],
    [':event-type', text('TranscriptEvent')],
    [':content-type', text('application/json')],
  ])
  return encodeMessage(headers, Buffer.from(transcriptJson(kind)))
}

function text(value: string): EventStream.HeaderValue {
  return { type: 'string', value }
}

function transcriptEvent(items: readonly TranscribeItem[], isFinal: boolean): unknown {
  return {
    Transcript: {
      Results: [
        {
          Alternatives: [{ Items: items, Transcript: items.map(({ Content }) => Content).join(' ') }],
          EndTime: items.at(-1)?.EndTime ?? 0,
          IsPartial: !isFinal,
          ResultId: 'c1a7a4d4-6d3c-4b1f-9d0e-0d8f7a3f2b11',
          StartTime: 0,
        },
      ],
    },
  }
}

function itemOf(index: number, isFinal: boolean): TranscribeItem {
  return {
    ...(isFinal ? { Confidence: 0.9871 } : {}),
    Content: WORDS[index % WORDS.length] ?? '',
    EndTime: round(index * 0.34 + 0.3),
    StartTime: round(index * 0.34 + 0.02),
    Type: 'pronunciation',
    VocabularyFilterMatch: false,
  }
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
