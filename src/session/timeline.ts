/**
 * Where a session is in its audio. Positions are seconds of the client's audio from the start of the session.
 *
 * Two questions are answered: when did the audio at a position arrive (for the lag of a result), and which position
 * of the client is a time of the upstream (silence that the relay put in does not exist for the client).
 */

/** One mark for each stretch of audio of at least this length; together they cover the longest segment (about 30 s). */
const MARK_SECONDS = 0.1
const MARK_COUNT = 320

interface InsertedSilence {
  /** In the upstream's time. */
  readonly atSeconds: number
  readonly seconds: number
}

/** Stretches of inserted silence that touch are one; more separate ones than this are joined to the last. */
const MAX_SILENCES = 4096

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
    if (this.#marks > 0 && this.#clientSeconds - (this.#markPositions[last] ?? 0) < MARK_SECONDS) return
    const slot = this.#marks % MARK_COUNT
    this.#markPositions[slot] = this.#clientSeconds
    this.#markTimesMs[slot] = nowMs
    this.#marks += 1
  }

  addSilence(seconds: number): void {
    const last = this.#silences.at(-1)
    const at = this.upstreamSeconds
    if (
      last !== undefined &&
      (last.atSeconds + last.seconds === at || this.#silences.length === MAX_SILENCES)
    ) {
      this.#silences[this.#silences.length - 1] = {
        atSeconds: last.atSeconds,
        seconds: last.seconds + seconds,
      }
    } else {
      this.#silences.push({ atSeconds: at, seconds })
    }
    this.#silenceSeconds += seconds
  }

  /** What to add to a time of the upstream to get the client's; negative once silence was put in before it. */
  shiftAt(upstreamSeconds: number): number {
    let shift = 0
    for (const silence of this.#silences) {
      if (silence.atSeconds >= upstreamSeconds) break
      shift -= Math.min(silence.seconds, upstreamSeconds - silence.atSeconds)
    }
    return shift
  }

  /** When the audio at a position (client time) was there, monotonic ms; `null` when it is not known any more. */
  arrivalMs(positionSeconds: number): number | null {
    const oldest = Math.max(0, this.#marks - MARK_COUNT)
    let arrival: number | null = this.#marks === 0 ? null : this.#timeOf(this.#marks - 1)
    for (let mark = this.#marks - 1; mark >= oldest; mark -= 1) {
      if ((this.#markPositions[mark % MARK_COUNT] ?? 0) < positionSeconds) return arrival
      arrival = this.#timeOf(mark)
    }
    return oldest === 0 ? arrival : null
  }

  #timeOf(mark: number): number {
    return this.#markTimesMs[mark % MARK_COUNT] ?? 0
  }
}
