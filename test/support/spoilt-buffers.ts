/**
 * Recycled memory that shows who uses it wrongly: what is given back is spoilt at once, so that whoever reads it later reads
 * nonsense (and an event-stream message of it has a wrong CRC), and giving back what is not owned throws.
 */
import { RecycledBuffers } from '../../src/recycled-buffers.ts'

const NONSENSE = 0xdd

export class SpoiltBuffers extends RecycledBuffers {
  readonly #owned = new Set<Buffer>()
  givenCount = 0

  constructor(limits = { maxFreeBytes: 1_000_000, maxLengths: 8 }) {
    super(limits)
  }

  /** Buffers that were taken and not given back. */
  get ownedCount(): number {
    return this.#owned.size
  }

  override take(bytes: number): Buffer {
    const buffer = super.take(bytes)
    this.#owned.add(buffer)
    return buffer
  }

  override give(buffer: Buffer): void {
    if (!this.#owned.delete(buffer)) throw new Error('given back by somebody who did not have it')
    this.givenCount += 1
    buffer.fill(NONSENSE)
    super.give(buffer)
  }
}
