/**
 * From a WebSocket message of the client to audio, or to the exception with which the service answers it.
 *
 * Sources: Amazon Transcribe Developer Guide, "Event stream encoding"; API Reference, AudioEvent (one second at most,
 * whole samples); texts as quoted by users.
 */
import { decodeMessage, EventStreamError, stringHeader, type DecodedMessage } from '../eventstream/index.ts'
import type { StreamParameters } from '../transcribe/parameters.ts'
import { exceptions, type StreamException } from './exceptions.ts'

export type AudioVerdict =
  | { readonly kind: 'audio'; readonly audio: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'exception'; readonly exception: StreamException }

/** First bytes of the two containers that the service takes. */
const MAGIC: Readonly<Record<string, string>> = { 'ogg-opus': 'OggS', flac: 'fLaC' }

export class AudioEventReader {
  readonly #parameters: StreamParameters
  readonly #maxAudioBytes: number
  #isFirst = true

  constructor(parameters: StreamParameters, maxChunkMs: number) {
    this.#parameters = parameters
    this.#maxAudioBytes = Math.floor((parameters.bytesPerSecond * maxChunkMs) / 1000)
  }

  /** `audio` of the verdict is a view of `message`. */
  read(message: Uint8Array): AudioVerdict {
    let event: DecodedMessage
    try {
      event = decodeMessage(message)
    } catch (error) {
      if (error instanceof EventStreamError) return refuse(exceptions.undecodable())
      throw error
    }
    const wrong = checkHeaders(event)
    if (wrong !== null) return refuse(wrong)
    return this.#readAudio(event.payload)
  }

  #readAudio(audio: Uint8Array): AudioVerdict {
    const { isPcm, frameBytes, encoding } = this.#parameters
    if (audio.byteLength === 0) return { kind: 'end' }
    if (audio.byteLength > this.#maxAudioBytes) return refuse(exceptions.tooBig())
    if (isPcm && audio.byteLength % frameBytes !== 0) return refuse(exceptions.undecodable())
    const magic = this.#isFirst ? MAGIC[encoding] : undefined
    this.#isFirst = false
    if (magic !== undefined && !startsWith(audio, magic)) return refuse(exceptions.undecodable())
    return { kind: 'audio', audio }
  }
}

/** `:content-type` may be missing: clients that leave it out work with the real service too. */
function checkHeaders({ headers }: DecodedMessage): StreamException | null {
  const contentType = stringHeader(headers, ':content-type')
  const isAudioEvent =
    stringHeader(headers, ':message-type') === 'event' &&
    stringHeader(headers, ':event-type') === 'AudioEvent' &&
    (contentType === null || contentType === 'application/octet-stream')
  return isAudioEvent ? null : exceptions.unexpectedFrame()
}

/** A first message shorter than the magic is no container either: pages and headers come whole. */
function startsWith(audio: Uint8Array, magic: string): boolean {
  return Buffer.from(audio.subarray(0, magic.length)).toString('latin1') === magic
}

function refuse(exception: StreamException): AudioVerdict {
  return { kind: 'exception', exception }
}
