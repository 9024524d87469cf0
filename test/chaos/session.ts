/** A client of the chaos: sends the tape at a multiple of its speed, and keeps what must be compared. */
import { WebSocket } from 'ws'
import type { PlacedWord } from './compare.ts'

/** Pieces are of any length in between. */
const MIN_PIECE_SECONDS = 0.02
const MAX_PIECE_SECONDS = 1
const BYTES_PER_SAMPLE = 2

interface Message {
  readonly type: string
  readonly is_final?: boolean
  readonly seq?: number
  readonly start?: number
  readonly end?: number
  readonly words?: readonly PlacedWord[]
  readonly reason?: string
  readonly code?: string
  readonly lost_seconds?: number
  readonly replayed_seconds?: number
}

export interface SessionResult {
  readonly words: readonly PlacedWord[]
  /** Close code and reason. */
  readonly close: string
  /** By reason. */
  readonly rollovers: Readonly<Record<string, number>>
  readonly lostSeconds: number
  readonly replayedSeconds: number
  /** What is wrong in the order of the messages or their times. */
  readonly disorder: readonly string[]
}

export class ChaosSession {
  readonly done: Promise<SessionResult>
  readonly #webSocket: WebSocket
  readonly #pcm: Buffer
  readonly #random: () => number
  readonly #words: PlacedWord[] = []
  readonly #rollovers: Record<string, number> = {}
  readonly #disorder: string[] = []
  #lostSeconds = 0
  #replayedSeconds = 0
  #sentBytes = 0
  #nextBytes = 0
  #isEnded = false
  #seq = 0
  #final: Message = { type: 'Transcript', start: 0, end: 0 }
  #error = ''

  constructor(url: string, pcm: Buffer, random: () => number) {
    this.#pcm = pcm
    this.#random = random
    this.#webSocket = new WebSocket(url, { perMessageDeflate: false })
    this.#webSocket.on('message', data => this.#read(JSON.parse((data as Buffer).toString()) as Message))
    this.#webSocket.on('error', error => (this.#error = error.message))
    this.#drawPiece()
    this.done = new Promise(resolve =>
      this.#webSocket.once('close', (code, reason) =>
        resolve({
          words: this.#words,
          close: `${code} ${reason.toString()} ${this.#error}`.trim(),
          rollovers: this.#rollovers,
          lostSeconds: this.#lostSeconds,
          replayedSeconds: this.#replayedSeconds,
          disorder: this.#disorder,
        }),
      ),
    )
  }

  get isOpen(): boolean {
    return this.#webSocket.readyState === WebSocket.OPEN
  }

  /** Sends what is due by now, and the end after it. */
  sendUntil(byte: number): void {
    if (this.#isEnded || !this.isOpen) return
    while (this.#sentBytes < this.#pcm.length && this.#sentBytes + this.#nextBytes <= byte) {
      this.#webSocket.send(this.#pcm.subarray(this.#sentBytes, this.#sentBytes + this.#nextBytes))
      this.#sentBytes = Math.min(this.#sentBytes + this.#nextBytes, this.#pcm.length)
      this.#drawPiece()
    }
    if (this.#sentBytes < this.#pcm.length) return
    this.#isEnded = true
    this.#webSocket.send('{"type":"CloseStream"}')
  }

  terminate(): void {
    this.#webSocket.terminate()
  }

  #drawPiece(): void {
    const seconds = MIN_PIECE_SECONDS + this.#random() * (MAX_PIECE_SECONDS - MIN_PIECE_SECONDS)
    const bytes = Math.round(seconds * 16_000) * BYTES_PER_SAMPLE
    this.#nextBytes = Math.min(bytes, this.#pcm.length - this.#sentBytes)
  }

  #read(message: Message): void {
    switch (message.type) {
      case 'Transcript':
        return this.#readTranscript(message)
      case 'Rollover':
        this.#rollovers[message.reason ?? ''] = (this.#rollovers[message.reason ?? ''] ?? 0) + 1
        this.#lostSeconds += message.lost_seconds ?? 0
        this.#replayedSeconds += message.replayed_seconds ?? 0
        return
      case 'Error':
        this.#error = message.code ?? 'no code'
        return
      default:
    }
  }

  #readTranscript(message: Message): void {
    this.#seq += 1
    if (message.seq !== this.#seq) this.#disorder.push(`seq ${message.seq} instead of ${this.#seq}`)
    this.#seq = message.seq ?? this.#seq
    if (message.is_final !== true) return
    for (const edge of ['start', 'end'] as const) {
      const [before = 0, now = -1] = [this.#final[edge], message[edge]]
      if (now < before) this.#disorder.push(`final ${message.seq} has ${edge} ${now} after ${before}`)
    }
    if ((message.start ?? 0) > (message.end ?? 0))
      this.#disorder.push(`final ${message.seq} ends before it starts`)
    this.#final = message
    this.#words.push(...(message.words ?? []))
  }
}
