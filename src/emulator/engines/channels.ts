/**
 * Cuts interleaved PCM into its channels. Two channels come with channel identification only, so that each is
 * transcribed on its own and named.
 */
import type { StreamParameters } from '../../transcribe/parameters.ts'

/** `ChannelId` of each channel; `[null]` for mono, whose results name none. */
export function channelIdsOf({ channels }: StreamParameters): readonly (string | null)[] {
  return channels === 1 ? [null] : ['ch_0', 'ch_1']
}

/** Copies, so the result outlives `audio`. Samples are little-endian on the wire and in memory. */
export function splitChannels(audio: Uint8Array, { channels }: StreamParameters): readonly Int16Array[] {
  const samples = new Int16Array(audio.byteLength >> 1)
  new Uint8Array(samples.buffer).set(audio.subarray(0, samples.byteLength))
  if (channels === 1) return [samples]
  const left = new Int16Array(samples.length >> 1)
  const right = new Int16Array(samples.length >> 1)
  for (let index = 0; index < left.length; index++) {
    left[index] = samples[index * 2] ?? 0
    right[index] = samples[index * 2 + 1] ?? 0
  }
  return [left, right]
}
