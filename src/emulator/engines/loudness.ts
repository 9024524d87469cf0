/** How loud audio is, in decibels below full scale. Frames of 20 ms are the grain of everything that listens. */

export const FRAMES_PER_SECOND = 50
/** Between room noise and quiet speech of a near microphone. */
export const DEFAULT_SPEECH_THRESHOLD_DB = -40
/** What digital silence counts as; 16 bits reach about -96. */
const SILENCE_DB = -100

const FULL_SCALE = 32_768

export function sumOfSquares(samples: Int16Array): number {
  let total = 0
  for (const sample of samples) total += sample * sample
  return total
}

/** Root mean square in dBFS, not below `SILENCE_DB`. */
export function levelDb(squares: number, sampleCount: number): number {
  if (squares === 0 || sampleCount === 0) return SILENCE_DB
  return Math.max(SILENCE_DB, 10 * Math.log10(squares / sampleCount / (FULL_SCALE * FULL_SCALE)))
}

export function isLoud(samples: Int16Array, thresholdDb: number): boolean {
  return levelDb(sumOfSquares(samples), samples.length) >= thresholdDb
}
