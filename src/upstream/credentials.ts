/**
 * Credentials that are there when a dial needs them: cached, refreshed before they end, one refresh at a time.
 *
 * A provider may fail or hang. Then the cached credentials serve while they are valid, attempts are spaced by a
 * back-off, and a time-out frees whoever waits; the process stays up and `readiness()` says what is wrong. Between
 * `start()` and `close()` a ticker keeps refreshing without any dial, so that readiness recovers by itself.
 */
import type { Clock, Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import { printedAs } from '../secret.ts'
import { expiryOf, findCredentialProblem } from './aws-credentials.ts'
import type { AwsCredentials } from './aws-credentials.ts'
import { createCredentialChain } from './credential-chain.ts'
import type { CredentialProvider } from './credential-chain.ts'

export type CredentialFailure =
  'credentials_missing' | 'credentials_invalid' | 'credentials_expired' | 'credentials_timeout'

export type CredentialReadiness =
  | { readonly ready: true; readonly reason: null }
  | { readonly ready: false; readonly reason: CredentialFailure | 'credentials_pending' }

/** Read at scrape. */
export interface CredentialFigures {
  readonly refreshesOk: number
  readonly refreshesFailed: number
  /** Wall clock, ms since 1970; `null`: none yet, or they do not end. */
  readonly expiresAtMs: number | null
}

export interface CredentialRequest {
  /** Refresh first if less than this is left. Credentials with less are still handed out if no others are to be had. */
  readonly minRemainingMs?: number
  /** The service refused the cached ones: get others. */
  readonly force?: boolean
}

export interface CredentialSource {
  /** @throws {RelayError} `not_ready`; `detail` is a `CredentialFailure` and the safe part of the provider's error. */
  get(request?: CredentialRequest): Promise<AwsCredentials>
  readiness(): CredentialReadiness
  readonly figures: CredentialFigures
  /** Fetches now and keeps fresh from here on. */
  start(): void
  close(): void
}

export interface CredentialSourceOptions {
  readonly clock: Clock
  /** Instead of the chain of the AWS SDK. */
  readonly provider?: CredentialProvider | undefined
  readonly profile?: string | undefined
  readonly region?: string | undefined
  /** Refresh when less than this is left. 5 min unless given. */
  readonly refreshBeforeMs?: number
  /** Longest wait for the provider. 10 s unless given. */
  readonly timeoutMs?: number
  /** First and longest wait after a failure. 1 s and 30 s unless given. */
  readonly backoffMinMs?: number
  readonly backoffMaxMs?: number
  /** Least time between two forced refreshes: a service that refuses every stream must not flood AWS STS. 5 s. */
  readonly forceSpacingMs?: number
  /** 0 ≤ x < 1. */
  readonly random?: () => number
}

const TICK_MS = 1000
/** Least and most time between refreshes when the provider has nothing better than credentials about to end. */
const SPACING_MIN_MS = 1000
const SPACING_MAX_MS = 60_000

export function createCredentialSource(options: CredentialSourceOptions): CredentialSource {
  return new RefreshingCredentials(options)
}

/** Fixed keys: tests, development, an emulator. */
export function createStaticCredentials(credentials: AwsCredentials, clock: Clock): CredentialSource {
  return new RefreshingCredentials({ clock, provider: async () => credentials })
}

class RefreshingCredentials implements CredentialSource {
  readonly figures = { refreshesOk: 0, refreshesFailed: 0, expiresAtMs: null as number | null }
  readonly #clock: Clock
  readonly #createProvider: () => CredentialProvider
  readonly #refreshBeforeMs: number
  readonly #timeoutMs: number
  readonly #backoffMinMs: number
  readonly #backoffMaxMs: number
  readonly #forceSpacingMs: number
  readonly #random: () => number
  #provider: CredentialProvider
  #cached: AwsCredentials | null = null
  #refreshing: Promise<AwsCredentials> | null = null
  #failures = 0
  #lastError: RelayError | null = null
  #failure: CredentialFailure | null = null
  /** Monotonic; no refresh before. Set by a failure, binds everybody. */
  #backoffUntilMs = -Infinity
  /** Monotonic; no refresh before. Set by a success that brought little, does not bind who was refused. */
  #spacedUntilMs = -Infinity
  #forcedAtMs = -Infinity
  #ticker: Timer | null = null

  constructor(options: CredentialSourceOptions) {
    const { clock, provider, profile, region } = options
    this.#clock = clock
    this.#createProvider = provider ? () => provider : () => createCredentialChain({ profile, region })
    this.#provider = this.#createProvider()
    this.#refreshBeforeMs = options.refreshBeforeMs ?? 5 * 60_000
    this.#timeoutMs = options.timeoutMs ?? 10_000
    this.#backoffMinMs = options.backoffMinMs ?? 1000
    this.#backoffMaxMs = options.backoffMaxMs ?? 30_000
    this.#forceSpacingMs = options.forceSpacingMs ?? 5000
    this.#random = options.random ?? Math.random
  }

  async get({ minRemainingMs = 0, force = false }: CredentialRequest = {}): Promise<AwsCredentials> {
    const cached = this.#cached
    const remainingMs = this.#remainingMs()
    if (force && (this.#refreshing !== null || this.#takeForce())) return this.#refreshOrCached()
    if (cached !== null && remainingMs > minRemainingMs) {
      if (remainingMs <= this.#refreshBeforeMs) this.#refreshInBackground()
      return cached
    }
    if (cached !== null && remainingMs > 0 && this.#isSpaced()) return cached
    return this.#refreshOrCached()
  }

  readiness(): CredentialReadiness {
    if (this.#remainingMs() > 0) return { ready: true, reason: null }
    const lapsed = this.#cached === null ? 'credentials_pending' : 'credentials_expired'
    return { ready: false, reason: this.#failure ?? lapsed }
  }

  start(): void {
    if (this.#ticker !== null) return
    this.#ticker = this.#clock.setTicker(TICK_MS, () => this.#tick())
    this.#refreshInBackground()
  }

  close(): void {
    this.#ticker?.cancel()
    this.#ticker = null
  }

  #tick(): void {
    if (this.#remainingMs() <= this.#refreshBeforeMs) this.#refreshInBackground()
  }

  /** Wall clock: expiry is a date. Below zero without credentials, infinite for those that never end. */
  #remainingMs(): number {
    if (this.#cached === null) return -Infinity
    return (expiryOf(this.#cached) ?? Infinity) - this.#clock.now()
  }

  #isSpaced(): boolean {
    return this.#clock.monotonicMs() < this.#spacedUntilMs
  }

  #takeForce(): boolean {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#forcedAtMs < this.#forceSpacingMs) return false
    this.#forcedAtMs = nowMs
    return true
  }

  async #refreshOrCached(): Promise<AwsCredentials> {
    try {
      return await this.#refresh()
    } catch (error) {
      if (this.#cached !== null && this.#remainingMs() > 0) return this.#cached
      throw error
    }
  }

  #refreshInBackground(): void {
    if (this.#isSpaced() && this.#remainingMs() > 0) return
    // The failure is kept for `readiness()` and the figures by the refresh itself.
    this.#refresh().catch(() => undefined)
  }

  async #refresh(): Promise<AwsCredentials> {
    if (this.#refreshing !== null) return this.#refreshing
    if (this.#lastError !== null && this.#clock.monotonicMs() < this.#backoffUntilMs) throw this.#lastError
    this.#refreshing = this.#runRefresh()
    try {
      return await this.#refreshing
    } finally {
      this.#refreshing = null
    }
  }

  async #runRefresh(): Promise<AwsCredentials> {
    try {
      return this.#accept(await this.#callProvider())
    } catch (error) {
      throw this.#noteFailure(error)
    }
  }

  /** The provider's answer within the time-out. A late one is dropped, and the next call gets a new chain. */
  #callProvider(): Promise<AwsCredentials> {
    const provider = this.#provider
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#timeoutMs, () => {
        // The chain of the SDK shares one call among its callers: who asks it again would wait for the same hang.
        this.#provider = this.#createProvider()
        reject(new ProviderTimeout())
      })
      callSafely(provider)
        .then(resolve, reject)
        .finally(() => timer.cancel())
    })
  }

  #accept(given: AwsCredentials): AwsCredentials {
    const problem = findCredentialProblem(given)
    if (problem !== null) throw new UnusableCredentials('credentials_invalid', problem)
    const { accessKeyId, secretAccessKey, sessionToken, expiration } = given
    const own: AwsCredentials = { accessKeyId, secretAccessKey, sessionToken, expiration }
    const credentials = Object.freeze(printedAs(own, 'AwsCredentials(…redacted)'))
    const expiresAtMs = expiryOf(credentials)
    if (Number.isNaN(expiresAtMs))
      throw new UnusableCredentials('credentials_invalid', 'expiration_unreadable')
    const remainingMs = (expiresAtMs ?? Infinity) - this.#clock.now()
    if (remainingMs <= 0) throw new UnusableCredentials('credentials_expired', '')
    this.#cached = credentials
    this.#failures = 0
    this.#failure = null
    this.#lastError = null
    this.#backoffUntilMs = -Infinity
    this.#spacedUntilMs = this.#clock.monotonicMs() + spacingFor(remainingMs, this.#refreshBeforeMs)
    this.figures.refreshesOk += 1
    this.figures.expiresAtMs = expiresAtMs
    return credentials
  }

  #noteFailure(error: unknown): RelayError {
    this.#failures += 1
    this.figures.refreshesFailed += 1
    const ceilingMs = Math.min(this.#backoffMaxMs, this.#backoffMinMs * 2 ** (this.#failures - 1))
    this.#backoffUntilMs = this.#clock.monotonicMs() + (ceilingMs * (1 + this.#random())) / 2
    this.#failure = error instanceof UnusableCredentials ? error.failure : 'credentials_missing'
    const about = error instanceof UnusableCredentials ? error.message : describeSafely(error)
    this.#lastError = new RelayError('not_ready', {
      detail: about === '' ? this.#failure : `${this.#failure}: ${about}`,
    })
    return this.#lastError
  }
}

/** Why what the provider gave, or did not give, is of no use. `message` holds no secret. */
class UnusableCredentials extends Error {
  readonly failure: CredentialFailure

  constructor(failure: CredentialFailure, about: string) {
    super(about)
    this.failure = failure
  }
}

class ProviderTimeout extends UnusableCredentials {
  constructor() {
    super('credentials_timeout', 'the provider did not answer in time')
  }
}

/** A provider may throw before it returns its promise. */
async function callSafely(provider: CredentialProvider): Promise<AwsCredentials> {
  return provider({ forceRefresh: true })
}

/** No wait after good credentials; after ones about to end, a quarter of what is left, within bounds. */
function spacingFor(remainingMs: number, refreshBeforeMs: number): number {
  if (remainingMs > refreshBeforeMs) return 0
  return Math.min(remainingMs, SPACING_MAX_MS, Math.max(SPACING_MIN_MS, remainingMs / 4))
}

const MAX_SAFE_WORDS = 12

/**
 * What can be said of a provider's error: its name, and the words of its message up to the first thing that is no
 * plain word. A message may quote a command's output, a URL or a file: keys do not look like words.
 */
export function describeSafely(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  const name = /^\w{1,40}$/.test(error.name) ? error.name : 'Error'
  const words: string[] = []
  for (const word of error.message.split(/\s+/, MAX_SAFE_WORDS)) {
    if (!/^[A-Za-z'-]{1,16}[.,:;]?$/.test(word)) break
    words.push(word)
  }
  return words.length === 0 ? name : `${name}: ${words.join(' ')}`
}
