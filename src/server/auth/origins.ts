/**
 * Which web pages may connect. A browser sends the origin of the page and lets no script change it (RFC 6454 §7), but it
 * opens WebSockets to any host: without this check every page that a user visits could speak to a relay in reach.
 *
 * Compared as a whole, as it is sent: scheme, host and port. `null`, the origin of files and sandboxed frames, is nobody's.
 */
import { RelayError } from '../../errors.ts'

/** Every origin. */
const ANY_ORIGIN = '*'
/** Pages served by the machine that the browser runs on, at any port. */
const LOOPBACK_ORIGINS = 'loopback'

const LOOPBACK_PATTERN = /^https?:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/

export interface OriginOptions {
  /** Origins, `*` or `loopback`. */
  readonly allowedOrigins: readonly string[]
  /** Whether a request without `Origin` may come in: everything that is no browser. */
  readonly allowMissingOrigin: boolean
}

/** @throws RelayError `origin_denied` */
export class OriginList {
  readonly #origins: ReadonlySet<string>
  readonly #options: OriginOptions

  constructor(options: OriginOptions) {
    this.#options = options
    this.#origins = new Set(options.allowedOrigins)
  }

  check(origin: string | undefined): void {
    if (origin === undefined) {
      if (this.#options.allowMissingOrigin) return
      throw new RelayError('origin_denied', { message: 'A request without Origin is not allowed.' })
    }
    if (!this.#isAllowed(origin)) throw new RelayError('origin_denied')
  }

  #isAllowed(origin: string): boolean {
    if (origin === 'null') return false
    if (this.#origins.has(origin) || this.#origins.has(ANY_ORIGIN)) return true
    return this.#origins.has(LOOPBACK_ORIGINS) && LOOPBACK_PATTERN.test(origin)
  }
}
