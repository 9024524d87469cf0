/**
 * The upstream port over an open WebSocket: event-stream messages out and in, one whole message a frame. Messages out
 * are framed here and written past `ws` (`FrameWriter`); reading, control frames and the closing handshake are its own.
 *
 * The end is reported once, with the first cause seen, and never from inside a call of the session. TCP keep-alive finds
 * a dead peer while nothing is in flight; the session watches `bufferedBytes()` for one that does not read, once the
 * kernel's buffers are full. Pings find the rest: a peer is expected to answer them that has answered one, or whose host
 * has on other connections (`host-pings.ts`).
 */
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { UpstreamEnd, UpstreamPort } from '../session/ports.ts'
import { errorCodeOf } from './connect-failure.ts'
import { FrameWriter } from './frame-writer.ts'
import type { PingHost } from './host-pings.ts'

export interface UpstreamSocketOptions {
  readonly clock: Clock
  /** Longest wait for the answer to our Close frame. */
  readonly closeTimeoutMs: number
  /** Time between pings; 0: none. */
  readonly pingIntervalMs: number
  readonly pingHost: PingHost
  /** For the frames on their way into the socket. */
  readonly writeMemory: RecycledBuffers
}

/** The part of `UpstreamListener` that an open socket calls. */
export interface UpstreamSocketListener {
  upstreamOnMessage(message: Uint8Array): void
  upstreamOnClose(end: UpstreamEnd): void
}

/** A live peer has answered by the second one. */
const MISSED_PINGS = 2
const NO_CLOSE_FRAME = 1006
/** Law: RFC 6455 §5.5 leaves 123 bytes for a reason. */
const MAX_REASON_CHARACTERS = 123

/** Codes of socket errors that mean: given up waiting, rather than broken off. */
const TIMEOUT_CODES: ReadonlySet<string> = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'])

const NOBODY: UpstreamSocketListener = {
  upstreamOnMessage: () => undefined,
  upstreamOnClose: () => undefined,
}

export class UpstreamSocket implements UpstreamPort {
  readonly #webSocket: WebSocket
  readonly #writer: FrameWriter
  #listener: UpstreamSocketListener
  readonly #options: UpstreamSocketOptions
  readonly #pingTicker: Timer | null
  #closeTimer: Timer | null = null
  #closeRequested = false
  #ended = false
  /** Of the TCP or TLS socket; the WebSocket keeps it to itself. */
  #streamErrorCode: string | null = null
  /** From its first ping on: that others were answered meanwhile says nothing about this one. */
  readonly #isHostAnswering: boolean
  #answersPings = false
  #sentPings = 0
  /** Since the peer said anything. */
  #unansweredPings = 0

  constructor(
    webSocket: WebSocket,
    stream: Socket,
    listener: UpstreamSocketListener,
    options: UpstreamSocketOptions,
  ) {
    this.#webSocket = webSocket
    this.#writer = new FrameWriter(stream, options.writeMemory)
    this.#listener = listener
    this.#options = options
    const { clock, pingHost, pingIntervalMs } = options
    this.#isHostAnswering = pingHost.isAnswering
    this.#pingTicker = pingIntervalMs > 0 ? clock.setTicker(pingIntervalMs, () => this.#ping()) : null
    webSocket.on('error', error => this.#upstreamOnError(error))
    webSocket.on('message', (data, isBinary) => this.#upstreamOnMessage(data, isBinary))
    webSocket.on('pong', () => this.#upstreamOnPong())
    webSocket.on('close', (code, reason) => this.#upstreamOnClose(code, reason))
    stream.on('error', error => {
      this.#streamErrorCode = errorCodeOf(error)
    })
    // At once, so that a connection that dies within the first interval is known to have lived.
    if (this.#pingTicker !== null) this.#ping()
  }

  send(message: Uint8Array): void {
    if (this.#ended || this.#closeRequested) return
    // The peer may have begun to close: nothing may follow the answer to its Close frame (RFC 6455 §5.5.1).
    if (this.#webSocket.readyState === WebSocket.OPEN) this.#writer.write(message)
  }

  /** Asked for every stream at every tick: what is asked of the sockets under it is not in the cache. */
  bufferedBytes(): number {
    return this.#ended || this.#writer.pendingFrames === 0 ? 0 : this.#webSocket.bufferedAmount
  }

  close(): void {
    if (this.#ended || this.#closeRequested) return
    this.#closeRequested = true
    this.#closeTimer = this.#options.clock.setTimer(this.#options.closeTimeoutMs, () => this.terminate())
    this.#webSocket.close(1000)
  }

  terminate(): void {
    if (this.#ended) return
    this.#release()
    // The session has more to do in this turn, and its own reason for ending comes first.
    process.nextTick(() =>
      this.#listener.upstreamOnClose({ closeCode: NO_CLOSE_FRAME, reason: '', error: null }),
    )
  }

  /** Calls into the listener. A bug of one session must not take down the process, and the others with it. */
  guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#end({
        closeCode: NO_CLOSE_FRAME,
        reason: '',
        error: new RelayError('internal', { detail: 'a listener of the upstream failed', cause: error }),
      })
    }
  }

  /** The listener is not called any more. What is sent in this turn still leaves, then the stream is closed. */
  abandon(): void {
    this.#listener = NOBODY
    process.nextTick(() => this.close())
  }

  #upstreamOnMessage(data: RawData, isBinary: boolean): void {
    if (this.#ended) return
    this.#unansweredPings = 0
    if (!this.#answersPings && this.#sentPings >= MISSED_PINGS) this.#options.pingHost.connectionSpoke()
    if (!isBinary) return this.#break('upstream_protocol', 'a text message')
    // Binary data comes as one Buffer: `binaryType` is left at its default.
    this.guard(() => this.#listener.upstreamOnMessage(data as Buffer))
  }

  #upstreamOnPong(): void {
    if (!this.#answersPings) this.#options.pingHost.connectionAnswered()
    this.#answersPings = true
    this.#unansweredPings = 0
  }

  /** What `ws` finds wrong with the frames: reserved bits, sizes, masks, close codes, UTF-8. */
  #upstreamOnError(error: Error): void {
    this.#break('upstream_protocol', errorCodeOf(error) ?? error.name)
  }

  #upstreamOnClose(closeCode: number, reason: Buffer): void {
    this.#end({
      closeCode,
      reason: reason.toString('utf8').slice(0, MAX_REASON_CHARACTERS),
      error: closeCode === NO_CLOSE_FRAME ? this.#whyBroken() : null,
    })
  }

  /** After our own Close frame, a peer that just hangs up has done what was asked. */
  #whyBroken(): RelayError | null {
    if (this.#closeRequested) return null
    const code = this.#streamErrorCode
    if (code === null) return new RelayError('upstream_closed', { detail: 'ended without a Close frame' })
    return new RelayError(TIMEOUT_CODES.has(code) ? 'upstream_timeout' : 'upstream_closed', { detail: code })
  }

  #ping(): void {
    if (this.#closeRequested) return
    if (this.#unansweredPings >= MISSED_PINGS && this.#isExpectedToAnswer()) {
      if (!this.#answersPings) this.#options.pingHost.connectionSilent()
      return this.#break('upstream_timeout', 'no pong')
    }
    this.#sentPings += 1
    this.#unansweredPings += 1
    this.#webSocket.ping()
  }

  /** The host may have been found out meanwhile not to answer. */
  #isExpectedToAnswer(): boolean {
    return this.#answersPings || (this.#isHostAnswering && this.#options.pingHost.isAnswering)
  }

  #break(code: ErrorCode, detail: string): void {
    this.#end({ closeCode: NO_CLOSE_FRAME, reason: '', error: new RelayError(code, { detail }) })
  }

  #end(end: UpstreamEnd): void {
    if (this.#ended) return
    this.#release()
    this.#listener.upstreamOnClose(end)
  }

  #release(): void {
    this.#ended = true
    this.#pingTicker?.cancel()
    this.#closeTimer?.cancel()
    this.#webSocket.terminate()
  }
}
