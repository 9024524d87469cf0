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
  /** Most lengths that are kept apart. One more takes the place of one that nobody has taken lately. */
  readonly maxLengths: number
}

/** Of one length. The last given back is the next to be taken: its bytes are the likeliest to be in the cache. */
interface FreeList {
  readonly buffers: Buffer[]
  /** Since its turn to go came last. */
  wasTaken: boolean
}

export class RecycledBuffers {
  readonly #limits: RecycledBuffersLimits
  /** By length. Those at the front are the next to go. */
  readonly #lists = new Map<number, FreeList>()
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
    const list = this.#lists.get(bytes)
    const buffer = list?.buffers.pop()
    // Memory of its own: a slice of Node's pool would keep its neighbours for as long as this is used.
    if (list === undefined || buffer === undefined) return Buffer.allocUnsafeSlow(bytes)
    list.wasTaken = true
    this.#freeBytes -= bytes
    return buffer
  }

  /** The buffer, exactly as it was taken, is nobody's any more. */
  give(buffer: Buffer): void {
    const bytes = buffer.length
    if (this.#freeBytes + bytes > this.#limits.maxFreeBytes) return
    const list = this.#lists.get(bytes)
    if (list !== undefined) list.buffers.push(buffer)
    else {
      if (this.#lists.size >= this.#limits.maxLengths) this.#dropLength()
      this.#lists.set(bytes, { buffers: [buffer], wasTaken: false })
    }
    this.#freeBytes += bytes
  }

  /** A client whose messages are never of one length must not drive out the lengths of all others: a second chance. */
  #dropLength(): void {
    for (const [bytes, list] of this.#lists) {
      this.#lists.delete(bytes)
      if (!list.wasTaken) {
        this.#freeBytes -= bytes * list.buffers.length
        return
      }
      list.wasTaken = false
      this.#lists.set(bytes, list)
    }
  }
}
