/**
 * JWTs of an identity provider (RFC 7519), checked as RFC 8725 asks: the algorithms are ours and never the token's choice,
 * issuer, audience, type, expiry and subject have to be there and right.
 */
import type { JWTVerifyOptions } from 'jose'
import { errors, jwtVerify } from 'jose'
import type { Clock } from '../../clock.ts'
import { RelayError } from '../../errors.ts'
import type { Grants } from './grants.ts'
import { grantsSchema, NO_GRANTS_LIMIT, toGrants } from './grants.ts'
import type { FindKey } from './jwk-set.ts'
import type { Principal } from './principal.ts'
import { PRINCIPAL_NAME_PATTERN } from './principal.ts'

export interface JwtOptions {
  readonly issuer: string
  readonly audience: string
  readonly algorithms: readonly string[]
  /** `typ` of the header: an ID token must not pass for an access token (RFC 8725 §3.11). */
  readonly type: string
  readonly leewaySeconds: number
  /** Where the grants stand. A token without it has none of the limits. */
  readonly grantsClaim: string
}

/** Whether a token may be a JWT: three parts in base64url, the first a JSON object. */
export function looksLikeJwt(token: string): boolean {
  return /^eyJ[\w-]*\.[\w-]*\.[\w-]*$/.test(token)
}

export class JwtVerifier {
  readonly #findKey: FindKey
  readonly #options: JwtOptions
  readonly #clock: Clock

  constructor(findKey: FindKey, options: JwtOptions, clock: Clock) {
    this.#findKey = findKey
    this.#options = options
    this.#clock = clock
  }

  /** @throws RelayError `token_invalid`, `token_expired`, `auth_unavailable` */
  async verify(token: string): Promise<Principal> {
    const { algorithms, audience, grantsClaim, issuer, leewaySeconds, type } = this.#options
    const payload = await verifyToken(token, this.#findKey, {
      algorithms: [...algorithms],
      audience,
      issuer,
      typ: type,
      clockTolerance: leewaySeconds,
      currentDate: new Date(this.#clock.now()),
      requiredClaims: ['exp', 'sub'],
    })
    return {
      name: nameOf(payload.sub),
      method: 'jwt',
      grants: readGrants(payload[grantsClaim]),
      expiresAtMs: (payload.exp ?? 0) * 1000,
    }
  }
}

/** Verifies and reduces every failure to an error of the catalogue, with no part of the token in it. */
export async function verifyToken(token: string, key: FindKey | Uint8Array, options: JWTVerifyOptions) {
  try {
    // Two overloads of one function; each call takes one.
    const { payload } =
      typeof key === 'function' ? await jwtVerify(token, key, options) : await jwtVerify(token, key, options)
    return payload
  } catch (error) {
    throw asRelayError(error)
  }
}

function asRelayError(error: unknown): RelayError {
  if (error instanceof RelayError) return error
  if (error instanceof errors.JWTExpired && error.claim === 'exp') return new RelayError('token_expired')
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new RelayError('token_invalid', { detail: `claim ${error.claim}` })
  }
  // What `jose` finds, and what the platform says of a key that is not of its algorithm.
  const detail = error instanceof errors.JOSEError ? error.code : 'not verifiable'
  return new RelayError('token_invalid', { detail })
}

function nameOf(subject: string | undefined): string {
  if (subject !== undefined && PRINCIPAL_NAME_PATTERN.test(subject)) return subject
  throw new RelayError('token_invalid', { detail: 'claim sub' })
}

/** A claim that cannot be read is no grant of everything. */
export function readGrants(claim: unknown): Grants {
  if (claim === undefined) return NO_GRANTS_LIMIT
  const result = grantsSchema.safeParse(claim)
  if (result.success) return toGrants(result.data)
  throw new RelayError('token_invalid', { detail: 'claim of grants' })
}
