/**
 * The way of every message to the client. `Begin` is always first: what is said before waits for it. A client that
 * reads too slowly is reported once the soft limit is passed, while a Close frame still fits under the hard one.
 * Nothing is said after `end`.
 */
import { warningMessage, type WarningCode } from '../protocol/server-messages.ts'
import type { ParameterWarning } from '../transcribe/parameter-problems.ts'
import type { ClientPort, SendResult, SessionMetrics } from './ports.ts'

export interface OutboxPorts {
  readonly client: ClientPort
  readonly metrics: SessionMetrics
  readonly softBufferBytes: number
  /** The client is too slow, or a message was lost: the session must end. Calls `end`. */
  onSlow(): void
}

export class Outbox {
  readonly #ports: OutboxPorts
  readonly #warned = new Set<WarningCode>()
  /** Bounded: each kind of warning once, one more for each parameter, and the notice of a drain. */
  #held: string[] | null = []
  #isEnded = false

  constructor(ports: OutboxPorts) {
    this.#ports = ports
  }

  begin(message: string): void {
    const held = this.#held ?? []
    this.#held = null
    this.#deliver(message)
    for (const waiting of held) this.#deliver(waiting)
  }

  send(message: string): void {
    if (this.#isEnded) return
    if (this.#held === null) this.#deliver(message)
    else this.#held.push(message)
  }

  /** Messages that came together and leave together. */
  sendAll(messages: readonly string[]): void {
    if (this.#isEnded) return
    if (this.#held !== null) {
      this.#held.push(...messages)
      return
    }
    for (const message of messages) this.#ports.metrics.clientSentBytes += Buffer.byteLength(message)
    this.#heed(this.#ports.client.sendTexts(messages))
  }

  /** Each kind of warning once a session. */
  warn(code: WarningCode): void {
    if (this.#warned.has(code)) return
    this.#warned.add(code)
    this.warnOf(code)
  }

  warnOf(code: WarningCode, message?: string): void {
    this.#ports.metrics.warnings += 1
    this.send(warningMessage(code, message))
  }

  warnOfParameters(warnings: readonly ParameterWarning[]): void {
    for (const { message, parameter } of warnings) this.warnOf('parameter', `${parameter}: ${message}`)
  }

  /** The last message before the Close frame, or none; it goes out even if `Begin` never did. */
  end(message: string | null): void {
    this.#isEnded = true
    if (message === null) return
    this.#ports.metrics.clientSentBytes += Buffer.byteLength(message)
    this.#ports.client.sendText(message)
  }

  #deliver(message: string): void {
    if (this.#isEnded) return
    const { client, metrics } = this.#ports
    metrics.clientSentBytes += Buffer.byteLength(message)
    this.#heed(client.sendText(message))
  }

  #heed(result: SendResult): void {
    if (result === 'sent') return
    const { client, softBufferBytes } = this.#ports
    if (result === 'dropped' || client.bufferedBytes() > softBufferBytes) this.#ports.onSlow()
  }
}
