/**
 * Verifies a presigned WebSocket URL: Signature Version 4 in the query, service name `transcribe`.
 *
 * Written from the specification alone and sharing nothing with the relay's signer, so that one can convict the other.
 * Nothing here ever puts a key, a token or a signature into a text.
 *
 * Sources: AWS General Reference, "Signature Version 4"; Amazon Transcribe Developer Guide, "Setting up a WebSocket
 * stream" (at most 300 seconds; the session token is part of what is signed).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { needsSessionToken, type Account } from './accounts.ts'
import type { HandshakeRefusal } from './exceptions.ts'
import { canonicalQuery, type QueryPair } from './query.ts'

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

export type SignatureVerdict =
  | { readonly ok: true; readonly account: Account }
  | { readonly ok: false; readonly refusal: HandshakeRefusal }

/** Largest `X-Amz-Expires` the service takes. */
export const MAX_EXPIRES_SECONDS = 300
/** How far the signer's clock may be off. */
export const MAX_CLOCK_SKEW_MS = 300_000

const REQUIRED = [
  'X-Amz-Algorithm',
  'X-Amz-Credential',
  'X-Amz-Date',
  'X-Amz-Expires',
  'X-Amz-SignedHeaders',
  'X-Amz-Signature',
] as const
const ALGORITHM = 'AWS4-HMAC-SHA256'
const SERVICE = 'transcribe'

export function verifySignature(request: SignedRequest): SignatureVerdict {
  const refusal = checkPresence(request.pairs)
  if (refusal !== null) return { ok: false, refusal }
  const given = new Map(request.pairs)
  const claim = readClaim(given)
  const checks = [
    checkForm(given, claim, request.region),
    checkTime(claim, request.nowMs),
    checkExpires(claim, request.nowMs),
  ]
  for (const failed of checks) if (failed !== null) return { ok: false, refusal: failed }
  const account = request.accounts.find(candidate => candidate.accessKeyId === claim.accessKeyId)
  if (account === undefined) return { ok: false, refusal: unrecognized() }
  const tokenRefusal = checkToken(account, given.get('X-Amz-Security-Token') ?? null, request.nowMs)
  if (tokenRefusal !== null) return { ok: false, refusal: tokenRefusal }
  if (!signaturesMatch(expectedSignature(request, claim, account), given.get('X-Amz-Signature') ?? '')) {
    return {
      ok: false,
      refusal: invalid(
        'The request signature we calculated does not match the signature you provided. ' +
          'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      ),
    }
  }
  return { ok: true, account }
}

interface Claim {
  readonly accessKeyId: string
  readonly scope: readonly string[]
  readonly stamp: string
  /** `null`: not a date. */
  readonly signedAtMs: number | null
  readonly expiresText: string
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

function readClaim(given: ReadonlyMap<string, string>): Claim {
  const [accessKeyId = '', ...scope] = (given.get('X-Amz-Credential') ?? '').split('/')
  const stamp = given.get('X-Amz-Date') ?? ''
  return {
    accessKeyId,
    scope,
    stamp,
    signedAtMs: parseStamp(stamp),
    expiresText: given.get('X-Amz-Expires') ?? '',
  }
}

function checkForm(
  given: ReadonlyMap<string, string>,
  claim: Claim,
  region: string,
): HandshakeRefusal | null {
  if (given.get('X-Amz-Algorithm') !== ALGORITHM) return incomplete(`X-Amz-Algorithm must be ${ALGORITHM}.`)
  if (claim.signedAtMs === null) {
    return incomplete('X-Amz-Date must be in ISO 8601 basic format, YYYYMMDDTHHMMSSZ.')
  }
  const [date, scopeRegion, service, terminator, ...rest] = claim.scope
  if (terminator === undefined || rest.length > 0) {
    return incomplete('X-Amz-Credential must be <access key id>/<date>/<region>/transcribe/aws4_request.')
  }
  if (terminator !== 'aws4_request') {
    return invalid("Credential should be scoped with a valid terminator: 'aws4_request'.")
  }
  if (service !== SERVICE) return invalid(`Credential should be scoped to correct service: '${SERVICE}'.`)
  if (scopeRegion !== region)
    return invalid(`Credential should be scoped to a valid region, here '${region}'.`)
  if (date !== claim.stamp.slice(0, 8)) {
    return invalid('Date in Credential scope does not match YYYYMMDD of X-Amz-Date.')
  }
  if (given.get('X-Amz-SignedHeaders') !== 'host') {
    return invalid("X-Amz-SignedHeaders must be 'host': nothing else is sure to arrive as it was signed.")
  }
  return null
}

function checkTime(claim: Claim, nowMs: number): HandshakeRefusal | null {
  const signedAtMs = claim.signedAtMs ?? 0
  if (signedAtMs < nowMs - MAX_CLOCK_SKEW_MS) return expired(claim.stamp, nowMs, MAX_CLOCK_SKEW_MS, '5 min.')
  if (signedAtMs > nowMs + MAX_CLOCK_SKEW_MS) {
    return invalid(
      `Signature not yet current: ${claim.stamp} is still later than ${formatStamp(nowMs + MAX_CLOCK_SKEW_MS)} ` +
        `(${formatStamp(nowMs)} + 5 min.)`,
    )
  }
  return null
}

function checkExpires(claim: Claim, nowMs: number): HandshakeRefusal | null {
  const expiresSeconds = /^\d{1,9}$/.test(claim.expiresText) ? Number(claim.expiresText) : 0
  if (expiresSeconds < 1 || expiresSeconds > MAX_EXPIRES_SECONDS) {
    return invalid(`X-Amz-Expires must be a whole number of seconds from 1 to ${MAX_EXPIRES_SECONDS}.`)
  }
  // The stamp has whole seconds, so a signature lives up to one second less than it says.
  if ((claim.signedAtMs ?? 0) + expiresSeconds * 1000 < nowMs) {
    return expired(claim.stamp, nowMs, expiresSeconds * 1000, `${expiresSeconds} sec.`)
  }
  return null
}

function checkToken(account: Account, token: string | null, nowMs: number): HandshakeRefusal | null {
  if (token === null) return needsSessionToken(account.accessKeyId) ? unrecognized() : null
  const known = (account.sessionTokens ?? []).find(candidate => secretsMatch(candidate.token, token))
  if (known === undefined) return unrecognized()
  return known.expiresAtMs !== undefined && known.expiresAtMs <= nowMs ? expiredToken() : null
}

export function expiredToken(): HandshakeRefusal {
  return forbidden('ExpiredTokenException', 'The security token included in the request is expired')
}

function expectedSignature(request: SignedRequest, claim: Claim, account: Account): Buffer {
  const scope = claim.scope.join('/')
  const canonicalRequest = [
    'GET',
    request.path,
    canonicalQuery(request.pairs.filter(([name]) => name !== 'X-Amz-Signature')),
    `host:${request.host}`,
    '',
    'host',
    sha256Hex(''),
  ].join('\n')
  const stringToSign = [ALGORITHM, claim.stamp, scope, sha256Hex(canonicalRequest)].join('\n')
  let key: Buffer = Buffer.from(`AWS4${account.secretAccessKey}`)
  for (const part of claim.scope) key = hmac(key, part)
  return hmac(key, stringToSign)
}

function signaturesMatch(expected: Buffer, givenHex: string): boolean {
  if (!/^[0-9a-f]{64}$/.test(givenHex)) return false
  return timingSafeEqual(expected, Buffer.from(givenHex, 'hex'))
}

/** Compares digests, so that neither the content nor the length shows in the time. */
function secretsMatch(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())
}

function parseStamp(stamp: string): number | null {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp)
  if (parts === null) return null
  const ms = Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`)
  return Number.isNaN(ms) ? null : ms
}

/** `YYYYMMDDTHHMMSSZ`. */
function formatStamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function expired(stamp: string, nowMs: number, lifeMs: number, life: string): HandshakeRefusal {
  return invalid(
    `Signature expired: ${stamp} is now earlier than ${formatStamp(nowMs - lifeMs)} (${formatStamp(nowMs)} - ${life})`,
  )
}

function unrecognized(): HandshakeRefusal {
  return forbidden('UnrecognizedClientException', 'The security token included in the request is invalid.')
}

function invalid(message: string): HandshakeRefusal {
  return forbidden('InvalidSignatureException', message)
}

function incomplete(message: string): HandshakeRefusal {
  return forbidden('IncompleteSignatureException', message)
}

function forbidden(name: string, message: string): HandshakeRefusal {
  return { status: 403, name, message }
}
