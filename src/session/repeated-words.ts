/**
 * Takes out of a result what the client has already: a new stream may be given audio again that an earlier one made
 * finals of. A word was heard before if its middle was: ends differ by some hundredths of a second from one hearing to
 * the next.
 */
import type { TranscribeItem, TranscribeResult } from '../transcribe/results.ts'

type ClientTime = (upstreamSeconds: number) => number

/**
 * `heardSeconds`: up to here, in the client's time, the client has final results of this channel. Returns the result
 * itself when nothing of it is repeated, `null` when everything is.
 */
export function withoutRepeated(
  result: TranscribeResult,
  heardSeconds: number,
  clientTime: ClientTime,
): TranscribeResult | null {
  const startSeconds = clientTime(result.StartTime ?? 0)
  const endSeconds = clientTime(result.EndTime ?? 0)
  if (startSeconds >= heardSeconds) return result
  const alternative = result.Alternatives?.[0]
  const items = alternative?.Items ?? []
  const first = items.findIndex(item => item.Type !== 'punctuation' && isNew(item, heardSeconds, clientTime))
  if (first === 0) return result
  if (first === -1) {
    // Without words only the times are left to judge by.
    return items.length === 0 && (startSeconds + endSeconds) / 2 > heardSeconds ? result : null
  }
  const kept = items.slice(first)
  return {
    ...result,
    StartTime: kept[0]?.StartTime ?? result.StartTime ?? null,
    Alternatives: [
      {
        ...alternative,
        Transcript: transcriptFrom(alternative?.Transcript ?? '', items, first),
        Items: kept,
        ...(alternative?.Entities == null
          ? {}
          : { Entities: alternative.Entities.filter(entity => isNew(entity, heardSeconds, clientTime)) }),
      },
    ],
  }
}

function isNew(
  span: { readonly StartTime?: number | null; readonly EndTime?: number | null },
  heardSeconds: number,
  clientTime: ClientTime,
): boolean {
  const middle = (clientTime(span.StartTime ?? 0) + clientTime(span.EndTime ?? 0)) / 2
  return middle > heardSeconds
}

/** The transcript from an item on; what stands between words (a blank, or nothing, as in Japanese) stays as it is. */
function transcriptFrom(transcript: string, items: readonly TranscribeItem[], first: number): string {
  let cursor = 0
  for (const [index, { Content: content }] of items.entries()) {
    const at = transcript.indexOf(content ?? '', cursor)
    if (at === -1) break
    if (index === first) return transcript.slice(at)
    cursor = at + (content ?? '').length
  }
  return items
    .slice(first)
    .map(({ Type: type, Content: content }, index) =>
      index === 0 || type === 'punctuation' ? content : ` ${content}`,
    )
    .join('')
}
