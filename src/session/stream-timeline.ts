/**
 * The timeline of one upstream stream, and where it lies on the client's.
 *
 * The service counts from the start of its own stream, and counts silence that the relay put in. The client counts its
 * own audio from the start of the session. Within one stream the client's audio is without a gap, so one shift and the
 * list of silences say everything.
 */

interface InsertedSilence {
  /** Client audio of this stream before it. Two at one position are one: no audio is between them. */
  readonly atSeconds: number
  /** All the silence put in before this one, so that a time is found without a sum. */
  readonly beforeSeconds: number
  seconds: number
}

/** The oldest is forgotten first: results are about the last half minute. */
const MAX_SILENCES = 1024

export class StreamTimeline {
  #startSeconds = 0
  #audioSeconds = 0
  #silenceSeconds = 0
  readonly #silences: InsertedSilence[] = []

  /** The client's position of the first audio of this stream. To be called once, before any audio. */
  startAt(clientSeconds: number): void {
    this.#startSeconds = clientSeconds
  }

  /** The client's position up to which this stream was given its audio. */
  get sentSeconds(): number {
    return this.#startSeconds + this.#audioSeconds
  }

  /** Audio and silence given to this stream: what the service counts, and bills. */
  get upstreamSeconds(): number {
    return this.#audioSeconds + this.#silenceSeconds
  }

  /** Whether the times of the service are those of the client. */
  get isSame(): boolean {
    return this.#startSeconds === 0 && this.#silenceSeconds === 0
  }

  addAudio(seconds: number): void {
    this.#audioSeconds += seconds
  }

  addSilence(seconds: number): void {
    const last = this.#silences.at(-1)
    if (last?.atSeconds === this.#audioSeconds) {
      last.seconds += seconds
    } else {
      this.#silences.push({ atSeconds: this.#audioSeconds, beforeSeconds: this.#silenceSeconds, seconds })
      if (this.#silences.length > MAX_SILENCES) this.#silences.shift()
    }
    this.#silenceSeconds += seconds
  }

  /**
   * The client's position of a time of this stream; a time within inserted silence is the position where it was put
   * in. Never falls, so that a word does not end before it starts.
   */
  clientTime(upstreamSeconds: number): number {
    return this.#startSeconds + this.#audioTime(upstreamSeconds)
  }

  #audioTime(upstreamSeconds: number): number {
    for (let index = this.#silences.length - 1; index >= 0; index -= 1) {
      const silence = this.#silences[index]
      if (silence === undefined) continue
      const intoSeconds = upstreamSeconds - silence.atSeconds - silence.beforeSeconds
      if (intoSeconds > 0) return silence.atSeconds + Math.max(0, intoSeconds - silence.seconds)
    }
    return upstreamSeconds - (this.#silences[0]?.beforeSeconds ?? 0)
  }
}
