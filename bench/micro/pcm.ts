/** `bytes` of 16-bit PCM, pseudo-random, the same in every process. */
export function pcmOf(bytes: number): Buffer {
  const pcm = Buffer.alloc(bytes)
  let state = 1
  for (let offset = 0; offset < bytes; offset += 1) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    pcm[offset] = state >>> 16
  }
  return pcm
}
