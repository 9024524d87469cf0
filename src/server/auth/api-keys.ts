/**
 * Static API keys: opaque random texts, of which only the SHA-256 is known here.
 *
 * A key of 16 random bytes or more needs no salt and no slow hash: there is nothing to guess. How long a look-up takes
 * tells nothing about a key: what is compared are digests of equal length, by `timingSafeEqual`, and an unknown key
 * takes the same way as a known one.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Grants } from './grants.ts'
import { grantsSchema, NO_GRANTS_LIMIT, toGrants } from './grants.ts'
import { AuthFileError } from './watched-file.ts'

export const MAX_KEYS_FILE_BYTES = 4 * 1024 * 1024
const MAX_KEYS = 10_000
const DIGEST_BYTES = 32

/** Names of keys; `:` parts name and digest where both stand in one word. */
const KEY_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/
const DIGEST_PATTERN = /^[0-9a-fA-F]{64}$/

/** A key as it is written down. */
export interface KeyEntry {
  /** Of the client or team it was given to. Two keys of one name are one principal: that is how a key is replaced. */
  readonly name: string
  /** SHA-256 of the key's text, 32 bytes. */
  readonly digest: Buffer
  readonly grants: Grants
}

/** Whether a key is in force. One object for the life of a key, held by the sessions that run with it. */
export interface KeyStanding {
  readonly isRevoked: boolean
}

export interface ApiKey extends KeyEntry {
  readonly standing: KeyStanding
}

const keysFileSchema = z.strictObject({
  $schema: z.string().optional(),
  keys: z
    .array(
      z.strictObject({
        name: z.string().regex(KEY_NAME_PATTERN, 'must be letters, digits and "._@-", at most 128'),
        sha256: z.string().regex(DIGEST_PATTERN, 'must be the SHA-256 of the key in 64 hexadecimal digits'),
        grants: grantsSchema.optional(),
      }),
    )
    .max(MAX_KEYS, `must be at most ${MAX_KEYS}`),
})

/** @throws AuthFileError that quotes nothing of the text: somebody may have written a key where its digest belongs. */
export function parseKeysFile(text: string, name: string): readonly KeyEntry[] {
  const result = keysFileSchema.safeParse(parseJson(text, name))
  if (!result.success) throw problemOf(result.error, name)
  const repeated = findRepeated(result.data.keys.map(key => key.sha256.toLowerCase()))
  if (repeated !== null) {
    throw new AuthFileError(`${name}: keys[${repeated}].sha256`, 'must not be that of another key')
  }
  return result.data.keys.map(key => ({
    name: key.name,
    digest: Buffer.from(key.sha256, 'hex'),
    grants: key.grants === undefined ? NO_GRANTS_LIMIT : toGrants(key.grants),
  }))
}

/** `name:sha256`, as in the environment; without limits. The options have checked the form. */
export function parseKeyWord(word: string): KeyEntry {
  const [name = '', digest = ''] = word.split(':')
  return { name, digest: Buffer.from(digest, 'hex'), grants: NO_GRANTS_LIMIT }
}

export function digestOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

interface RingKey extends KeyEntry {
  readonly standing: { isRevoked: boolean }
}

/** The keys in force. */
export class KeyRing {
  readonly size: number
  /** By the first four bytes of the digest: whoever knew those of a key would be no nearer to the key. */
  readonly #byPrefix = new Map<number, readonly RingKey[]>()
  readonly #byName = new Map<string, ApiKey[]>()
  /** Compared with where nothing else is, so that an unknown key costs what a known one costs. */
  readonly #nobody: readonly ApiKey[] = [
    {
      name: '',
      digest: Buffer.alloc(DIGEST_BYTES),
      grants: NO_GRANTS_LIMIT,
      standing: { isRevoked: false },
    },
  ]

  /** `before`: the ring that this one takes the place of, see `revokeMissing`. */
  constructor(entries: readonly KeyEntry[], before: KeyRing | null = null) {
    this.size = entries.length
    for (const entry of entries) {
      // The same key twice, in the environment and in the file, is one: it is gone when both are.
      const same = this.#same(entry) ?? (before === null ? undefined : before.#same(entry))
      const key: RingKey = { ...entry, standing: same?.standing ?? { isRevoked: false } }
      const prefix = key.digest.readUInt32BE()
      this.#byPrefix.set(prefix, [...(this.#byPrefix.get(prefix) ?? []), key])
      const named = this.#byName.get(key.name)
      if (named === undefined) this.#byName.set(key.name, [key])
      else named.push(key)
    }
  }

  /**
   * Revokes for good what is not in the ring that follows: by name and digest, so that a replaced or renamed key is gone,
   * and one with other grants is not. Returns the names, one for each key.
   */
  revokeMissing(next: KeyRing): readonly string[] {
    const names: string[] = []
    for (const keys of this.#byPrefix.values()) {
      for (const key of keys) {
        if (key.standing.isRevoked || next.#same(key) !== undefined) continue
        key.standing.isRevoked = true
        names.push(key.name)
      }
    }
    return names
  }

  /** The key of this text, or `null`. */
  find(token: string): ApiKey | null {
    const digest = digestOf(token)
    const candidates = this.#byPrefix.get(digest.readUInt32BE()) ?? this.#nobody
    let found: ApiKey | null = null
    for (const key of candidates) if (timingSafeEqual(key.digest, digest)) found = key
    return found?.name === '' ? null : found
  }

  /** All keys of a name. */
  named(name: string): readonly ApiKey[] {
    return this.#byName.get(name) ?? []
  }

  #same({ digest, name }: KeyEntry): RingKey | undefined {
    const candidates = this.#byPrefix.get(digest.readUInt32BE())
    return candidates?.find(key => key.name === name && key.digest.equals(digest))
  }
}

export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    throw new AuthFileError(name, 'must be valid JSON')
  }
}

/** The first problem: place and rule, never the value. */
export function problemOf(error: z.ZodError, name: string): AuthFileError {
  const [issue] = error.issues
  const place = (issue?.path ?? [])
    .map(step => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '')
  const rule = issue?.code === 'unrecognized_keys' ? 'has a member that is not known' : asRule(issue?.message)
  return new AuthFileError(place === '' ? name : `${name}: ${place}`, rule)
}

function findRepeated(digests: readonly string[]): number | null {
  const seen = new Set<string>()
  for (const [index, digest] of digests.entries()) {
    if (seen.has(digest)) return index
    seen.add(digest)
  }
  return null
}

function asRule(message = ''): string {
  return message.startsWith('must') ? message : `is not valid: ${message}`
}
