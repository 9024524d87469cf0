/**
 * The last lines of a stream: how much audio, how many results, how soon.
 */
import { percentile } from './statistics.ts'
import type { StreamStatistics } from './statistics.ts'

/** `seconds`: from start to end on the clock. One line a fact, without a line break at the end. */
export function renderSummary(statistics: StreamStatistics, seconds: number): string {
  const { audioSeconds, frames, audioBytes, partials, finals, words, firstResultMs, finalLagsMs } = statistics
  const rows: [name: string, value: string][] = [
    ['audio sent', `${audioSeconds.toFixed(2)} s in ${seconds.toFixed(2)} s`],
    ['frames, bytes', `${frames} frames, ${formatBytes(audioBytes)}`],
    ['results', `${finals} final (${words} words), ${partials} partial`],
    ['first text', firstResultMs === null ? 'none came' : `${formatMs(firstResultMs)} after the first audio`],
    ['lag of finals', formatLags(finalLagsMs)],
  ]
  if (statistics.rollovers > 0) rows.push(['rollovers', String(statistics.rollovers)])
  if (statistics.reconnects > 0) rows.push(['reconnects', String(statistics.reconnects)])
  return rows.map(([name, value]) => `  ${name.padEnd(14)} ${value}`).join('\n')
}

export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`
  return `${(bytes / (1024 * 1024)).toFixed(1)} MiB`
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

function formatLags(lagsMs: readonly number[]): string {
  const median = percentile(lagsMs, 0.5)
  const worst = percentile(lagsMs, 1)
  if (median === null || worst === null) return 'not measured'
  return lagsMs.length === 1
    ? formatMs(median)
    : `median ${formatMs(median)}, longest ${formatMs(worst)} (from the end of the speech to its text)`
}
