/**
 * Where a session is in its audio. Positions are seconds of the client's audio from the start of the session, whichever
 * stream carried it. Answers when the audio at a position arrived, for the lag of a result.
 */

/** One mark for each stretch of audio of at least this length; together they cover the longest segment (about 30 s). */
const MARK_SECONDS = 0.1
const MARK_COUNT = 320
/** Sums of fractions: 0.3 - 0.2 is less than 0.1. */
const ROUNDING_SECONDS = 1e-6

export class Timeline {
  #clientSeconds = 0
  readonly #markPositions = new Float64Array(MARK_COUNT)
  readonly #markTimesMs = new Float64Array(MARK_COUNT)
  #marks = 0

  /** Client audio so far. */
  get clientSeconds(): number {
    return this.#clientSeconds
  }

  addAudio(seconds: number, nowMs: number): void {
    this.#clientSeconds += seconds
    const last = (this.#marks - 1 + MARK_COUNT) % MARK_COUNT
    const sinceMark = this.#clientSeconds - (this.#markPositions[last] ?? 0)
    if (this.#marks > 0 && sinceMark < MARK_SECONDS - ROUNDING_SECONDS) return
    const slot = this.#marks % MARK_COUNT
    this.#markPositions[slot] = this.#clientSeconds
    this.#markTimesMs[slot] = nowMs
    this.#marks += 1
  }

  /** When the audio at a position was there, monotonic ms; `null` when it is not known any more. */
  arrivalMs(positionSeconds: number): number | null {
    const oldest = Math.max(0, this.#marks - MARK_COUNT)
    let arrival: number | null = this.#marks === 0 ? null : this.#timeOf(this.#marks - 1)
    for (let mark = this.#marks - 1; mark >= oldest; mark -= 1) {
      const position = this.#markPositions[mark % MARK_COUNT] ?? 0
      if (position < positionSeconds - ROUNDING_SECONDS) return arrival
      arrival = this.#timeOf(mark)
    }
    return oldest === 0 ? arrival : null
  }

  #timeOf(mark: number): number {
    return this.#markTimesMs[mark % MARK_COUNT] ?? 0
  }
}
