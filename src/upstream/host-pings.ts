/**
 * Which hosts answer pings, as far as their connections have shown. Amazon does not document what it does with a ping, so
 * only a peer that has answered one is expected to answer the next; but a connection may die before its first answer. To
 * a host that has answered on another connection, a new one is expected to be answered from the start.
 *
 * | what a connection shows                                | what is expected of the next ones            |
 * | ------------------------------------------------------ | -------------------------------------------- |
 * | its first answer                                       | answers                                      |
 * | it speaks, and has not answered                        | nothing: the host answers no pings any more  |
 * | `MAX_SILENT` in a row did not answer and said nothing  | nothing: it need not be the network          |
 */

/** Connections that are given up for nothing if a host stops to answer, and that a network that is gone may cost. */
export const MAX_SILENT = 32
/** Of one dialer, which has one endpoint or a few. */
export const MAX_HOSTS = 64

/** What is known of one host. */
export class PingHost {
  #answers = false
  #silent = 0

  get isAnswering(): boolean {
    return this.#answers
  }

  /** A connection was answered for the first time. */
  connectionAnswered(): void {
    this.#answers = true
    this.#silent = 0
  }

  /** A connection lives without answering. */
  connectionSpoke(): void {
    this.#answers = false
    this.#silent = 0
  }

  /** A connection was given up that neither answered nor spoke. */
  connectionSilent(): void {
    this.#silent += 1
    if (this.#silent >= MAX_SILENT) this.connectionSpoke()
  }
}

export class HostPings {
  readonly #hosts = new Map<string, PingHost>()

  /** `host`: with its port, as in the URL. */
  of(host: string): PingHost {
    const known = this.#hosts.get(host) ?? new PingHost()
    // The one that was asked for last is forgotten last.
    this.#hosts.delete(host)
    this.#hosts.set(host, known)
    const [oldest = host] = this.#hosts.keys()
    if (this.#hosts.size > MAX_HOSTS) this.#hosts.delete(oldest)
    return known
  }
}
