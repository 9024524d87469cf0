/**
 * Where the token of a client stands: `Authorization: Bearer` (RFC 6750 §2.1), or for browsers, which cannot set headers,
 * the subprotocols `bearer, <token>`; in the query only where that is switched on, because queries end up in logs.
 */
import { RelayError } from '../../errors.ts'
import type { Handshake } from '../handshake.ts'

/** Offered as a subprotocol, it says that the next one is the token. Never echoed, as the token is not. */
const TOKEN_SUBPROTOCOL = 'bearer'

const TOKEN_PARAMETER = 'token'

/** `b64token` of RFC 6750 §2.1: API keys and JWTs both. The native parser takes 4 KiB of headers in all. */
const TOKEN_PATTERN = /^[A-Za-z0-9\-._~+/]{1,4000}={0,2}$/

/**
 * `null` where there is none.
 * @throws RelayError `token_invalid` for what cannot be a token; `invalid_request` for two (RFC 6750 §2).
 */
export function readToken(handshake: Handshake, tokenInQuery: boolean): string | null {
  const found = [
    ...readAuthorization(handshake.headers.get('authorization')),
    ...readSubprotocol(handshake.headers.get('sec-websocket-protocol')),
    ...(tokenInQuery ? new URLSearchParams(handshake.query).getAll(TOKEN_PARAMETER) : []),
  ]
  const [token] = found
  if (token === undefined) return null
  if (found.length > 1) {
    throw new RelayError('invalid_request', { message: 'The token must be given once, in one place.' })
  }
  return checkToken(token)
}

/** @throws RelayError `token_invalid` for what cannot be a token. */
export function checkToken(text: string): string {
  if (!TOKEN_PATTERN.test(text)) throw new RelayError('token_invalid', { detail: 'malformed' })
  return text
}

/** The query of the handshake without the token. */
export function withoutToken(query: string): string {
  // A name may be escaped too.
  if (!query.includes(TOKEN_PARAMETER) && !query.includes('%')) return query
  const parameters = new URLSearchParams(query)
  parameters.delete(TOKEN_PARAMETER)
  return parameters.toString()
}

/** Of another scheme there is no token for us; the scheme is case-insensitive (RFC 9110 §11.1). */
function readAuthorization(header: string | undefined): readonly string[] {
  const match = /^bearer(?: +(.*))?$/i.exec(header?.trim() ?? '')
  return match === null ? [] : [match[1] ?? '']
}

function readSubprotocol(header: string | undefined): readonly string[] {
  const offered = (header ?? '').split(',').map(name => name.trim())
  return offered.flatMap((name, place) => (name === TOKEN_SUBPROTOCOL ? [offered[place + 1] ?? ''] : []))
}
