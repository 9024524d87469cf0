/**
 * Memory of the AudioEvents of all sessions of a process. A frame is taken by the chunker, belongs to the replay buffer
 * from then on, and comes back when no stream can need it any more. Nobody else keeps one: `UpstreamPort.send` reads the
 * bytes during its call, so what an old stream still has under way is never a frame of the replay buffer.
 */
import { RecycledBuffers } from '../recycled-buffers.ts'

/** Five seconds of 1 000 sessions at 16 kHz and 100 ms. */
const MAX_FREE_BYTES = 16 * 1024 * 1024
/** Frames of one sample rate are of one length; clients whose messages pass uncut bring their own. */
const MAX_LENGTHS = 64

export function createFrameMemory(): RecycledBuffers {
  return new RecycledBuffers({ maxFreeBytes: MAX_FREE_BYTES, maxLengths: MAX_LENGTHS })
}
