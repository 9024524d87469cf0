/**
 * What the emulator remembers of one stream, while it lives and afterwards. Tests read it to learn what really
 * arrived; it never holds a key, a token or a signature.
 */
import { createHash, type Hash } from 'node:crypto'

/**
 * Why a stream ended.
 * `completed`: the client sent the empty frame and got all results. `exception`: the service ended it, see
 * `exception`. `client_closed`: the client closed or vanished before. `fault`: a fault script ended it. `shutdown`: the
 * emulator was closed.
 */
export type CloseCause = 'completed' | 'exception' | 'client_closed' | 'fault' | 'shutdown'

export interface StreamRecord {
  /** Counted from 1, in the order of the handshakes that were completed. */
  readonly number: number
  /** Which request at the WebSocket path it was, as fault scripts count them. */
  readonly connection: number
  readonly sessionId: string
  readonly requestId: string
  readonly accessKeyId: string
  /** `Host` and `Origin` as they were sent. */
  readonly host: string
  readonly origin: string | null
  /** The query by name, without the `X-Amz-*` part. */
  readonly parameters: Readonly<Record<string, string>>
  /** Wall clock, milliseconds since 1970. */
  readonly openedAtMs: number
  readonly closedAtMs: number | null
  readonly isLive: boolean
  /** AudioEvents with audio in them. */
  readonly frames: number
  readonly audioBytes: number
  /** By the declared sample rate; 0 for compressed audio. */
  readonly audioSeconds: number
  /** Size of the smallest and the largest AudioEvent; `null` before the first. The last one may be shorter. */
  readonly minFrameBytes: number | null
  readonly maxFrameBytes: number | null
  /** SHA-256 of all audio so far, in hex. */
  readonly sha256: string
  /** The first `keepAudioBytes` of the audio. */
  readonly audio: Buffer
  /** The empty AudioEvent has arrived. */
  readonly isEnded: boolean
  readonly partialResults: number
  readonly finalResults: number
  readonly closeCause: CloseCause | null
  /** Close code that went over the wire, whoever sent it; 1006 without a Close frame; `null` while the stream lives. */
  readonly closeCode: number | null
  /** `:exception-type` of the exception that ended the stream. */
  readonly exception: string | null
}

export interface StreamIdentity {
  readonly number: number
  readonly connection: number
  readonly sessionId: string
  readonly requestId: string
  readonly accessKeyId: string
  readonly host: string
  readonly origin: string | null
  readonly parameters: Readonly<Record<string, string>>
  readonly openedAtMs: number
  /** 0 when bytes say nothing about time. */
  readonly bytesPerSecond: number
  readonly keepAudioBytes: number
}

/** The record as its stream writes it. */
export class StreamLedger implements StreamRecord {
  readonly number: number
  readonly connection: number
  readonly sessionId: string
  readonly requestId: string
  readonly accessKeyId: string
  readonly host: string
  readonly origin: string | null
  readonly parameters: Readonly<Record<string, string>>
  readonly openedAtMs: number
  closedAtMs: number | null = null
  frames = 0
  audioBytes = 0
  minFrameBytes: number | null = null
  maxFrameBytes: number | null = null
  isEnded = false
  partialResults = 0
  finalResults = 0
  closeCause: CloseCause | null = null
  closeCode: number | null = null
  exception: string | null = null
  readonly #bytesPerSecond: number
  readonly #hash: Hash = createHash('sha256')
  readonly #kept: Buffer[] = []
  #keepBytes: number

  constructor(identity: StreamIdentity) {
    this.number = identity.number
    this.connection = identity.connection
    this.sessionId = identity.sessionId
    this.requestId = identity.requestId
    this.accessKeyId = identity.accessKeyId
    this.host = identity.host
    this.origin = identity.origin
    this.parameters = identity.parameters
    this.openedAtMs = identity.openedAtMs
    this.#bytesPerSecond = identity.bytesPerSecond
    this.#keepBytes = identity.keepAudioBytes
  }

  addAudio(audio: Uint8Array): void {
    const frameBytes = audio.byteLength
    this.frames++
    this.audioBytes += frameBytes
    this.minFrameBytes = Math.min(this.minFrameBytes ?? frameBytes, frameBytes)
    this.maxFrameBytes = Math.max(this.maxFrameBytes ?? frameBytes, frameBytes)
    this.#hash.update(audio)
    if (this.#keepBytes > 0) {
      const kept = Buffer.from(audio.subarray(0, this.#keepBytes))
      this.#keepBytes -= kept.length
      this.#kept.push(kept)
    }
  }

  get isLive(): boolean {
    return this.closedAtMs === null
  }

  get audioSeconds(): number {
    return this.#bytesPerSecond === 0 ? 0 : this.audioBytes / this.#bytesPerSecond
  }

  get sha256(): string {
    return this.#hash.copy().digest('hex')
  }

  get audio(): Buffer {
    return Buffer.concat(this.#kept)
  }
}
