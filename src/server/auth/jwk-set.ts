/**
 * Sets of keys that sign JWTs (RFC 7517): read, checked, and turned into what `jose` asks for a key.
 */
import type { CryptoKey, FlattenedJWSInput, JSONWebKeySet, JWTHeaderParameters } from 'jose'
import { createLocalJWKSet, errors } from 'jose'
import { z } from 'zod'
import { parseJson, problemOf } from './api-keys.ts'
import { AuthFileError } from './watched-file.ts'

export const MAX_KEY_SET_BYTES = 256 * 1024
const MAX_SIGNING_KEYS = 100
/** An HMAC key shorter than its hash can be guessed (RFC 7518 §3.2). */
const MIN_SECRET_BYTES = 32

/** Finds the key of a token by its header. Rejects with an error of `jose` where there is none. */
export type FindKey = (
  header: JWTHeaderParameters,
  token: FlattenedJWSInput,
) => Promise<CryptoKey | Uint8Array>

export interface SigningKeys {
  readonly find: FindKey
  readonly size: number
}

const keySetSchema = z.object({
  keys: z
    .array(z.looseObject({ kty: z.string().max(16), kid: z.string().max(256).optional() }))
    .max(MAX_SIGNING_KEYS, `must be at most ${MAX_SIGNING_KEYS}`),
})

/**
 * `isPublic`: from the network, where a symmetric key would be everybody's; such are left out.
 * @throws AuthFileError that quotes nothing.
 */
export function parseKeySet(text: string, name: string, isPublic: boolean): SigningKeys {
  const result = keySetSchema.safeParse(parseJson(text, name))
  if (!result.success) throw problemOf(result.error, name)
  const keys = result.data.keys.filter(({ kty }) => !isPublic || kty !== 'oct')
  for (const [index, key] of keys.entries()) {
    if (key.kty === 'oct' && secretBytes(key['k']) < MIN_SECRET_BYTES) {
      throw new AuthFileError(`${name}: keys[${index}].k`, `must have at least ${MIN_SECRET_BYTES} bytes`)
    }
  }
  if (keys.length === 0) throw new AuthFileError(`${name}: keys`, 'must hold a key')
  const findPublic = createLocalJWKSet({ keys } as JSONWebKeySet)
  const secrets = keys.filter(({ kty }) => kty === 'oct').map(asSecret)
  return {
    size: keys.length,
    // `jose` looks for public keys only; what kind is looked for follows from the algorithm, which was checked before.
    find: async (header, token) =>
      header.alg.startsWith('HS') ? findSecret(secrets, header) : findPublic(header, token),
  }
}

interface Secret {
  readonly kid: string | undefined
  readonly alg: unknown
  readonly bytes: Uint8Array
}

function asSecret({
  alg,
  k,
  kid,
}: Readonly<Record<string, unknown>> & { readonly kid?: string | undefined }): Secret {
  return { kid, alg, bytes: Buffer.from(String(k), 'base64url') }
}

/** As `jose` chooses among public keys (RFC 7515 §4.1.4): by name and algorithm, where they are given; one must be left. */
function findSecret(secrets: readonly Secret[], { alg, kid }: JWTHeaderParameters): Uint8Array {
  const [found, second] = secrets.filter(
    secret => (kid === undefined || secret.kid === kid) && (secret.alg === undefined || secret.alg === alg),
  )
  if (found === undefined) throw new errors.JWKSNoMatchingKey()
  if (second !== undefined) throw new errors.JWKSMultipleMatchingKeys()
  return found.bytes
}

function secretBytes(value: unknown): number {
  return typeof value === 'string' ? Buffer.from(value, 'base64url').length : 0
}
