/**
 * The guard of the client port: every check of who comes in, in one order, from the parts beside it.
 *
 *     screen        origin, handshakes per second          before anything of the request is believed
 *     authenticate  where the token stands, whose it is    an API key without waiting
 *     admit         grants, sessions, minutes              when everything else was in order
 *
 * A request without a token is `token_missing`; one with a token is never let in without it being valid. Why a token is
 * not valid is told to the log alone.
 */
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { StreamQuery, StreamRequest } from '../../protocol/stream-request.ts'
import type { Handshake } from '../handshake.ts'
import { AddressLimits } from './address-limits.ts'
import { KeyRing, MAX_KEYS_FILE_BYTES, parseKeysFile, parseKeyWord } from './api-keys.ts'
import { NO_GRANTS_LIMIT, refusalOfRegion, refusalOfStream } from './grants.ts'
import type { AccessLog, AccessOptions } from './options.ts'
import { OriginList } from './origins.ts'
import type { AdmittedClient, ClientGuard, Principal } from './principal.ts'
import { readToken, withoutToken } from './token-place.ts'
import type { UsedSession } from './usage.ts'
import { dayUsedUp, UsageLedger } from './usage.ts'
import { WatchedFile } from './watched-file.ts'

export interface GuardDependencies {
  readonly clock: Clock
  readonly log: AccessLog
  /** Where every session goes. */
  readonly region: string
}

const ANYBODY: Principal = Object.freeze({ name: null, method: 'none', grants: NO_GRANTS_LIMIT })

export class AccessGuard implements ClientGuard {
  readonly #options: AccessOptions
  readonly #deps: GuardDependencies
  readonly #origins: OriginList
  readonly #addresses: AddressLimits
  readonly #ledger: UsageLedger
  readonly #isOpen: boolean
  readonly #takesTokens: boolean
  readonly #keysFile: WatchedFile | null
  #keys: KeyRing

  constructor(options: AccessOptions, deps: GuardDependencies) {
    this.#options = options
    this.#deps = deps
    this.#origins = new OriginList(options)
    this.#addresses = new AddressLimits(options, deps.clock)
    this.#ledger = new UsageLedger(deps.clock)
    this.#isOpen = options.auth.includes('none')
    this.#takesTokens = options.auth.some(mode => mode !== 'none')
    this.#keys = new KeyRing(options.apiKeys.map(parseKeyWord))
    this.#keysFile = options.auth.includes('keys') ? this.#watchKeys() : null
  }

  /** Loads what it needs to know. @throws AuthFileError */
  async start(): Promise<void> {
    await this.#keysFile?.start()
  }

  close(): void {
    this.#keysFile?.close()
  }

  screen(handshake: Handshake): void {
    this.#addresses.knock(handshake.remoteAddress)
    this.#origins.check(handshake.headers.get('origin'))
  }

  authenticate(handshake: Handshake): Principal {
    if (!this.#takesTokens) return ANYBODY
    const token = readToken(handshake, this.#options.tokenInQuery)
    if (token !== null) return this.#principalOf(token)
    if (this.#isOpen) return ANYBODY
    throw new RelayError('token_missing')
  }

  admit(principal: Principal, handshake: Handshake, query: StreamQuery): AdmittedClient {
    const { grants } = principal
    const refusal =
      refusalOfRegion(grants, this.#deps.region) ??
      (query.kind === 'ready' ? refusalOfStream(grants, query.stream) : null)
    if (refusal !== null) throw refusal
    const leave = this.#addresses.enter(handshake.remoteAddress)
    try {
      return this.#enter(principal, leave)
    } catch (error) {
      leave()
      throw error
    }
  }

  streamQuery({ query }: Handshake): string {
    return this.#takesTokens && this.#options.tokenInQuery ? withoutToken(query) : query
  }

  #principalOf(token: string): Principal {
    const key = this.#keys.find(token)
    if (key === null) throw new RelayError('token_invalid', { detail: 'no such key' })
    return { name: key.name, method: 'key', grants: key.grants }
  }

  #enter({ grants, method, name }: Principal, leave: () => void): AdmittedClient {
    const { clock } = this.#deps
    const used = name === null ? null : this.#ledger.start(`${method}:${name}`, grants)
    const startedMs = clock.monotonicMs()
    return Object.freeze({
      principal: name,
      method,
      refusalOf: (stream: StreamRequest) => refusalOfStream(grants, stream),
      endOf: (nowMs: number) => this.#endOf(grants, used, nowMs - startedMs, nowMs),
      release: () => {
        leave()
        used?.release()
      },
    })
  }

  #endOf(
    { minutesPerDay, sessionSeconds }: Principal['grants'],
    used: UsedSession | null,
    ageMs: number,
    nowMs: number,
  ): RelayError | null {
    if (sessionSeconds !== null && ageMs >= sessionSeconds * 1000) return new RelayError('session_expired')
    if (minutesPerDay === null || used?.isDayUsedUp(nowMs) !== true) return null
    return dayUsedUp(minutesPerDay, this.#deps.clock.now())
  }

  #watchKeys(): WatchedFile | null {
    const { apiKeys, apiKeysFile } = this.#options
    const { clock, log } = this.#deps
    if (apiKeysFile === null) return null
    const fixed = apiKeys.map(parseKeyWord)
    return new WatchedFile({
      path: apiKeysFile,
      maxBytes: MAX_KEYS_FILE_BYTES,
      clock,
      onContent: (text, name) => {
        this.#keys = new KeyRing([...fixed, ...parseKeysFile(text, name)])
      },
      onReload: name => log.fileOnReload(name, this.#keys.size),
      onFailure: (name, error) => log.fileOnFailure(name, error),
    })
  }
}
