/**
 * Where a session is in its audio. Positions are seconds of the client's audio from the start of the session.
 *
 * Two questions are answered: when did the audio at a position arrive (for the lag of a result), and which position
 * of the client is a time of the upstream (silence that the relay put in does not exist for the client).
 */

/** One mark for each stretch of audio of at least this length; together they cover the longest segment (about 30 s). */
const MARK_SECONDS = 0.1
const MARK_COUNT = 320
/** Sums of fractions: 0.3 - 0.2 is less than 0.1. */
const ROUNDING_SECONDS = 1e-6

interface InsertedSilence {
  /** Position of the client. Two at one position are one: no audio is between them. */
  readonly atSeconds: number
  /** All the silence put in before this one, so that a time is found without a sum. */
  readonly beforeSeconds: number
  seconds: number
}

/** The oldest is forgotten first: results are about the last half minute. */
const MAX_SILENCES = 1024

export class Timeline {
  #clientSeconds = 0
  #silenceSeconds = 0
  readonly #markPositions = new Float64Array(MARK_COUNT)
  readonly #markTimesMs = new Float64Array(MARK_COUNT)
  #marks = 0
  readonly #silences: InsertedSilence[] = []

  /** Client audio sent to the upstream so far. */
  get clientSeconds(): number {
    return this.#clientSeconds
  }

  get silenceSeconds(): number {
    return this.#silenceSeconds
  }

  /** Audio sent to the upstream so far: what the service counts, and bills. */
  get upstreamSeconds(): number {
    return this.#clientSeconds + this.#silenceSeconds
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

  addSilence(seconds: number): void {
    const last = this.#silences.at(-1)
    if (last?.atSeconds === this.#clientSeconds) {
      last.seconds += seconds
    } else {
      this.#silences.push({ atSeconds: this.#clientSeconds, beforeSeconds: this.#silenceSeconds, seconds })
      if (this.#silences.length > MAX_SILENCES) this.#silences.shift()
    }
    this.#silenceSeconds += seconds
  }

  /**
   * The client's position of a time of the upstream; a time within inserted silence is the position where it was put
   * in. Never falls, so that a word does not end before it starts.
   */
  clientTime(upstreamSeconds: number): number {
    for (let index = this.#silences.length - 1; index >= 0; index -= 1) {
      const silence = this.#silences[index]
      if (silence === undefined) continue
      const intoSeconds = upstreamSeconds - silence.atSeconds - silence.beforeSeconds
      if (intoSeconds > 0) return silence.atSeconds + Math.max(0, intoSeconds - silence.seconds)
    }
    return upstreamSeconds - (this.#silences[0]?.beforeSeconds ?? 0)
  }

  /** When the audio at a position (client time) was there, monotonic ms; `null` when it is not known any more. */
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
