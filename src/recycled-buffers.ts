/**
 * Memory for bytes of the hot path that is used again, by exact length: a buffer that is given back is the next one of its
 * length to be taken.
 *
 * Why: a buffer a frame is work for the garbage collector twice, for the object and for the memory behind it, and a
 * kept frame that is cut out of Node's pool keeps its neighbours too. See the "recycled" rows of bench/micro/framing.ts.
 *
 * Contract: a buffer has one owner. Whoever gives it back does not look at it again, and gives it back once; whoever
 * cannot tell whether somebody still reads it lets it go to the garbage collector instead, which is always right.
 */

export interface RecycledBuffersLimits {
  /** Most bytes that lie here unused; what is given back above that is let go. */
  readonly maxFreeBytes: number
  /** Most lengths that are kept apart. With one more, the one that came first is let go. */
  readonly maxLengths: number
}

export class RecycledBuffers {
  readonly #limits: RecycledBuffersLimits
  /** Free buffers by length, the last given back last: its bytes are the likeliest to be in the cache. */
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0

  constructor(limits: RecycledBuffersLimits) {
    this.#limits = limits
  }

  /** Bytes that lie here unused. */
  get freeBytes(): number {
    return this.#freeBytes
  }

  /** A buffer of exactly so many bytes, of undefined content, which belongs to the caller. */
  take(bytes: number): Buffer {
    const buffer = this.#free.get(bytes)?.pop()
    // Memory of its own: a slice of Node's pool would keep its neighbours for as long as this is used.
    if (buffer === undefined) return Buffer.allocUnsafeSlow(bytes)
    this.#freeBytes -= bytes
    return buffer
  }

  /** The buffer, exactly as it was taken, is nobody's any more. */
  give(buffer: Buffer): void {
    const bytes = buffer.length
    if (this.#freeBytes + bytes > this.#limits.maxFreeBytes) return
    const list = this.#free.get(bytes)
    if (list !== undefined) list.push(buffer)
    else {
      if (this.#free.size >= this.#limits.maxLengths) this.#dropFirstLength()
      this.#free.set(bytes, [buffer])
    }
    this.#freeBytes += bytes
  }

  #dropFirstLength(): void {
    for (const [bytes, list] of this.#free) {
      this.#freeBytes -= bytes * list.length
      this.#free.delete(bytes)
      return
    }
  }
}
