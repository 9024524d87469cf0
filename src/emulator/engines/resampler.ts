/**
 * Changes the sample rate of mono audio, streaming. Each output sample is the mean of the input samples it stands for,
 * or an interpolation where there are fewer: enough for speech recognition, no more.
 */
export class Resampler {
  readonly #fromHz: number
  readonly #toHz: number
  /** Input from the start of the next output sample on. */
  #pending = new Int16Array(0)
  /** Where the next output sample starts in `#pending`, in units of `1 / toHz` of an input sample: no rounding, no drift. */
  #offset = 0

  constructor(fromHz: number, toHz: number) {
    this.#fromHz = fromHz
    this.#toHz = toHz
  }

  push(samples: Int16Array): Int16Array {
    const fromHz = this.#fromHz
    const toHz = this.#toHz
    if (fromHz === toHz) return samples
    const input = new Int16Array(this.#pending.length + samples.length)
    input.set(this.#pending)
    input.set(samples, this.#pending.length)
    const output: number[] = []
    while (this.#offset + Math.max(fromHz, toHz) < input.length * toHz) {
      output.push(fromHz > toHz ? this.#mean(input) : this.#between(input))
      this.#offset += fromHz
    }
    const usedSamples = Math.floor(this.#offset / toHz)
    this.#pending = input.slice(usedSamples)
    this.#offset -= usedSamples * toHz
    return Int16Array.from(output)
  }

  #mean(samples: Int16Array): number {
    const first = Math.floor(this.#offset / this.#toHz)
    const end = Math.floor((this.#offset + this.#fromHz) / this.#toHz)
    let total = 0
    for (let index = first; index < end; index++) total += samples[index] ?? 0
    return Math.round(total / (end - first))
  }

  #between(samples: Int16Array): number {
    const index = Math.floor(this.#offset / this.#toHz)
    const left = samples[index] ?? 0
    const right = samples[index + 1] ?? left
    return Math.round(left + (right - left) * (this.#offset / this.#toHz - index))
  }
}
