/**
 * Changes the sample rate of mono audio, streaming. Each output sample is the mean of the input samples it stands for,
 * or an interpolation where there are fewer: enough for speech recognition, no more.
 */
export class Resampler {
  readonly #ratio: number
  /** Input from the start of the next output sample on. */
  #pending = new Int16Array(0)
  /** Where the next output sample starts in `#pending`, input samples with a fraction. */
  #offset = 0

  constructor(fromHz: number, toHz: number) {
    this.#ratio = fromHz / toHz
  }

  push(samples: Int16Array): Int16Array {
    if (this.#ratio === 1) return samples
    const input = new Int16Array(this.#pending.length + samples.length)
    input.set(this.#pending)
    input.set(samples, this.#pending.length)
    const output: number[] = []
    const reach = Math.max(1, this.#ratio)
    while (this.#offset + reach < input.length) {
      output.push(this.#ratio > 1 ? meanOf(input, this.#offset, this.#ratio) : between(input, this.#offset))
      this.#offset += this.#ratio
    }
    const used = Math.floor(this.#offset)
    this.#pending = input.slice(used)
    this.#offset -= used
    return Int16Array.from(output)
  }
}

function meanOf(samples: Int16Array, offset: number, span: number): number {
  const first = Math.floor(offset)
  const end = Math.max(first + 1, Math.floor(offset + span))
  let total = 0
  for (let index = first; index < end; index++) total += samples[index] ?? 0
  return Math.round(total / (end - first))
}

function between(samples: Int16Array, offset: number): number {
  const index = Math.floor(offset)
  const left = samples[index] ?? 0
  const right = samples[index + 1] ?? left
  return Math.round(left + (right - left) * (offset - index))
}
