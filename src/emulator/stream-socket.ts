/** The socket of a stream: what the stream may do with it, and that on top of `ws` and the TCP socket below. */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { StreamException } from './exceptions.ts'

/** Every method does nothing once the socket is gone. */
export interface StreamSocket {
  sendBinary(message: Uint8Array): void
  sendText(text: string): void
  /** Bytes past the WebSocket layer, for frames that no library would make. */
  writeRaw(bytes: Uint8Array): void
  close(code: number, reason: string): void
  /** Stops reading for good, so that the client's bytes pile up. */
  pause(): void
  /** TCP RST. */
  reset(): void
  /** TCP FIN without a Close frame. */
  fin(): void
  terminate(): void
}

/** What a socket tells its stream. */
export interface StreamSocketListener {
  /** One event-stream message. A view, valid during the call only. */
  socketOnBinary(message: Uint8Array): void
  socketOnText(): void
  /** The client has ended its audio by the transport's own means: at most the empty AudioEvent came before. */
  socketOnEnd(): void
  /** What came breaks a rule of the transport: the stream ends with this. */
  socketOnViolation(exception: StreamException): void
  /** The socket is gone; the last call. */
  socketOnClose(closeCode: number): void
}

export class WsStreamSocket implements StreamSocket {
  readonly #webSocket: WebSocket
  /** The stream below the WebSocket: the TCP socket, or the TLS socket over it. */
  readonly #stream: Duplex
  readonly #tcpSocket: Socket

  constructor(webSocket: WebSocket, stream: Duplex, tcpSocket: Socket) {
    this.#webSocket = webSocket
    this.#stream = stream
    this.#tcpSocket = tcpSocket
  }

  sendBinary(message: Uint8Array): void {
    if (this.#isOpen()) this.#webSocket.send(message, { binary: true })
  }

  sendText(text: string): void {
    if (this.#isOpen()) this.#webSocket.send(text)
  }

  writeRaw(bytes: Uint8Array): void {
    if (this.#isOpen()) this.#stream.write(bytes)
  }

  close(code: number, reason: string): void {
    this.#webSocket.close(code, reason)
  }

  pause(): void {
    this.#webSocket.pause()
  }

  reset(): void {
    resetTcp(this.#stream, this.#tcpSocket)
  }

  fin(): void {
    this.#stream.end()
  }

  terminate(): void {
    this.#webSocket.terminate()
  }

  #isOpen(): boolean {
    return this.#webSocket.readyState === this.#webSocket.OPEN
  }
}

/** Sends RST, under TLS too: there the TCP socket is another object than the stream. */
export function resetTcp(stream: Duplex, tcpSocket: Socket): void {
  tcpSocket.resetAndDestroy()
  stream.destroy()
}
