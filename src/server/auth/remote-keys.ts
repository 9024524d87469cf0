/**
 * The signing keys of an identity provider, from its JWKS URL.
 *
 * Kept while the provider is down or slow: what was loaded once is used until something newer is. A key that is not in
 * the set makes it load again, but not more often than `retryMs`, however many unknown keys come; while it loads, known
 * keys are not held up. As long as it cannot be loaded, nobody knows whether such a key is right: not the client's doing.
 * Keys that left the set are good for one more `refreshMs`, for tokens signed just before.
 */
import { errors } from 'jose'
import type { Clock, Timer } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { FindKey, SigningKeys } from './jwk-set.ts'
import { MAX_KEY_SET_BYTES, parseKeySet } from './jwk-set.ts'

export interface RemoteKeysOptions {
  readonly url: string
  /** Age from which the keys are loaded again. */
  readonly refreshMs: number
  /** Least time between two attempts. */
  readonly retryMs: number
  /** Of one attempt. */
  readonly timeoutMs: number
  readonly clock: Clock
  /** `keys` is `null` for a failure; `error` says which. */
  readonly onLoad: (keys: number | null, error: unknown) => void
}

/** Stands for the URL in messages: a URL may hold what is not for a log. */
const NAME = 'jwksUrl'

export class RemoteKeys {
  readonly #options: RemoteKeysOptions
  #current: SigningKeys | null = null
  #previous: SigningKeys | null = null
  #text: string | null = null
  #loadedAtMs = -Infinity
  #replacedAtMs = -Infinity
  #attemptedAtMs = -Infinity
  /** What came of the last attempt that is over. */
  #hasFailed = false
  #loading: Promise<void> | null = null
  #abort: AbortController | null = null
  #ticker: Timer | null = null
  #isClosed = false

  constructor(options: RemoteKeysOptions) {
    this.#options = options
  }

  /**
   * Begins to load, so that the first client does not wait, and again whenever it is time: a key that was taken back must not be
   * good for as long as nobody comes.
   */
  start(): void {
    const { clock, refreshMs } = this.#options
    this.#ticker = clock.setTicker(refreshMs, () => void this.#load())
    void this.#load()
  }

  close(): void {
    this.#isClosed = true
    this.#ticker?.cancel()
    this.#abort?.abort()
  }

  readonly find: FindKey = async (header, token) => {
    if (this.#current === null) await this.#load()
    else if (this.#ageMs() >= this.#options.refreshMs) void this.#load()
    const before = this.#current
    // `jose` tells a missing key by an error; nothing was ever loaded is another thing, and not the client's doing.
    if (before === null) throw new RelayError('auth_unavailable')
    try {
      return await before.find(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      return this.#findElsewhere(header, token, before, error)
    }
  }

  async #findElsewhere(...[header, token, before, missing]: [...Parameters<FindKey>, SigningKeys, Error]) {
    const previous = this.#previous
    if (previous !== null && this.#nowMs() - this.#replacedAtMs < this.#options.refreshMs) {
      try {
        return await previous.find(header, token)
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      }
    }
    await this.#load()
    const current = this.#current
    if (current === null || current === before) {
      throw this.#hasFailed ? new RelayError('auth_unavailable', { detail: NAME }) : missing
    }
    return current.find(header, token)
  }

  /** One at a time, and not too often. Never rejects. */
  async #load(): Promise<void> {
    if (this.#loading !== null) return this.#loading
    if (this.#nowMs() - this.#attemptedAtMs < this.#options.retryMs) return undefined
    this.#attemptedAtMs = this.#nowMs()
    this.#loading = this.#attempt().finally(() => {
      this.#loading = null
    })
    return this.#loading
  }

  async #attempt(): Promise<void> {
    const { clock, onLoad, timeoutMs, url } = this.#options
    const abort = new AbortController()
    this.#abort = abort
    const timer = clock.setTimer(timeoutMs, () => abort.abort(new Error(`no answer within ${timeoutMs} ms`)))
    try {
      const text = await fetchText(url, abort.signal)
      this.#take(text, parseKeySet(text, NAME, true))
      this.#hasFailed = false
      onLoad(this.#current?.size ?? 0, null)
    } catch (error) {
      this.#hasFailed = true
      if (!this.#isClosed) onLoad(null, error)
    } finally {
      timer.cancel()
      this.#abort = null
    }
  }

  #take(text: string, keys: SigningKeys): void {
    const nowMs = this.#nowMs()
    this.#loadedAtMs = nowMs
    if (text === this.#text) return
    this.#text = text
    this.#previous = this.#current
    this.#replacedAtMs = nowMs
    this.#current = keys
  }

  #ageMs(): number {
    return this.#nowMs() - this.#loadedAtMs
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }
}

/** Redirects are not followed: the keys are where the operator said, or nowhere. */
async function fetchText(url: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel()
    throw new Error(`HTTP status ${response.status}`)
  }
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    bytes += piece.length
    if (bytes > MAX_KEY_SET_BYTES) throw new Error(`more than ${MAX_KEY_SET_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
