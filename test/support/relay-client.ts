/**
 * A client of the relay over `ws`: collects what it is told, and sends audio in any cut.
 */
import { once } from 'node:events'
import { WebSocket, type ClientOptions } from 'ws'

export type ServerMessage = Readonly<Record<string, unknown>> & { readonly type: string }

export interface ClientClose {
  readonly code: number
  readonly reason: string
}

export class RelayClient {
  readonly webSocket: WebSocket
  readonly messages: ServerMessage[] = []
  readonly closed: Promise<ClientClose>
  /** Monotonic, ms, of each message. */
  readonly receivedAtMs: number[] = []
  #close: ClientClose | null = null
  readonly #wakers = new Set<() => void>()

  constructor(url: string, options: ClientOptions = {}) {
    this.webSocket = new WebSocket(url, { perMessageDeflate: false, ...options })
    this.webSocket.on('message', data => {
      this.messages.push(JSON.parse((data as Buffer).toString()) as ServerMessage)
      this.receivedAtMs.push(performance.now())
      this.#wake()
    })
    // What matters of an error is the close that follows.
    this.webSocket.on('error', () => undefined)
    this.closed = new Promise(resolve =>
      this.webSocket.once('close', (code, reason) => {
        this.#close = { code, reason: reason.toString() }
        this.#wake()
        resolve(this.#close)
      }),
    )
  }

  /** Connects; ended with the test. */
  static async open(
    t: { teardown(action: () => unknown): void },
    url: string,
    options: ClientOptions = {},
  ): Promise<RelayClient> {
    const client = new RelayClient(url, options)
    t.teardown(() => client.webSocket.terminate())
    await once(client.webSocket, 'open')
    return client
  }

  of(type: string): readonly ServerMessage[] {
    return this.messages.filter(message => message.type === type)
  }

  get finals(): readonly ServerMessage[] {
    return this.of('Transcript').filter(message => message['is_final'] === true)
  }

  /** Words of all finals (`format=simple`), of one channel if named. */
  words(channel?: string): readonly string[] {
    return this.finals
      .filter(final => channel === undefined || final['channel'] === channel)
      .flatMap(({ text }) => wordsOf(String(text)))
  }

  /** The first message of a type, as soon as it is there. Rejects when the connection closes without it. */
  async waitFor(type: string): Promise<ServerMessage> {
    await this.until(() => this.of(type).length > 0)
    const [message] = this.of(type)
    if (message === undefined) throw new Error(`closed (${JSON.stringify(this.#close)}) without ${type}`)
    return message
  }

  /** Looked at after each message; given up when the connection is closed. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && this.#close === null) {
      await new Promise<void>(resolve => this.#wakers.add(resolve))
    }
  }

  send(audio: Uint8Array): void {
    this.webSocket.send(audio)
  }

  say(message: Readonly<Record<string, unknown>> | string): void {
    this.webSocket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** Sends audio in pieces of `pieceBytes`, or of what the function says. */
  sendCut(audio: Uint8Array, pieceBytes: number | (() => number)): void {
    for (let offset = 0; offset < audio.length;) {
      const bytes = typeof pieceBytes === 'number' ? pieceBytes : pieceBytes()
      this.send(audio.subarray(offset, offset + bytes))
      offset += bytes
    }
  }

  /** Says that the audio is over, and waits for the end. */
  finish(): Promise<ClientClose> {
    this.say({ type: 'CloseStream' })
    return this.closed
  }

  #wake(): void {
    for (const wake of this.#wakers) wake()
    this.#wakers.clear()
  }
}

/** Lower case, without punctuation. */
export function wordsOf(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/[^a-z']+/)
    .filter(word => word !== '')
}
