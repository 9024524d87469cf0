/**
 * An HTTP/2 stream as the socket of a stream: DATA frames out, and the signed messages of the client taken apart.
 *
 * The client's outer messages carry the signature chain; what they wrap is the AudioEvent as WebSocket clients send it.
 * An outer message without payload is the end of the audio. HTTP/2 has no close codes: 1000 stands for a stream that the
 * service ended, 1006 for one that broke off.
 */
import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import { decodeMessage, EventStreamError } from '../../eventstream/index.ts'
import { exceptions, type StreamException } from '../exceptions.ts'
import { resetTcp, type StreamSocket, type StreamSocketListener } from '../stream-socket.ts'
import type { ChunkVerifier } from './chunk-signature.ts'
import { MessageSplitter } from './message-splitter.ts'

const NORMAL_CLOSE = 1000
const NO_CLOSE_FRAME = 1006

export class Http2StreamSocket implements StreamSocket {
  readonly #stream: ServerHttp2Stream
  readonly #tcpSocket: Socket

  constructor(stream: ServerHttp2Stream, tcpSocket: Socket) {
    this.#stream = stream
    this.#tcpSocket = tcpSocket
  }

  sendBinary(message: Uint8Array): void {
    if (this.#stream.writable) this.#stream.write(message)
  }

  /** There is no text in HTTP/2: the bytes stand where an event should. */
  sendText(text: string): void {
    if (this.#stream.writable) this.#stream.write(text)
  }

  writeRaw(bytes: Uint8Array): void {
    this.sendBinary(bytes)
  }

  close(): void {
    this.#stream.end()
    // What the client still sends is read and dropped: a reset could overtake the last event on its way.
    this.#stream.resume()
  }

  pause(): void {
    this.#stream.pause()
  }

  reset(): void {
    resetTcp(this.#stream, this.#tcpSocket)
  }

  fin(): void {
    this.#tcpSocket.end()
  }

  terminate(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL)
  }
}

/** Feeds what `stream` carries to `listener` until the stream is gone. `now`: wall clock, ms since 1970. */
export function readHttp2Stream(
  stream: ServerHttp2Stream,
  listener: StreamSocketListener,
  verifier: ChunkVerifier,
  now: () => number,
): void {
  let isBroken = false
  let isEnded = false

  const violate = (exception: StreamException): void => {
    isBroken = true
    listener.socketOnViolation(exception)
  }

  const splitter = new MessageSplitter(bytes => {
    if (isBroken) return
    const message = decodeMessage(bytes)
    const exception = verifier.verify(message, now())
    if (exception !== null) violate(exception)
    else if (message.payload.length === 0) {
      isEnded = true
      listener.socketOnEnd()
    } else listener.socketOnBinary(message.payload)
  })

  stream.on('data', (bytes: Buffer) => {
    if (isBroken) return
    try {
      splitter.push(bytes)
    } catch (error) {
      if (!(error instanceof EventStreamError)) throw error
      violate(exceptions.undecodable())
    }
  })
  stream.on('end', () => {
    if (!isBroken && (!isEnded || splitter.isInsideMessage)) violate(exceptions.missingEndFrame())
  })
  stream.on('close', () => {
    const isWhole = stream.writableEnded && !stream.aborted
    listener.socketOnClose(isWhole ? NORMAL_CLOSE : NO_CLOSE_FRAME)
  })
}
