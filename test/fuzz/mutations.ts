/** Bytes into other bytes: what a fuzzer does to an input, from one seed and nothing else. */

/** In [0, 1). */
export type Random = () => number

/** Values at which lengths, signs and encodings change. */
const EDGES = [
  0, 1, 9, 10, 11, 15, 16, 31, 32, 34, 37, 38, 44, 58, 61, 63, 92, 123, 125, 127, 128, 192, 224, 255,
] as const
const MAX_STEPS = 6

export interface MutationOptions {
  readonly random: Random
  readonly maxBytes: number
  /** Pieces that mean something to the target. */
  readonly words: readonly Buffer[]
  /** Another input, to take a piece of. */
  readonly other: Buffer
}

/** A new buffer, a few steps away from `input`. */
export function mutate(input: Buffer, options: MutationOptions): Buffer {
  let bytes: Buffer = Buffer.from(input)
  const steps = 1 + below(options.random, MAX_STEPS)
  for (let step = 0; step < steps; step += 1) bytes = mutateOnce(bytes, options)
  return bytes.subarray(0, options.maxBytes)
}

export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit)
}

function mutateOnce(bytes: Buffer, { other, random, words }: MutationOptions): Buffer {
  const at = below(random, bytes.length + 1)
  const length = below(random, Math.min(32, bytes.length - at) + 1)
  switch (below(random, 8)) {
    case 0:
      if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(random, 8))
      return bytes
    case 1:
      if (at < bytes.length) bytes[at] = EDGES[below(random, EDGES.length)] ?? 0
      return bytes
    case 2:
      return splice(bytes, at, length, Buffer.alloc(0))
    case 3:
      return splice(bytes, at, 0, bytes.subarray(at, at + length))
    case 4:
      return splice(bytes, at, length, words[below(random, words.length)] ?? Buffer.alloc(0))
    case 5: {
      const from = below(random, other.length + 1)
      return splice(bytes, at, length, other.subarray(from, from + below(random, 64)))
    }
    case 6:
      if (bytes.length >= at + 4) bytes.writeUInt32BE(below(random, 2 ** below(random, 33)), at)
      return bytes
    default:
      return splice(bytes, at, 0, Buffer.from([below(random, 256)]))
  }
}

function splice(bytes: Buffer, at: number, length: number, piece: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at + length)])
}
