/**
 * Whether audio may hold speech, for the count of what was lost. Wrong only to one side: noise counts as speech.
 */

/** Below quiet speech of a far microphone: -50 dBFS. */
const MIN_MEAN_SQUARE = (32_768 * 10 ** (-50 / 20)) ** 2
/** Every eighth sample is enough to tell loud from quiet. */
const STEP_SAMPLES = 8
const SAMPLE_BYTES = 2

/** `pcm`: 16 bits, little-endian, any number of channels. */
export function isLoud(pcm: Buffer): boolean {
  let squares = 0
  let count = 0
  for (let offset = 0; offset + SAMPLE_BYTES <= pcm.length; offset += STEP_SAMPLES * SAMPLE_BYTES) {
    const sample = pcm.readInt16LE(offset)
    squares += sample * sample
    count += 1
  }
  return count > 0 && squares / count >= MIN_MEAN_SQUARE
}
