/**
 * A client that loses its connection as often as a test wants, and comes back each time: the browser example of
 * docs/protocol.md, with a knife. Sends all audio from the start it is told, message by message, as fast as the socket
 * takes it, and asks for the end when it has sent all.
 */
import { WebSocket } from 'ws'
import type { ServerMessage } from './relay-client.ts'

export interface ResumingOptions {
  /** `ws://…/v1/stream?resume=true&…` */
  readonly url: string
  readonly audio: Buffer
  /** Bytes of the next message. */
  readonly cut: () => number
  /** Whether to cut the connection now; asked before each audio message, and with each message of the relay. */
  readonly mustCut: (sentBytes: number) => boolean
  /** Awaited between two audio messages. */
  readonly pause: () => Promise<void>
}

export interface ResumingOutcome {
  /** With a number, in the order in which they came; each once. */
  readonly messages: readonly ServerMessage[]
  /** That came again although they had been seen. */
  readonly repeated: number
  readonly acks: readonly ServerMessage[]
  readonly cuts: number
  readonly resumes: number
  readonly closeCode: number
}

export async function streamWithCuts(options: ResumingOptions): Promise<ResumingOutcome> {
  return new Promise((resolve, reject) => new ResumingClient(options, resolve, reject).connect())
}

class ResumingClient {
  readonly #options: ResumingOptions
  readonly #resolve: (outcome: ResumingOutcome) => void
  readonly #reject: (error: Error) => void
  readonly #messages: ServerMessage[] = []
  readonly #acks: ServerMessage[] = []
  #seq = 0
  #token: string | null = null
  #repeated = 0
  #cuts = 0
  #resumes = 0
  #epoch = 0

  constructor(
    options: ResumingOptions,
    resolve: (outcome: ResumingOutcome) => void,
    reject: (error: Error) => void,
  ) {
    this.#options = options
    this.#resolve = resolve
    this.#reject = reject
  }

  connect(): void {
    this.#epoch += 1
    const epoch = this.#epoch
    const { url } = this.#options
    const socket = new WebSocket(
      this.#token === null ? url : `${url}&resume_token=${this.#token}&seq=${this.#seq}`,
    )
    socket.on('message', data => {
      if (epoch === this.#epoch)
        this.#onMessage(socket, JSON.parse((data as Buffer).toString()) as ServerMessage)
    })
    socket.on('error', error => this.#reject(error))
    socket.on('close', code => {
      if (epoch === this.#epoch) this.#settle(code)
    })
  }

  #onMessage(socket: WebSocket, message: ServerMessage): void {
    const { resume_token: token, seq } = message
    if (typeof token === 'string') this.#token = token
    if (message.type === 'Ack') this.#acks.push(message)
    if (message.type === 'Resumed') this.#resumes += 1
    if (typeof seq === 'number') {
      if (seq <= this.#seq) this.#repeated += 1
      else if (seq !== this.#seq + 1)
        this.#reject(new Error(`message ${this.#seq + 1} is missing before ${seq}`))
      else this.#messages.push(message)
      this.#seq = Math.max(this.#seq, seq)
    }
    if (message.type === 'Begin') void this.#send(socket, 0)
    if (message.type === 'Resumed') void this.#send(socket, Number(message['audio_bytes']))
    if (this.#options.mustCut(-1)) this.#cut(socket)
  }

  async #send(socket: WebSocket, fromByte: number): Promise<void> {
    const { audio, cut, mustCut, pause } = this.#options
    const epoch = this.#epoch
    for (let at = fromByte; at < audio.length;) {
      await pause()
      if (epoch !== this.#epoch) return
      if (mustCut(at)) return this.#cut(socket)
      const bytes = cut()
      socket.send(audio.subarray(at, at + bytes))
      at += bytes
    }
    socket.send('{"type":"CloseStream"}')
  }

  /** Without a Close frame: with a reset, or with a FIN in the middle of what is being sent. */
  #cut(socket: WebSocket): void {
    this.#cuts += 1
    this.#epoch += 1
    if (this.#cuts % 2 === 0) socket.terminate()
    else (socket as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy()
    this.connect()
  }

  #settle(closeCode: number): void {
    this.#resolve({
      messages: this.#messages,
      repeated: this.#repeated,
      acks: this.#acks,
      cuts: this.#cuts,
      resumes: this.#resumes,
      closeCode,
    })
  }
}
