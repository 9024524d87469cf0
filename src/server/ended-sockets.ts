/**
 * Sockets that were ended, of which the native library says so before anything has left: `close` is called within `end`.
 * The connection is there for a while longer, until the other side has read the last of it and closes, too.
 */

/** The longest time for which the library keeps the descriptor of a socket that was ended and whose other side does nothing. */
const HELD_SECONDS = 16

/** How long the other side has to read its last messages before the process may end. A reset would take them back. */
const LINGER_MS = 1000

export class EndedSockets {
  /** Those refused in a second, at the second modulo the length. */
  readonly #refused = new Uint32Array(HELD_SECONDS)
  #second = -Infinity
  #lastEndMs = -Infinity

  ended(nowMs: number): void {
    this.#lastEndMs = nowMs
  }

  refused(nowMs: number): void {
    this.#turnTo(nowMs)
    const index = this.#second % HELD_SECONDS
    this.#refused[index] = (this.#refused[index] ?? 0) + 1
  }

  /** Descriptors that refused clients may hold still. Clients with a session are few, and counted while they have it. */
  heldByRefused(nowMs: number): number {
    this.#turnTo(nowMs)
    let sum = 0
    for (const count of this.#refused) sum += count
    return sum
  }

  /** Milliseconds until the client that was ended last has had its time. */
  lingerMs(nowMs: number): number {
    return Math.max(0, this.#lastEndMs + LINGER_MS - nowMs)
  }

  #turnTo(nowMs: number): void {
    const second = Math.floor(nowMs / 1000)
    const from = Math.max(this.#second + 1, second - HELD_SECONDS + 1)
    for (let each = from; each <= second; each += 1) this.#refused[each % HELD_SECONDS] = 0
    this.#second = second
  }
}
