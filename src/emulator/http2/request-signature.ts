/**
 * Verifies an HTTP/2 request whose body is a signed event stream: Signature Version 4 in the headers.
 *
 * Source: AWS General Reference, "Signature Version 4"; Amazon Transcribe Developer Guide, "Setting up an HTTP/2 stream".
 */
import type { IncomingHttpHeaders } from 'node:http2'
import type { Account } from '../accounts.ts'
import type { HandshakeRefusal } from '../exceptions.ts'
import { canonicalQuery, type QueryPair } from '../query.ts'
import {
  ALGORITHM,
  checkScope,
  checkTime,
  findAccount,
  forbidden,
  hmac,
  incomplete,
  mismatch,
  readClaim,
  signaturesMatch,
  signingKey,
  stringToSign,
} from '../signature-rules.ts'
import type { ChunkSigningSeed } from './chunk-signature.ts'

export interface SignedHttp2Request {
  readonly method: string
  readonly path: string
  readonly pairs: readonly QueryPair[]
  readonly headers: IncomingHttpHeaders
  readonly region: string
  readonly accounts: readonly Account[]
  readonly nowMs: number
}

export type RequestVerdict =
  | { readonly ok: true; readonly account: Account; readonly seed: ChunkSigningSeed }
  | { readonly ok: false; readonly refusal: HandshakeRefusal }

/** The hash that stands for a body which is signed chunk by chunk. */
const SIGNED_EVENTS = 'STREAMING-AWS4-HMAC-SHA256-EVENTS'
/** What must be signed, of what is sent. */
const MUST_BE_SIGNED = ['x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token']
/** One of these must be signed too: AWS's SDK signs the pseudo-header that HTTP/2 has in place of `host`. */
const HOST_NAMES = ['host', ':authority']

interface Authorization {
  readonly credential: string
  readonly signedHeaders: readonly string[]
  readonly signature: string
}

export function verifyRequest(request: SignedHttp2Request): RequestVerdict {
  const { accounts, nowMs, region } = request
  const authorization = readAuthorization(request.headers.authorization)
  if ('refusal' in authorization) return { ok: false, refusal: authorization.refusal }
  const claim = readClaim(authorization.credential, textOf(request.headers, 'x-amz-date') ?? '')
  const refusal =
    checkContentHash(request.headers) ??
    checkSignedHeaders(request.headers, authorization) ??
    checkScope(claim, region, 'Credential') ??
    checkTime(claim, nowMs)
  if (refusal !== null) return { ok: false, refusal }
  const token = textOf(request.headers, 'x-amz-security-token')
  const found = findAccount(accounts, claim.accessKeyId, token, nowMs)
  if (!found.ok) return found
  const key = signingKey(found.account, claim.scope)
  const expected = hmac(key, stringToSign(claim, canonicalRequest(request, authorization)))
  if (!signaturesMatch(expected, authorization.signature)) return { ok: false, refusal: mismatch() }
  const seed = { signingKey: key, scope: claim.scope.join('/'), signature: authorization.signature }
  return { ok: true, account: found.account, seed }
}

/** The `Host` of a request: HTTP/2 has `:authority` for it, but clients that sign may send both. */
export function hostOf(headers: IncomingHttpHeaders): string {
  return textOf(headers, 'host') ?? headers[':authority'] ?? ''
}

function readAuthorization(text: string | undefined): Authorization | { refusal: HandshakeRefusal } {
  if (text === undefined) {
    return { refusal: forbidden('MissingAuthenticationTokenException', 'Missing Authentication Token') }
  }
  const [algorithm = '', ...rest] = text.split(' ')
  if (algorithm !== ALGORITHM)
    return { refusal: incomplete(`The algorithm of Authorization must be ${ALGORITHM}.`) }
  const fields = new Map(
    rest
      .join('')
      .split(',')
      .map(field => [field.slice(0, field.indexOf('=')), field.slice(field.indexOf('=') + 1)] as const),
  )
  const credential = fields.get('Credential')
  const signedHeaders = fields.get('SignedHeaders')
  const signature = fields.get('Signature')
  if (credential === undefined || signedHeaders === undefined || signature === undefined) {
    return { refusal: incomplete('Authorization must include Credential, SignedHeaders and Signature.') }
  }
  return { credential, signedHeaders: signedHeaders.split(';'), signature }
}

function checkContentHash(headers: IncomingHttpHeaders): HandshakeRefusal | null {
  return textOf(headers, 'x-amz-content-sha256') === SIGNED_EVENTS
    ? null
    : incomplete(`x-amz-content-sha256 must be ${SIGNED_EVENTS}.`)
}

function checkSignedHeaders(
  headers: IncomingHttpHeaders,
  { signedHeaders }: Authorization,
): HandshakeRefusal | null {
  if (!HOST_NAMES.some(name => signedHeaders.includes(name))) {
    return incomplete(`SignedHeaders must include ${HOST_NAMES.join(' or ')}.`)
  }
  const missing = MUST_BE_SIGNED.filter(name => headers[name] !== undefined && !signedHeaders.includes(name))
  return missing.length === 0 ? null : incomplete(`SignedHeaders must include ${missing.join(', ')}.`)
}

function canonicalRequest(request: SignedHttp2Request, { signedHeaders }: Authorization): string {
  const { headers, method, pairs, path } = request
  return [
    method,
    path,
    canonicalQuery(pairs),
    ...signedHeaders.map(
      name => `${name}:${name === 'host' ? hostOf(headers) : canonicalValue(headers, name)}`,
    ),
    '',
    signedHeaders.join(';'),
    SIGNED_EVENTS,
  ].join('\n')
}

function canonicalValue(headers: IncomingHttpHeaders, name: string): string {
  return (textOf(headers, name) ?? '').trim().replace(/ +/g, ' ')
}

function textOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name]
  return Array.isArray(value) ? value.join(',') : (value ?? null)
}
