/** Cuts interleaved PCM into the channels that are transcribed: one each with channel identification, else one mix. */
import type { StreamParameters } from '../../transcribe/parameters.ts'

/** `ChannelId` of each transcribed channel; `[null]` when results name no channel. */
export function channelIdsOf(parameters: StreamParameters): readonly (string | null)[] {
  if (parameters.channels === 1) return [null]
  return parameters.wire['enable-channel-identification'] === 'true' ? ['ch_0', 'ch_1'] : [null]
}

/** Copies, so the result outlives `audio`. Without channel identification stereo becomes the mean of both sides. */
export function splitChannels(audio: Uint8Array, parameters: StreamParameters): readonly Int16Array[] {
  const view = new DataView(audio.buffer, audio.byteOffset, audio.byteLength)
  const { channels } = parameters
  const count = Math.floor(audio.byteLength / (2 * channels))
  const sides = Array.from({ length: channels }, (_, channel) => {
    const samples = new Int16Array(count)
    for (let index = 0; index < count; index++) {
      samples[index] = view.getInt16((index * channels + channel) * 2, true)
    }
    return samples
  })
  const [left, right] = sides
  if (left === undefined || right === undefined || channelIdsOf(parameters).length === 2) return sides
  return [left.map((sample, index) => Math.round((sample + (right[index] ?? 0)) / 2))]
}
