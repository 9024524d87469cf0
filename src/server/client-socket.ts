/**
 * One open client: the `ClientPort` of a session over a native socket.
 *
 * The native socket has sharp edges, and they end here: it throws when it is used after its close, a throw in one of its
 * handlers ends the process, it drops messages above its buffer limit without a word (its own Close frame too), `end` and
 * `close` call the close handler before they return, and what is sent within the drain handler may get stuck. So the state
 * changes first and the call comes after, every handler is guarded, a drain is reported once its handler has returned, and
 * a Close frame waits until the client has read what was sent before.
 *
 *     open ── close() ──▶ closing ── buffer empty: Close frame ──▶ closed
 *       │                    └────── closeTimeoutMs: no Close frame ─▲
 *       └──────────────────── the client, the network ──────────────┘
 */
import type { WebSocket } from 'uWebSockets.js'
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ClientEnd, ClientListener, ClientPort, SendResult } from '../session/ports.ts'
import { RateLimit } from './auth/rate-limit.ts'
import { isViolation, readClientEnd } from './client-end.ts'
import { cutCloseReason, isSendableCloseCode } from './close-frame.ts'
import type { ServerMetrics } from './metrics.ts'

/** What is used of a native socket. */
export type NativeSocket = Pick<WebSocket<unknown>, 'send' | 'cork' | 'getBufferedAmount' | 'end' | 'close'>

/** What the native socket's handlers call; one object a socket, found through its user data. */
export interface SocketHandlers {
  /** `null`: it is closed already, and `socketOnClose` came first. */
  socketOnOpen(socket: NativeSocket | null): void
  /** `message` is valid during the call only. */
  socketOnMessage(message: ArrayBuffer, isBinary: boolean): void
  /** A ping, or a pong that nobody may have asked for. */
  socketOnPing(): void
  socketOnDrain(): void
  socketOnClose(closeCode: number, reason: ArrayBuffer): void
}

export interface ClientSocketOptions {
  /** Larger messages are reported by their size and not handed on. */
  readonly maxMessageBytes: number
  /** How long a client may take to read what was left for it before the connection is ended without a Close frame. */
  readonly closeTimeoutMs: number
  /** Pings and pongs of a client, sustained. Answering them costs the process, and sessions see none of them. */
  readonly pingsPerSecond: number
  readonly clock: Clock
  readonly metrics: ServerMetrics
  /** A bug with nobody to tell: the listener failed too, or is not there. */
  readonly onFailure: (error: unknown) => void
}

/** Starts the session of a client; called when its socket is open. */
export type OpenSession = (client: ClientPort) => ClientListener

const INTERNAL_CLOSE_CODE = 1011

export class ClientSocket implements ClientPort, SocketHandlers {
  readonly #options: ClientSocketOptions
  readonly #open: OpenSession
  readonly #onGone: () => void
  readonly #pings: RateLimit
  /** `null` before the socket is open and after it is closed. */
  #socket: NativeSocket | null = null
  #listener: ClientListener | null = null
  #closing: { readonly code: number; readonly reason: string; readonly timer: Timer | null } | null = null
  /** Kept only when the socket closes while `open` is still making the listener. */
  #earlyEnd: ClientEnd | null = null
  #isForced = false

  /** `onGone` is called once, when the socket is closed and the session knows. */
  constructor(options: ClientSocketOptions, open: OpenSession, onGone: () => void = () => {}) {
    this.#options = options
    const { clock, pingsPerSecond } = options
    this.#pings = new RateLimit(pingsPerSecond, clock.monotonicMs())
    this.#open = open
    this.#onGone = onGone
  }

  // ClientPort

  sendText(message: string): SendResult {
    if (this.#socket === null || this.#closing !== null) return 'dropped'
    return sendOn(this.#socket, message)
  }

  // Corked: one system call for all of them, which is most of what a message costs (docs/adr/0008-frame-memory.md).
  sendTexts(messages: readonly string[]): SendResult {
    const socket = this.#socket
    if (socket === null || this.#closing !== null) return 'dropped'
    let worst: SendResult = 'sent'
    // Nothing but sends in there: what a close does to a corked socket is the native build's own affair.
    socket.cork(() => {
      for (const message of messages) {
        const result = sendOn(socket, message)
        if (result !== 'sent') worst = result
        if (result === 'dropped') return
      }
    })
    return worst
  }

  bufferedBytes(): number {
    return this.#socket?.getBufferedAmount() ?? 0
  }

  close(closeCode: number, reason: string): void {
    const socket = this.#socket
    if (socket === null || this.#closing !== null) return
    const isSendable = isSendableCloseCode(closeCode)
    const code = isSendable ? closeCode : INTERNAL_CLOSE_CODE
    const mustWait = socket.getBufferedAmount() > 0
    const { clock, closeTimeoutMs, onFailure } = this.#options
    const timer = mustWait ? clock.setTimer(closeTimeoutMs, () => this.#force()) : null
    this.#closing = { code, reason: cutCloseReason(reason), timer }
    if (!isSendable) onFailure(new RangeError(`close code must be one a server may send, got ${closeCode}`))
    if (!mustWait) this.#end()
  }

  // SocketHandlers

  socketOnOpen(socket: NativeSocket | null): void {
    this.#socket = socket
    try {
      this.#listener = this.#open(this)
    } catch (error) {
      this.#options.onFailure(error)
      this.close(INTERNAL_CLOSE_CODE, 'internal')
      return
    }
    if (this.#earlyEnd !== null) this.#reportEnd(this.#earlyEnd)
  }

  socketOnMessage(message: ArrayBuffer, isBinary: boolean): void {
    // What arrives after a close was decided is read and thrown away, so that the Close frame is not overtaken by a reset.
    if (this.#listener === null || this.#closing !== null) return
    try {
      if (message.byteLength > this.#options.maxMessageBytes) {
        this.#listener.clientOnOversize(message.byteLength)
      } else if (isBinary) {
        this.#listener.clientOnAudio(new Uint8Array(message))
      } else {
        this.#listener.clientOnText(Buffer.from(message).toString())
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  socketOnPing(): void {
    const { clock, pingsPerSecond } = this.#options
    if (this.#closing !== null || this.#pings.take(clock.monotonicMs()) === 0) return
    this.#fail(
      new RelayError('rate_limited', { message: `A client may send ${pingsPerSecond} pings a second.` }),
    )
  }

  socketOnDrain(): void {
    if (this.#closing !== null) {
      if (this.bufferedBytes() === 0) this.#end()
      return
    }
    // Not from within the native handler, which stops watching for room when it returns: the rest of a large message would wait
    // until the next one, or the next ping.
    setImmediate(() => this.#reportDrain())
  }

  socketOnClose(closeCode: number, reason: ArrayBuffer): void {
    this.#socket = null
    this.#closing?.timer?.cancel()
    const end: ClientEnd = this.#isForced
      ? { code: 'ping_timeout', closeCode: 1006 }
      : readClientEnd(closeCode, reason)
    if (this.#listener === null) this.#earlyEnd = end
    else this.#reportEnd(end)
    this.#count(end)
    this.#onGone()
  }

  #reportDrain(): void {
    if (this.#socket === null || this.#closing !== null) return
    try {
      this.#listener?.clientOnDrain?.()
    } catch (error) {
      this.#fail(error)
    }
  }

  #reportEnd(end: ClientEnd): void {
    try {
      this.#listener?.clientOnClose(end)
    } catch (error) {
      this.#fail(error)
    }
  }

  #count({ code }: ClientEnd): void {
    try {
      if (isViolation(code)) this.#options.metrics.countViolation(code)
      if (this.#isForced) this.#options.metrics.countForcedClose()
    } catch (error) {
      this.#options.onFailure(error)
    }
  }

  /** Sends the Close frame. The native socket calls `socketOnClose` before `end` returns. */
  #end(): void {
    if (this.#closing === null) return
    this.#socket?.end(this.#closing.code, this.#closing.reason)
  }

  #force(): void {
    this.#isForced = true
    this.#socket?.close()
  }

  #fail(error: unknown): void {
    try {
      this.#listener?.clientOnFailure(error)
    } catch (second) {
      this.#options.onFailure(error)
      this.#options.onFailure(second)
      this.close(INTERNAL_CLOSE_CODE, 'internal')
    }
  }
}

function sendOn(socket: NativeSocket, message: string): SendResult {
  switch (socket.send(message, false, false)) {
    case 1:
      return 'sent'
    case 0:
      return 'buffered'
    default:
      return 'dropped'
  }
}
