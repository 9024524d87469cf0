/**
 * Verifies a presigned WebSocket URL: Signature Version 4 in the query, service name `transcribe`.
 *
 * Sources: AWS General Reference, "Signature Version 4"; Amazon Transcribe Developer Guide, "Setting up a WebSocket
 * stream" (at most 300 seconds; the session token is part of what is signed).
 */
import type { Account } from './accounts.ts'
import type { HandshakeRefusal } from './exceptions.ts'
import { canonicalQuery, type QueryPair } from './query.ts'
import {
  ALGORITHM,
  checkScope,
  checkTime,
  expired,
  findAccount,
  forbidden,
  hmac,
  incomplete,
  invalid,
  mismatch,
  readClaim,
  sha256Hex,
  signaturesMatch,
  signingKey,
  stringToSign,
  type Claim,
  type SignatureCheck,
} from './signature-rules.ts'

export interface SignedRequest {
  readonly path: string
  readonly pairs: readonly QueryPair[]
  /** The `Host` header as it was sent, port included. */
  readonly host: string
  readonly region: string
  readonly accounts: readonly Account[]
  /** Wall clock of the service, milliseconds since 1970. */
  readonly nowMs: number
}

/** Largest `X-Amz-Expires` the service takes. */
const MAX_EXPIRES_SECONDS = 300

const REQUIRED = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const

export function verifySignature(request: SignedRequest): SignatureCheck {
  const { accounts, nowMs, pairs, region } = request
  const absence = checkPresence(pairs)
  if (absence !== null) return { ok: false, refusal: absence }
  const given = new Map(pairs)
  const claim = readClaim(given.get('X-Amz-Credential') ?? '', given.get('X-Amz-Date') ?? '')
  const refusal =
    checkAlgorithm(given) ??
    checkScope(claim, region, 'X-Amz-Credential') ??
    checkSignedHeaders(given) ??
    checkTime(claim, nowMs) ??
    checkExpires(claim, given.get('X-Amz-Expires') ?? '', nowMs)
  if (refusal !== null) return { ok: false, refusal }
  const found = findAccount(accounts, claim.accessKeyId, given.get('X-Amz-Security-Token') ?? null, nowMs)
  if (!found.ok) return found
  const expected = expectedSignature(request, claim, found.account)
  return signaturesMatch(expected, given.get('X-Amz-Signature') ?? '')
    ? found
    : { ok: false, refusal: mismatch() }
}

function checkPresence(pairs: readonly QueryPair[]): HandshakeRefusal | null {
  const counts = new Map<string, number>()
  for (const [name] of pairs) counts.set(name, (counts.get(name) ?? 0) + 1)
  const missing = REQUIRED.filter(name => !counts.has(name))
  if (missing.length === REQUIRED.length) {
    return forbidden('MissingAuthenticationTokenException', 'Missing Authentication Token')
  }
  if (missing.length > 0) {
    return incomplete(`The query string must include ${missing.join(', ')}.`)
  }
  const repeated = REQUIRED.find(name => (counts.get(name) ?? 0) > 1)
  return repeated === undefined ? null : incomplete(`${repeated} must be given once.`)
}

function checkAlgorithm(given: ReadonlyMap<string, string>): HandshakeRefusal | null {
  return given.get('X-Amz-Algorithm') === ALGORITHM
    ? null
    : incomplete(`X-Amz-Algorithm must be ${ALGORITHM}.`)
}

function checkSignedHeaders(given: ReadonlyMap<string, string>): HandshakeRefusal | null {
  return given.get('X-Amz-SignedHeaders') === 'host'
    ? null
    : invalid("X-Amz-SignedHeaders must be 'host': nothing else is sure to arrive as it was signed.")
}

function checkExpires(claim: Claim, expiresText: string, nowMs: number): HandshakeRefusal | null {
  const expiresSeconds = /^\d{1,9}$/.test(expiresText) ? Number(expiresText) : 0
  if (expiresSeconds < 1 || expiresSeconds > MAX_EXPIRES_SECONDS) {
    return invalid(`X-Amz-Expires must be a whole number of seconds from 1 to ${MAX_EXPIRES_SECONDS}.`)
  }
  // The stamp has whole seconds, so a signature lives up to one second less than it says.
  if ((claim.signedAtMs ?? 0) + expiresSeconds * 1000 < nowMs) {
    return expired(claim.stamp, nowMs, expiresSeconds * 1000, `${expiresSeconds} sec.`)
  }
  return null
}

function expectedSignature(request: SignedRequest, claim: Claim, account: Account): Buffer {
  const canonicalRequest = [
    'GET',
    request.path,
    canonicalQuery(request.pairs.filter(([name]) => name !== 'X-Amz-Signature')),
    `host:${request.host}`,
    '',
    'host',
    sha256Hex(''),
  ].join('\n')
  return hmac(signingKey(account, claim.scope), stringToSign(claim, canonicalRequest))
}
