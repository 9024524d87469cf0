/**
 * TLS sessions to resume: one per host, so that a reconnect saves a round trip and the server's certificate chain.
 *
 * A resumed session carries the verdict on the certificate it was made with, so a cache must not outlive its trust
 * settings: one cache belongs to one connector, whose settings never change.
 */
import type { TLSSocket } from 'node:tls'

/** Far more than the endpoints of all regions. The least recently renewed goes first. */
const MAX_SESSIONS = 64

export class TlsSessions {
  readonly #sessions = new Map<string, Buffer>()

  get(host: string): Buffer | undefined {
    return this.#sessions.get(host)
  }

  /** Remembers the tickets of a connection; TLS 1.3 sends them after the handshake. */
  watch(host: string, socket: TLSSocket): void {
    socket.on('session', session => this.#remember(host, session))
  }

  /** After a failed attempt: the next one shakes hands in full. */
  forget(host: string): void {
    this.#sessions.delete(host)
  }

  #remember(host: string, session: Buffer): void {
    this.#sessions.delete(host)
    this.#sessions.set(host, session)
    if (this.#sessions.size <= MAX_SESSIONS) return
    const [oldest] = this.#sessions.keys()
    if (oldest !== undefined) this.#sessions.delete(oldest)
  }
}
