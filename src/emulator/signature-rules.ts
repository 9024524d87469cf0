/**
 * What both forms of Signature Version 4 have in common, in the query of a WebSocket URL and in the headers of an HTTP/2
 * request: the credential scope, the clock, the session token, the keys and the refusals.
 *
 * Written from the specification alone and sharing nothing with the relay's signer, so that one can convict the other.
 * Nothing here ever puts a key, a token or a signature into a text.
 *
 * Source: AWS General Reference, "Signature Version 4".
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { needsSessionToken, type Account } from './accounts.ts'
import type { HandshakeRefusal } from './exceptions.ts'

export const ALGORITHM = 'AWS4-HMAC-SHA256'
/** How far the signer's clock may be off. */
export const MAX_CLOCK_SKEW_MS = 300_000
const SERVICE = 'transcribe'

/** Who says to have signed, when, and for what. */
export interface Claim {
  readonly accessKeyId: string
  /** Date, region, service and terminator; anything else when the credential is malformed. */
  readonly scope: readonly string[]
  readonly stamp: string
  /** `null`: not a date. */
  readonly signedAtMs: number | null
}

export type SignatureCheck =
  | { readonly ok: true; readonly account: Account }
  | { readonly ok: false; readonly refusal: HandshakeRefusal }

export function readClaim(credential: string, stamp: string): Claim {
  const [accessKeyId = '', ...scope] = credential.split('/')
  return { accessKeyId, scope, stamp, signedAtMs: parseStamp(stamp) }
}

/** `credentialName`: what the field is called in this form, for the texts. */
export function checkScope(claim: Claim, region: string, credentialName: string): HandshakeRefusal | null {
  if (claim.signedAtMs === null) {
    return incomplete('X-Amz-Date must be in ISO 8601 basic format, YYYYMMDDTHHMMSSZ.')
  }
  const [date, scopeRegion, service, terminator, ...rest] = claim.scope
  if (terminator === undefined || rest.length > 0) {
    return incomplete(`${credentialName} must be <access key id>/<date>/<region>/transcribe/aws4_request.`)
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
  return null
}

export function checkTime(claim: Claim, nowMs: number): HandshakeRefusal | null {
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

/** The account of the key, if the token is one of its own. */
export function findAccount(
  accounts: readonly Account[],
  accessKeyId: string,
  token: string | null,
  nowMs: number,
): SignatureCheck {
  const account = accounts.find(candidate => candidate.accessKeyId === accessKeyId)
  const refusal = account === undefined ? unrecognized() : checkToken(account, token, nowMs)
  if (account === undefined || refusal !== null) return { ok: false, refusal: refusal ?? unrecognized() }
  return { ok: true, account }
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

/** The text that is signed for a canonical request. */
export function stringToSign(claim: Claim, canonicalRequest: string): string {
  return [ALGORITHM, claim.stamp, claim.scope.join('/'), sha256Hex(canonicalRequest)].join('\n')
}

/** The key that signs within a scope, from the secret of the account. */
export function signingKey(account: Account, scope: readonly string[]): Buffer {
  let key: Buffer = Buffer.from(`AWS4${account.secretAccessKey}`)
  for (const part of scope) key = hmac(key, part)
  return key
}

export function signaturesMatch(expected: Buffer, givenHex: string): boolean {
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
export function formatStamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

export function sha256Hex(text: string | Uint8Array): string {
  return createHash('sha256').update(text).digest('hex')
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function mismatch(): HandshakeRefusal {
  return invalid(
    'The request signature we calculated does not match the signature you provided. ' +
      'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  )
}

export function expired(stamp: string, nowMs: number, lifeMs: number, life: string): HandshakeRefusal {
  return invalid(
    `Signature expired: ${stamp} is now earlier than ${formatStamp(nowMs - lifeMs)} (${formatStamp(nowMs)} - ${life})`,
  )
}

function unrecognized(): HandshakeRefusal {
  return forbidden('UnrecognizedClientException', 'The security token included in the request is invalid.')
}

export function invalid(message: string): HandshakeRefusal {
  return forbidden('InvalidSignatureException', message)
}

export function incomplete(message: string): HandshakeRefusal {
  return forbidden('IncompleteSignatureException', message)
}

export function forbidden(name: string, message: string): HandshakeRefusal {
  return { status: 403, name, message }
}
