/**
 * How far the results that a client has cover its audio, for each channel. Positions are seconds of the client's audio.
 *
 * Audio is covered up to the last word of a final result, not to the end of that result: a result that is ended for its
 * length may end within a word, and that word comes with the next one.
 */
import type { TranscribeResult } from '../transcribe/results.ts'

interface Channel {
  finalSeconds: number
  /** Where the segment begins of which only partial results are known. */
  openSeconds: number | null
}

/** What the service has not answered after this much more audio has no words in it. */
const ANSWER_SECONDS = 10
/** Differences of times that are written with three decimals. */
const ROUNDING_SECONDS = 0.002

export class Coverage {
  readonly #expectedChannels: number
  readonly #channels = new Map<string, Channel>()
  #startSeconds = 0
  /** Up to here the service was heard to have nothing to say. */
  #quietSeconds = 0

  /** `channels`: how many the service reports separately. */
  constructor(channels: number) {
    this.#expectedChannels = channels
  }

  /** A segment is open: words of it may have been shown, but no final one. */
  get hasOpenSegment(): boolean {
    for (const { openSeconds } of this.#channels.values()) if (openSeconds !== null) return true
    return false
  }

  /** Up to here every channel is covered. */
  get coveredSeconds(): number {
    if (this.#channels.size < this.#expectedChannels) return this.#startSeconds
    let covered = Infinity
    for (const { finalSeconds } of this.#channels.values()) covered = Math.min(covered, finalSeconds)
    return covered
  }

  /** `clientTime` of the stream that the result is from. */
  add(result: TranscribeResult, clientTime: (upstreamSeconds: number) => number): void {
    const channel = this.#channel(result.ChannelId ?? '')
    if (result.IsPartial === false) {
      channel.finalSeconds = Math.max(channel.finalSeconds, clientTime(lastWordEnd(result)))
      channel.openSeconds = null
    } else {
      channel.openSeconds ??= clientTime(result.StartTime ?? 0)
    }
  }

  /** The service had nothing to say when it had been given audio up to here. */
  addQuiet(sentSeconds: number): void {
    if (!this.hasOpenSegment) this.#quietSeconds = Math.max(this.#quietSeconds, sentSeconds - ANSWER_SECONDS)
  }

  /**
   * A stream begins here; the segments of the one before are void. Returns how many seconds before it hold speech, as
   * far as can be known, that no result will ever cover.
   */
  restart(startSeconds: number): number {
    let lostSeconds = 0
    const channels = [...this.#channels.values()]
    const missing = this.#expectedChannels - channels.length
    for (let index = 0; index < missing; index += 1) {
      channels.push({ finalSeconds: this.#startSeconds, openSeconds: null })
    }
    for (const channel of channels) {
      const heardSeconds = channel.openSeconds ?? this.#quietSeconds
      lostSeconds = Math.max(lostSeconds, startSeconds - Math.max(channel.finalSeconds, heardSeconds))
      channel.finalSeconds = Math.max(channel.finalSeconds, startSeconds)
      channel.openSeconds = null
    }
    this.#startSeconds = Math.max(this.#startSeconds, startSeconds)
    return lostSeconds > ROUNDING_SECONDS ? lostSeconds : 0
  }

  /** What is covered of each channel now, by `ChannelId`; `''` without channel identification. */
  snapshot(): ReadonlyMap<string, number> {
    return new Map(
      [...this.#channels].map(([channelId, { finalSeconds }]) => [channelId, finalSeconds] as const),
    )
  }

  #channel(channelId: string): Channel {
    let channel = this.#channels.get(channelId)
    if (channel === undefined) {
      channel = { finalSeconds: this.#startSeconds, openSeconds: null }
      this.#channels.set(channelId, channel)
    }
    return channel
  }
}

/** Of the stream that the result is from; the end of a result without words. */
function lastWordEnd(result: TranscribeResult): number {
  let end: number | null = null
  for (const { Type: type, EndTime: endTime } of result.Alternatives?.[0]?.Items ?? []) {
    if (type !== 'punctuation' && endTime != null) end = Math.max(end ?? 0, endTime)
  }
  return end ?? result.EndTime ?? 0
}
