/**
 * What the thin client measures of a stream. Durations come from the monotonic clock.
 *
 * A lag is the time from the moment a sample was due at the microphone to the arrival of the result that covers it:
 * audio that is sent late for any reason counts as lag, as it does for a person who waits.
 */

export interface StreamStatistics {
  audioBytes: number
  /** Audio sent, seconds. */
  audioSeconds: number
  /** Binary messages sent. */
  frames: number
  partials: number
  finals: number
  words: number
  /** From the first audio message to the first result with text; `null`: none came. */
  firstResultMs: number | null
  /** One a final result, in order of arrival. */
  readonly finalLagsMs: number[]
  rollovers: number
  warnings: number
  /** Times that the stream went on over another connection. */
  reconnects: number
}

/** Ours: lags that are kept; a stream with more finals keeps the newest. */
export const MAX_KEPT_LAGS = 10_000

export function createStatistics(): StreamStatistics {
  return {
    audioBytes: 0,
    audioSeconds: 0,
    frames: 0,
    partials: 0,
    finals: 0,
    words: 0,
    firstResultMs: null,
    finalLagsMs: [],
    rollovers: 0,
    warnings: 0,
    reconnects: 0,
  }
}

/** Counts a result. `sinceStartMs`: from the first audio message; `speed`: 1 for real time, `Infinity` for none. */
export function countResult(
  statistics: StreamStatistics,
  result: { readonly text: string; readonly isFinal: boolean; readonly endSeconds: number },
  sinceStartMs: number,
  speed: number,
): void {
  if (result.text !== '') statistics.firstResultMs ??= sinceStartMs
  if (!result.isFinal) {
    statistics.partials += 1
    return
  }
  statistics.finals += 1
  statistics.words += result.text.split(/\s+/).filter(word => word !== '').length
  // Without pacing no sample has a moment at which it was due.
  if (!Number.isFinite(speed)) return
  statistics.finalLagsMs.push(Math.max(0, sinceStartMs - (result.endSeconds * 1000) / speed))
  if (statistics.finalLagsMs.length > MAX_KEPT_LAGS) statistics.finalLagsMs.shift()
}

/** Sum of several streams, one after another. */
export function addStatistics(total: StreamStatistics, part: StreamStatistics): void {
  total.audioBytes += part.audioBytes
  total.audioSeconds += part.audioSeconds
  total.frames += part.frames
  total.partials += part.partials
  total.finals += part.finals
  total.words += part.words
  total.firstResultMs ??= part.firstResultMs
  total.finalLagsMs.push(...part.finalLagsMs)
  total.rollovers += part.rollovers
  total.warnings += part.warnings
}

/** The value below which `share` (0–1) of the values lie, by the nearest rank; `null` for no values. */
export function percentile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}
