/**
 * The opening handshake of a client (RFC 6455 §4.2.1), copied out of the native request and checked. The native library
 * looks at the method and at the length of the key only. Pure, but for `readHandshake`, which touches the request.
 */
import { randomUUID } from 'node:crypto'
import type { HttpRequest, HttpResponse } from 'uWebSockets.js'
import { RelayError } from '../errors.ts'
import { printedAs } from '../secret.ts'
import type { ClientAddresses } from './proxies.ts'
import { formatAddress } from './proxies.ts'

/** The only path that upgrades. */
export const STREAM_PATH = '/v1/stream'

/** The only subprotocol; optional. */
const SUBPROTOCOL = 'transcribe-relay.v1'

const WEBSOCKET_VERSION = '13'

/** Base64 of 16 bytes (RFC 6455 §4.1). */
const KEY_PATTERN = /^[A-Za-z0-9+/]{22}==$/

/** Everything known of a request. Owns its memory: the native request is gone when its handler returns. */
export interface Handshake {
  /** UUID. The session's id if there will be one, and the `request_id` of a refusal. */
  readonly sessionId: string
  /** Lower case. */
  readonly method: string
  /** As sent, without the query. */
  readonly path: string
  /** As sent, without `?`. */
  readonly query: string
  /** By lower-case name; repeated headers are joined with `, ` (RFC 9110 §5.3). At most 4 KiB in all. */
  readonly headers: ReadonlyMap<string, string>
  /** Of the client, as far as it can be known: `proxies.ts`. */
  readonly remoteAddress: string
}

/** Call it first thing in a handler: it copies, and the request does not outlive the handler. */
export function readHandshake(
  response: HttpResponse,
  request: HttpRequest,
  addresses: ClientAddresses,
): Handshake {
  const headers = new Map<string, string>()
  // oxlint-disable-next-line unicorn/no-array-for-each -- the native request is not iterable
  request.forEach((name, value) => {
    const earlier = headers.get(name)
    headers.set(name, earlier === undefined ? value : `${earlier}, ${value}`)
  })
  const handshake: Handshake = {
    sessionId: randomUUID(),
    method: request.getMethod(),
    path: request.getUrl(),
    // Undefined for a request without `?`, whatever its type says.
    query: request.getQuery() ?? '',
    headers,
    remoteAddress: addresses.addressOf({
      peer: formatAddress(new Uint8Array(response.getRemoteAddress())),
      proxied: formatAddress(new Uint8Array(response.getProxiedRemoteAddress())),
      forwardedFor: headers.get('x-forwarded-for'),
    }),
  }
  // A token may stand in a header and in the query.
  return printedAs(handshake, `Handshake(${handshake.sessionId})`)
}

/** Whether the handshake is one of a browser, which cannot read the status of a refused upgrade. */
export function isFromBrowser(handshake: Handshake): boolean {
  return handshake.headers.has('origin')
}

/** `null`, or why this is not an opening handshake of version 13. */
export function checkHandshake(handshake: Handshake): RelayError | null {
  const { headers } = handshake
  const version = headers.get('sec-websocket-version')
  const key = headers.get('sec-websocket-key')
  if (version === undefined && key === undefined) return new RelayError('upgrade_required')
  if (version !== WEBSOCKET_VERSION) {
    return new RelayError('upgrade_required', {
      message: describeHeader('Sec-WebSocket-Version', `must be ${WEBSOCKET_VERSION}`, version),
    })
  }
  if (!hasToken(headers.get('upgrade'), 'websocket')) {
    return invalidHeader('Upgrade', 'must contain websocket', headers.get('upgrade'))
  }
  if (!hasToken(headers.get('connection'), 'upgrade')) {
    return invalidHeader('Connection', 'must contain Upgrade', headers.get('connection'))
  }
  if (key === undefined || !KEY_PATTERN.test(key)) {
    return invalidHeader('Sec-WebSocket-Key', 'must be 16 bytes in base64', key)
  }
  return null
}

/** Our subprotocol if the client offers it among others, else an empty string: never what the client sent. */
export function selectSubprotocol(handshake: Handshake): string {
  const offered = handshake.headers.get('sec-websocket-protocol') ?? ''
  return offered.split(',').some(name => name.trim() === SUBPROTOCOL) ? SUBPROTOCOL : ''
}

function hasToken(list: string | undefined, token: string): boolean {
  return list !== undefined && list.split(',').some(entry => entry.trim().toLowerCase() === token)
}

function invalidHeader(name: string, rule: string, value: string | undefined): RelayError {
  return new RelayError('invalid_request', { message: describeHeader(name, rule, value) })
}

/** Of these headers the value is no secret; it comes back in part and without control characters. */
function describeHeader(name: string, rule: string, value: string | undefined): string {
  if (value === undefined) return `${name} ${rule}, and is missing.`
  return `${name} ${rule}, got "${value.replace(/[^\x20-\x7e]/g, '?').slice(0, 64)}".`
}
