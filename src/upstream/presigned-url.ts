/**
 * A presigned URL. It holds the session token and opens a stream for whoever has it until it expires, so every way
 * of printing it ends at the `?`. Only the socket that dials and the command that prints one on purpose call
 * `reveal()`.
 */
import { inspect } from 'node:util'

export class PresignedUrl {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** The whole URL. For the socket and the `presign` command only. */
  reveal(): string {
    return this.#url
  }

  toString(): string {
    const queryStart = this.#url.indexOf('?')
    return queryStart === -1 ? this.#url : `${this.#url.slice(0, queryStart + 1)}…redacted`
  }

  toJSON(): string {
    return this.toString()
  }

  [inspect.custom](): string {
    return `PresignedUrl(${this.toString()})`
  }
}
