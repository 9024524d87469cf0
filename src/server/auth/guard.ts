/**
 * The guard of the client port: every check of who comes in, in one order, from the parts beside it.
 *
 *     screen        origin, handshakes per second          before anything of the request is believed
 *     authenticate  where the token stands, whose it is    an API key without waiting, a JWT by its signature
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
import type { ApiKey } from './api-keys.ts'
import { KeyRing, MAX_KEYS_FILE_BYTES, parseKeysFile, parseKeyWord } from './api-keys.ts'
import type { IssuedToken, SharedUsedTokens, TokenClaim } from './client-tokens.ts'
import { ClientTokens, MAX_SECRET_FILE_BYTES } from './client-tokens.ts'
import {
  narrowGrants,
  NO_GRANTS_LIMIT,
  refusalOfRegions,
  refusalOfResume,
  refusalOfStream,
} from './grants.ts'
import type { JwtVerifier } from './jwt.ts'
import { looksLikeJwt } from './jwt.ts'
import type { GuardPart } from './jwt-setup.ts'
import { createJwtParts } from './jwt-setup.ts'
import type { AccessLog, AccessOptions } from './options.ts'
import { OriginList } from './origins.ts'
import type { AdmittedClient, ClientGuard, Principal } from './principal.ts'
import { RevokedEnds, TokenExpiry } from './expiry.ts'
import { ownerOf } from './principal.ts'
import { RateLimit } from './rate-limit.ts'
import { checkToken, readToken, withoutToken } from './token-place.ts'
import type { UsedSession } from './usage.ts'
import { dayUsedUp, UsageLedger } from './usage.ts'
import { WatchedFile } from './watched-file.ts'

export interface GuardDependencies {
  readonly clock: Clock
  readonly log: AccessLog
  /** Where sessions can go. */
  readonly regions: readonly string[]
  readonly usedTokens: SharedUsedTokens | null
}

/** Fresh tokens of one session: so many at once, then one in ten seconds. Each costs a signature. */
const RENEWALS = { burst: 5, perSecond: 0.1 } as const

const ANYBODY: Principal = Object.freeze({ name: null, method: 'none', grants: NO_GRANTS_LIMIT })

export class AccessGuard implements ClientGuard {
  readonly #options: AccessOptions
  readonly #deps: GuardDependencies
  readonly #origins: OriginList
  readonly #addresses: AddressLimits
  readonly #ledger: UsageLedger
  readonly #revokedEnds = new RevokedEnds()
  readonly #isOpen: boolean
  readonly #takesTokens: boolean
  /** What has to be read before clients come, and ended with the relay. */
  readonly #parts: GuardPart[] = []
  readonly #jwt: JwtVerifier | null
  readonly #tokens: ClientTokens | null
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
    if (options.auth.includes('keys')) this.#watchKeys()
    this.#jwt = options.auth.includes('jwt') ? this.#createVerifier() : null
    this.#tokens = options.auth.includes('tokens') ? this.#createTokens() : null
  }

  /** Loads what it needs to know. @throws AuthFileError */
  async start(): Promise<void> {
    for (const part of this.#parts) await part.start()
  }

  close(): void {
    for (const part of this.#parts) part.close()
  }

  screen(handshake: Handshake): void {
    this.#addresses.knock(handshake.remoteAddress)
    this.#origins.check(handshake.headers.get('origin'))
  }

  authenticate(handshake: Handshake): Promise<Principal> | Principal {
    if (!this.#takesTokens) return ANYBODY
    const token = readToken(handshake, this.#options.tokenInQuery)
    if (token !== null) return this.#principalOf(token)
    if (this.#isOpen) return ANYBODY
    throw new RelayError('token_missing')
  }

  admit(
    principal: Principal,
    handshake: Handshake,
    query: StreamQuery,
  ): Promise<AdmittedClient> | AdmittedClient {
    const { grants } = principal
    const refusal =
      (query.resume ? refusalOfResume(grants) : null) ??
      this.#refusalOf(grants, query.kind === 'ready' ? query.stream : null)
    if (refusal !== null) throw refusal
    // The file may have been read again since it was known who it is.
    if (principal.standing?.isRevoked === true) throw keyIsGone()
    if (principal.token !== undefined) this.#tokens?.checkUnused(principal.token)
    const leave = this.#addresses.enter(handshake.remoteAddress)
    return this.#useUp(principal, this.#enter(principal, leave))
  }

  streamQuery({ query }: Handshake): string {
    return this.#takesTokens && this.#options.tokenInQuery ? withoutToken(query) : query
  }

  get issuesTokens(): boolean {
    return this.#tokens !== null
  }

  async issueToken(handshake: Handshake, body: string): Promise<IssuedToken> {
    if (this.#tokens === null) throw new RelayError('not_found')
    return this.#tokens.issue(this.#keyOf(handshake), body)
  }

  #keyOf(handshake: Handshake): ApiKey {
    const token = readToken(handshake, false)
    if (token === null) throw new RelayError('token_missing')
    const key = this.#keys.find(token)
    if (key === null) throw new RelayError('token_invalid', { detail: 'no such key' })
    return key
  }

  #principalOf(token: string): Promise<Principal> | Principal {
    const key = this.#keys.find(token)
    if (key !== null) {
      return { name: key.name, method: 'key', grants: key.grants, standing: key.standing }
    }
    if (this.#tokens?.isOurs(token) === true) return this.#tokenPrincipal(this.#tokens, token)
    if (this.#jwt !== null && looksLikeJwt(token)) return this.#jwt.verify(token)
    throw new RelayError('token_invalid', { detail: 'no such key' })
  }

  /** A key that is gone takes its tokens with it. */
  async #tokenPrincipal(tokens: ClientTokens, text: string): Promise<Principal> {
    const token = await tokens.verify(text)
    const key = this.#keys.named(token.keyName).find(named => token.isGivenFor(named))
    if (key === undefined) throw keyIsGone()
    const grants = narrowGrants(key.grants, token.grants)
    return { name: key.name, method: 'token', grants, token, standing: key.standing }
  }

  /** `stream`: `null` where it is not known yet. */
  #refusalOf(grants: Principal['grants'], stream: StreamRequest | null): RelayError | null {
    const refusal = refusalOfRegions(grants, stream?.regions ?? this.#deps.regions)
    return refusal ?? (stream === null ? null : refusalOfStream(grants, stream))
  }

  #useUp({ token }: Principal, client: AdmittedClient): Promise<AdmittedClient> | AdmittedClient {
    if (token === undefined) return client
    try {
      const using = this.#tokens?.use(token)
      return using === undefined ? client : enterAfter(using, client)
    } catch (error) {
      client.release()
      throw error
    }
  }

  #enter(who: Principal, leave: () => void): AdmittedClient {
    const { grants, method, name } = who
    const { clock } = this.#deps
    const expiry = new TokenExpiry(this.#options, clock, who, this.#revokedEnds)
    const renewals = new RateLimit(RENEWALS.perSecond, clock.monotonicMs(), RENEWALS.burst)
    const used = this.#startUsage({ grants, method, name }, leave)
    const release = () => {
      leave()
      used?.release()
    }
    const startedMs = clock.monotonicMs()
    return Object.freeze({
      principal: name,
      method,
      regions: grants.regions,
      refusalOf: (stream: StreamRequest) => this.#refusalOf(grants, stream),
      endOf: (nowMs: number) => expiry.endOf(nowMs) ?? this.#endOf(grants, used, nowMs - startedMs, nowMs),
      takeWarning: () => (expiry.takeWarning() ? ('token_expiring' as const) : null),
      renew: async (token: string) => {
        if (renewals.take(clock.monotonicMs()) > 0) throw new RelayError('rate_limited')
        return this.#renew(who, token, expiry)
      },
      release,
      cancel: async () => release(),
    })
  }

  /** What the client may do stays what it was at the start. */
  async #renew(before: Principal, text: string, expiry: TokenExpiry): Promise<number | null> {
    if (!this.#takesTokens) return null
    const fresh = await this.#principalOf(checkToken(text))
    if (ownerOf(fresh) !== ownerOf(before)) {
      throw new RelayError('forbidden', {
        message: 'The fresh token is not of the client that began the session.',
      })
    }
    if (fresh.token !== undefined) {
      this.#tokens?.checkUnused(fresh.token)
      await this.#tokens?.use(fresh.token)
    }
    return expiry.renew(fresh)
  }

  /** The tokens of a key count with the key. `leave` is called where there is no room. */
  #startUsage({ grants, method, name }: Principal, leave: () => void): UsedSession | null {
    const owner = ownerOf({ method, name })
    if (owner === null) return null
    try {
      return this.#ledger.start(owner, grants)
    } catch (error) {
      leave()
      throw error
    }
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

  #createVerifier(): JwtVerifier {
    const { verifier, part } = createJwtParts(this.#options, this.#deps.clock, this.#deps.log)
    this.#parts.push(part)
    return verifier
  }

  #createTokens(): ClientTokens {
    const { tokenMaxSeconds, tokenSecretFile } = this.#options
    const { clock, log } = this.#deps
    const tokens = new ClientTokens(clock, tokenMaxSeconds, undefined, this.#deps.usedTokens)
    if (tokenSecretFile === null) return tokens
    const file = new WatchedFile({
      path: tokenSecretFile,
      maxBytes: MAX_SECRET_FILE_BYTES,
      clock,
      onContent: (text, name) => tokens.setSecret(text, name),
      onReload: name => log.fileOnReload(name, 1),
      onFailure: (name, error) => log.fileOnFailure(name, error),
    })
    this.#parts.push(file)
    return tokens
  }

  #watchKeys(): void {
    const { apiKeys, apiKeysFile } = this.#options
    const { clock, log } = this.#deps
    if (apiKeysFile === null) return
    const fixed = apiKeys.map(parseKeyWord)
    let revoked: readonly string[] = []
    const file = new WatchedFile({
      path: apiKeysFile,
      maxBytes: MAX_KEYS_FILE_BYTES,
      clock,
      onContent: (text, name) => {
        const before = this.#keys
        this.#keys = new KeyRing([...fixed, ...parseKeysFile(text, name)], before)
        revoked = before.revokeMissing(this.#keys)
      },
      onReload: name => {
        log.fileOnReload(name, this.#keys.size)
        if (revoked.length > 0) log.keysOnRevoke(revoked)
      },
      onFailure: (name, error) => log.fileOnFailure(name, error),
    })
    this.#parts.push(file)
  }
}

function keyIsGone(): RelayError {
  return new RelayError('token_invalid', { detail: 'its key is gone' })
}

async function enterAfter(using: Promise<TokenClaim>, client: AdmittedClient): Promise<AdmittedClient> {
  try {
    const claim = await using
    return Object.freeze({
      ...client,
      cancel: async () => {
        client.release()
        await claim.giveBack()
      },
    })
  } catch (error) {
    client.release()
    throw error
  }
}
