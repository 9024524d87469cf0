/**
 * Whether audio may hold speech, for the count of what was lost. Wrong only to one side: noise counts as speech.
 */

/** Below quiet speech of a far microphone: -50 dBFS. */
const MIN_MEAN_SQUARE = (32_768 * 10 ** (-50 / 20)) ** 2
/** So few samples are enough to tell loud from quiet. Odd, so that every channel is heard. */
const STEP_SAMPLES = 33
const SAMPLE_BYTES = 2

/** `pcm`: 16 bits, little-endian, any number of channels. */
export function isLoud(pcm: Buffer): boolean {
  let squares = 0
  let count = 0
  for (let offset = 0; offset + SAMPLE_BYTES <= pcm.length; offset += STEP_SAMPLES * SAMPLE_BYTES) {
    // By hand: `readInt16LE` checks its argument, and this is done for every frame of a silence.
    const sample = (((pcm[offset] ?? 0) | ((pcm[offset + 1] ?? 0) << 8)) << 16) >> 16
    squares += sample * sample
    count += 1
  }
  return count > 0 && squares / count >= MIN_MEAN_SQUARE
}
