/**
 * Short-lived tokens that this relay gives out itself: a server with an API key asks for one and hands it to a browser.
 *
 * JWTs with a secret of the relay (HS256) and a type of their own, so that neither kind passes for the other. A token says
 * which key it was given for; what it may do is what that key may do now, narrowed by what was asked for. A token is used
 * once.
 */
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import { decodeProtectedHeader, SignJWT } from 'jose'
import { z } from 'zod'
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { KeyEntry } from './api-keys.ts'
import type { Grants } from './grants.ts'
import { grantsSchema } from './grants.ts'
import { looksLikeJwt, readGrants, verifyToken } from './jwt.ts'
import { AuthFileError } from './watched-file.ts'

const TOKEN_TYPE = 'transcribe-relay-client+jwt'
const SELF = 'transcribe-relay'
const ALGORITHM = 'HS256'
const SECRET_BYTES = 32
/** Which of the keys of a name it was: a mark that tells who holds the token nothing about the key. */
const KEY_CLAIM = 'key'
const MARK_BYTES = 16
/** All headers of a handshake have 4 KiB together (the native parser), and a browser adds some of its own. */
const MAX_TOKEN_CHARS = 3000
export const MAX_SECRET_FILE_BYTES = 4096
const DEFAULT_LIFETIME_SECONDS = 60
/** Used tokens that are remembered until they expire. */
const MAX_USED_TOKENS = 200_000

const requestSchema = z.strictObject({
  expires_in_seconds: z.int().min(1).optional(),
  single_use: z.boolean().optional(),
  grants: grantsSchema.optional(),
})

export interface IssuedToken {
  readonly token: string
  /** RFC 3339 */
  readonly expires_at: string
  readonly expires_in_seconds: number
}

/** What a token says, once it is verified. */
export interface ClientToken {
  /** Name of the API key that it was given for. */
  readonly keyName: string
  /** Whether it was this one of that name. */
  isGivenFor(key: Pick<KeyEntry, 'digest'>): boolean
  readonly grants: Grants
  /** `null`: may be used again. */
  readonly singleUseId: string | null
  readonly expiresAtMs: number
}

/** The first use of a token. */
export interface TokenClaim {
  /** The token was not used after all. Does not reject: where it cannot be given back, it stays used. */
  giveBack(): Promise<void>
}

/** What relays remember together. Matched by shape: `redis/` implements it. */
export interface SharedUsedTokens {
  /** `null` where it was used before. Rejects with a `RelayError` where that cannot be known. */
  claim(id: string, expiresAtMs: number): Promise<TokenClaim | null>
}

export class ClientTokens {
  readonly #clock: Clock
  readonly #maxLifetimeSeconds: number
  /** The one in force first, then the one before it. */
  #secrets: readonly Uint8Array[] = [randomBytes(SECRET_BYTES)]
  readonly #used: UsedTokens
  readonly #shared: SharedUsedTokens | null

  /** `shared`: in place of the memory of this process. */
  constructor(
    clock: Clock,
    maxLifetimeSeconds: number,
    maxUsedTokens = MAX_USED_TOKENS,
    shared: SharedUsedTokens | null = null,
  ) {
    this.#clock = clock
    this.#shared = shared
    this.#maxLifetimeSeconds = maxLifetimeSeconds
    this.#used = new UsedTokens(maxUsedTokens)
  }

  /** Tokens of the secret before stay good until they expire. @throws AuthFileError */
  setSecret(text: string, name: string): void {
    const secret = Buffer.from(text.trim())
    if (secret.length < SECRET_BYTES)
      throw new AuthFileError(name, `must hold at least ${SECRET_BYTES} bytes`)
    this.#secrets = [secret, ...this.#secrets.slice(0, 1)]
  }

  /** Whether it says that it is one of ours. Nothing is verified yet. */
  isOurs(token: string): boolean {
    if (!looksLikeJwt(token)) return false
    try {
      return decodeProtectedHeader(token).typ === TOKEN_TYPE
    } catch {
      return false
    }
  }

  /** `body`: JSON, empty for a token that may do what the key may. @throws RelayError `invalid_request` */
  async issue({ digest, name }: Pick<KeyEntry, 'digest' | 'name'>, body: string): Promise<IssuedToken> {
    const { expires_in_seconds: lifetime = this.#defaultLifetime(), grants, single_use } = readRequest(body)
    if (lifetime > this.#maxLifetimeSeconds) {
      throw new RelayError('invalid_request', {
        message: `expires_in_seconds must be at most ${this.#maxLifetimeSeconds}, got ${lifetime}.`,
      })
    }
    const nowSeconds = Math.floor(this.#clock.now() / 1000)
    const [secret = new Uint8Array()] = this.#secrets
    const token = await new SignJWT({
      [KEY_CLAIM]: markOf(digest, secret),
      ...(grants === undefined ? {} : { grants }),
      ...(single_use === false ? { single_use } : {}),
    })
      .setProtectedHeader({ alg: ALGORITHM, typ: TOKEN_TYPE })
      .setIssuer(SELF)
      .setAudience(SELF)
      .setSubject(name)
      .setJti(randomUUID())
      .setIssuedAt(nowSeconds)
      .setExpirationTime(nowSeconds + lifetime)
      .sign(secret)
    if (token.length > MAX_TOKEN_CHARS) {
      throw new RelayError('invalid_request', {
        message: `The token must have at most ${MAX_TOKEN_CHARS} characters, got ${token.length}: ask for shorter grants.`,
      })
    }
    const expiresAt = new Date((nowSeconds + lifetime) * 1000).toISOString()
    return { token, expires_at: expiresAt, expires_in_seconds: lifetime }
  }

  /** @throws RelayError `token_invalid`, `token_expired` */
  async verify(token: string): Promise<ClientToken> {
    const { payload, secret } = await this.#verifyWithAny(token)
    const { exp = 0, jti = '', sub: keyName = '' } = payload
    return {
      keyName,
      isGivenFor: ({ digest }) => payload[KEY_CLAIM] === markOf(digest, secret),
      grants: readGrants(payload['grants']),
      singleUseId: payload['single_use'] === false ? null : jti,
      expiresAtMs: exp * 1000,
    }
  }

  /**
   * Marks it as used. With a promise where relays remember together: until that is fulfilled anything may happen to who
   * shows it, so that use can be given back. @throws RelayError `token_invalid` where it was used before,
   * `auth_unavailable` where nobody can tell.
   */
  use({ expiresAtMs, singleUseId }: ClientToken): Promise<TokenClaim> | undefined {
    if (singleUseId === null) return undefined
    if (this.#shared !== null) return claimOnce(this.#shared, singleUseId, expiresAtMs)
    this.#used.add(singleUseId, expiresAtMs, this.#clock.now())
    return undefined
  }

  /** @throws RelayError `token_invalid` where it was used before. */
  checkUnused({ singleUseId }: ClientToken): void {
    if (singleUseId !== null && this.#used.has(singleUseId)) throw usedBefore()
  }

  async #verifyWithAny(token: string) {
    const options = {
      algorithms: [ALGORITHM],
      audience: SELF,
      issuer: SELF,
      typ: TOKEN_TYPE,
      currentDate: new Date(this.#clock.now()),
      requiredClaims: ['exp', 'sub', 'jti', KEY_CLAIM],
    }
    const [current = new Uint8Array(), previous] = this.#secrets
    try {
      return { payload: await verifyToken(token, current, options), secret: current }
    } catch (error) {
      const isForeign = error instanceof RelayError && error.code === 'token_invalid'
      if (!isForeign || previous === undefined) throw error
      return { payload: await verifyToken(token, previous, options), secret: previous }
    }
  }

  #defaultLifetime(): number {
    return Math.min(DEFAULT_LIFETIME_SECONDS, this.#maxLifetimeSeconds)
  }
}

/** Identifiers until their tokens expire. A full table refuses rather than forgets: a token must not be used twice. */
class UsedTokens {
  readonly #expiryById = new Map<string, number>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  has(id: string): boolean {
    return this.#expiryById.has(id)
  }

  add(id: string, expiresAtMs: number, nowMs: number): void {
    this.#forgetExpired(nowMs)
    if (this.#expiryById.size >= this.#max) throw new RelayError('auth_unavailable')
    this.#expiryById.set(id, expiresAtMs)
  }

  /** A few of the oldest at every use, all of them when the table is full. */
  #forgetExpired(nowMs: number): void {
    const isFull = this.#expiryById.size >= this.#max
    let looked = 0
    for (const [id, expiresAtMs] of this.#expiryById) {
      if (expiresAtMs < nowMs) this.#expiryById.delete(id)
      looked += 1
      if (!isFull && looked >= 4) return
    }
  }
}

function markOf(digest: Buffer, secret: Uint8Array): string {
  return createHmac('sha256', secret).update(digest).digest().subarray(0, MARK_BYTES).toString('base64url')
}

async function claimOnce(shared: SharedUsedTokens, id: string, expiresAtMs: number): Promise<TokenClaim> {
  const claim = await shared.claim(id, expiresAtMs)
  if (claim === null) throw usedBefore()
  return claim
}

function usedBefore(): RelayError {
  return new RelayError('token_invalid', { detail: 'used before' })
}

function readRequest(body: string): z.infer<typeof requestSchema> {
  const result = requestSchema.safeParse(body.trim() === '' ? {} : parseBody(body))
  if (result.success) return result.data
  const [issue] = result.error.issues
  const member = (issue?.path ?? []).join('.')
  const rule = issue?.code === 'unrecognized_keys' ? 'has a member that is not known' : issue?.message
  throw new RelayError('invalid_request', {
    message: `${member === '' ? 'The body' : member} is not valid: ${rule ?? ''}.`,
  })
}

function parseBody(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    throw new RelayError('invalid_request', { message: 'The body must be a JSON object.' })
  }
}
