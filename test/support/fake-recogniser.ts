/**
 * A service whose recogniser knows what it hears: the audio is a ruler on which every byte says where it is, and words
 * lie at fixed places of it. So every stream says the words of exactly the audio that it was given, and it can be proved
 * which bytes arrived, how often and in what order.
 */
import { exceptionMessage, transcriptMessage, type MemoryDial, type MemoryDialer } from './memory-ports.ts'

const RULER_BYTES_PER_SECOND = 32_000

export interface Word {
  readonly text: string
  readonly startSeconds: number
  readonly endSeconds: number
}

/** Audio in which every four bytes are their own number, from 1. */
export function rulerOf(seconds: number): Buffer {
  const ruler = Buffer.alloc(Math.round((seconds * RULER_BYTES_PER_SECOND) / 4) * 4)
  for (let offset = 0; offset < ruler.length; offset += 4) ruler.writeUInt32LE(offset / 4 + 1, offset)
  return ruler
}

/** Words of 0.1–0.7 s with short pauses, and now and then one that ends a segment. */
export function wordsWithin(seconds: number, random: () => number): readonly Word[] {
  const words: Word[] = []
  for (let at = random(); ;) {
    const startSeconds = milli(at)
    const endSeconds = milli(at + 0.1 + random() * 0.6)
    if (endSeconds > seconds) return words
    words.push({ text: `w${words.length}`, startSeconds, endSeconds })
    at = endSeconds + (random() < 0.15 ? 0.7 + random() * 3 : random() * 0.2)
  }
}

export interface RecogniserOptions {
  /** From the arrival of audio to its results. */
  readonly latencyMs?: number
  /** A segment is ended after so long, even within a word. */
  readonly maxSegmentSeconds?: number
}

/** Quiet that ends a segment. */
const PAUSE_SECONDS = 0.6
/** Of an AudioEvent and its WebSocket frame. */
const FRAMING_BYTES = 112

interface Heard {
  readonly payload: Buffer
  readonly atMs: number
}

/** One stream, as the service sees it. */
class HeardStream {
  readonly dial: MemoryDial
  readonly pending: Heard[] = []
  seen = 0
  /** First and end byte of the client's audio in this stream. */
  startByte: number | null = null
  endByte = 0
  /** Received, silence of the relay included. */
  bytes = 0
  silentBytes = 0
  segment: { readonly startSeconds: number; readonly words: Word[] } | null = null
  nextWord: number | null = null
  segments = 0
  isStuck = false

  constructor(dial: MemoryDial) {
    this.dial = dial
  }
}

export class FakeRecogniser {
  /** What was wrong with the audio of a stream. */
  readonly violations: string[] = []
  readonly streams: HeardStream[] = []
  readonly #dialer: MemoryDialer
  readonly #ruler: Buffer
  readonly #words: readonly Word[]
  readonly #options: Required<RecogniserOptions>

  constructor(
    dialer: MemoryDialer,
    ruler: Buffer,
    words: readonly Word[],
    { latencyMs = 300, maxSegmentSeconds = 8 }: RecogniserOptions = {},
  ) {
    this.#dialer = dialer
    this.#ruler = ruler
    this.#words = words
    this.#options = { latencyMs, maxSegmentSeconds }
  }

  /** The stream that is open and has not ended from either side. */
  get live(): HeardStream | undefined {
    return this.streams.findLast(({ dial }) => !dial.upstream.isDead && dial.upstream.ended === null)
  }

  /** Opens a dial. */
  open(dial: MemoryDial, credentialsExpireAtMs: number | null = null): HeardStream {
    const stream = new HeardStream(dial)
    this.streams.push(stream)
    dial.open({ credentialsExpireAtMs })
    return stream
  }

  /** To be called often: hears what came, says what is due. */
  hear(nowMs: number): void {
    for (const dial of this.#dialer.dials) {
      const stream = this.streams.find(candidate => candidate.dial === dial)
      if (stream === undefined) continue
      this.#take(stream, nowMs)
      const isGone = dial.upstream.isDead || dial.upstream.ended !== null
      if (!stream.isStuck && !isGone) this.#say(stream, nowMs)
    }
  }

  /** Bytes of the client that no stream got, and those sent to a stream after another one had them. */
  coverage(): { readonly missing: number; readonly repeated: number } {
    const parts = this.streams
      .filter(({ startByte }) => startByte !== null)
      .map(({ startByte, endByte }) => [startByte ?? 0, endByte] as const)
    let at = 0
    let missing = 0
    let repeated = 0
    for (const [start, end] of parts) {
      missing += Math.max(0, start - at)
      repeated += Math.max(0, Math.min(at, end) - start)
      at = Math.max(at, end)
    }
    return { missing: missing + this.#ruler.length - at, repeated }
  }

  fail(name: string, message = ''): void {
    this.live?.dial.receive(exceptionMessage(name, message))
  }

  #take(stream: HeardStream, nowMs: number): void {
    const { upstream } = stream.dial
    for (; stream.seen < upstream.payloads.length; stream.seen += 1) {
      const payload = upstream.payloads[stream.seen]
      if (payload === undefined) continue
      this.#check(stream, payload)
      if (stream.isStuck) upstream.buffered += payload.length + FRAMING_BYTES
      stream.pending.push({ payload, atMs: nowMs })
    }
  }

  /** Client audio goes on where it ended, byte for byte. */
  #check(stream: HeardStream, payload: Buffer): void {
    if (payload.length === 0 || isZero(payload)) return
    const startByte = stream.startByte === null ? placeOf(payload) : stream.endByte
    stream.startByte ??= startByte
    if (!payload.equals(this.#ruler.subarray(startByte, startByte + payload.length))) {
      this.violations.push(
        `stream ${this.streams.indexOf(stream)}: other audio than that at byte ${startByte}`,
      )
    }
    stream.endByte = startByte + payload.length
  }

  #say(stream: HeardStream, nowMs: number): void {
    while (stream.pending[0] !== undefined && stream.pending[0].atMs <= nowMs - this.#options.latencyMs) {
      const { payload } = stream.pending[0]
      stream.pending.shift()
      if (payload.length === 0) {
        this.#close(stream, secondsOf(stream.bytes))
        stream.dial.close(1000, 'Streaming completed successfully')
        return
      }
      stream.bytes += payload.length
      if (isZero(payload)) stream.silentBytes += payload.length
      this.#advance(stream)
      if (stream.dial.upstream.ended !== null) return
    }
  }

  #advance(stream: HeardStream): void {
    const { startByte } = stream
    if (startByte === null) return
    const fromSeconds = secondsOf(startByte)
    const reached = fromSeconds + secondsOf(stream.bytes - stream.silentBytes)
    stream.nextWord ??= this.#words.findIndex(
      word => (word.startSeconds + word.endSeconds) / 2 >= fromSeconds - 1e-9,
    )
    // Silence of the relay lies behind all audio so far, or before what is to come.
    const shift = secondsOf(stream.silentBytes) - fromSeconds
    const now = secondsOf(stream.bytes)
    for (
      let word = this.#words[stream.nextWord];
      stream.nextWord >= 0 && word !== undefined && word.endSeconds <= reached + 1e-9;
      word = this.#words[stream.nextWord]
    ) {
      stream.nextWord += 1
      const startSeconds = Math.max(word.startSeconds + shift, 0)
      const said = { text: word.text, startSeconds, endSeconds: word.endSeconds + shift }
      stream.segment ??= { startSeconds, words: [] }
      stream.segment.words.push(said)
      this.#emit(stream, said.endSeconds, true)
    }
    const { segment } = stream
    const last = segment?.words.at(-1)
    if (segment === null || last === undefined) return
    const isPause = now - last.endSeconds >= PAUSE_SECONDS && !this.#isSpeaking(stream, reached)
    if (isPause || now - segment.startSeconds >= this.#options.maxSegmentSeconds) this.#close(stream, now)
  }

  /** In the middle of a word. */
  #isSpeaking(stream: HeardStream, reached: number): boolean {
    const word = this.#words[stream.nextWord ?? -1]
    return word !== undefined && word.startSeconds < reached
  }

  #close(stream: HeardStream, now: number): void {
    if (stream.segment === null) return
    this.#emit(stream, now, false)
    stream.segment = null
    stream.segments += 1
  }

  #emit(stream: HeardStream, end: number, isPartial: boolean): void {
    const { segment } = stream
    if (segment === null) return
    stream.dial.receive(
      transcriptMessage([
        {
          ResultId: `${this.streams.indexOf(stream)}-${stream.segments}`,
          StartTime: milli(segment.startSeconds),
          EndTime: milli(end),
          IsPartial: isPartial,
          Alternatives: [
            {
              Transcript: segment.words.map(({ text }) => text).join(' '),
              Items: segment.words.map(({ text, startSeconds, endSeconds }) => ({
                Content: text,
                StartTime: milli(startSeconds),
                EndTime: milli(endSeconds),
                Type: 'pronunciation',
              })),
            },
          ],
        },
      ]),
    )
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every(byte => byte === 0)
}

function secondsOf(bytes: number): number {
  return bytes / RULER_BYTES_PER_SECOND
}

function milli(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}

/** Where a piece of the ruler is, whether it begins with a number or in the middle of one. */
function placeOf(payload: Buffer): number {
  for (const skip of [0, 2]) {
    if (payload.length < skip + 8) break
    const number = payload.readUInt32LE(skip)
    if (payload.readUInt32LE(skip + 4) === number + 1) return (number - 1) * 4 - skip
  }
  throw new Error('a piece that is too short, or no part of the ruler')
}
