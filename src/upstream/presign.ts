/**
 * Signature Version 4, both ways: a presigned WebSocket URL for Amazon Transcribe, and a signed header for any other
 * AWS request.
 *
 * Presigning follows "Setting up a WebSocket stream" of the Amazon Transcribe guide: only `host` is signed, with its
 * port; the payload hash is that of the empty string; the session token is part of the signed query. Each name and
 * value is percent-encoded once (RFC 3986 unreserved characters stay bare), in the signature and in the URL alike.
 */
import { createHash, createHmac } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { RelayError } from '../errors.ts'
import { assertUsableCredentials } from './aws-credentials.ts'
import type { AwsCredentials } from './aws-credentials.ts'
import { PresignedUrl } from './presigned-url.ts'

/** Law: the service refuses more ("Setting up a WebSocket stream"). It bounds the handshake, not the stream. */
export const MAX_EXPIRES_SECONDS = 300

export interface PresignInput {
  /** Host as in the Host header of the request: with the port, unless it is the default of the scheme. */
  readonly host: string
  readonly path: string
  /** `wss` or `ws`; plain `ws` is for a local service. */
  readonly secure: boolean
  readonly region: string
  /** Service of the credential scope; `transcribe` unless given. */
  readonly service?: string
  /** Query without the `X-Amz-*` part. */
  readonly parameters: Readonly<Record<string, string>>
  readonly credentials: AwsCredentials
  /** Wall clock of the service, ms since 1970. */
  readonly signingDateMs: number
  /** 1 … `MAX_EXPIRES_SECONDS`. */
  readonly expiresSeconds: number
}

/**
 * @throws {RelayError} `not_ready` for credentials that cannot work.
 * @throws {RangeError} for an expiry out of bounds or a parameter that belongs to the signature.
 */
export async function presignUrl(input: PresignInput): Promise<PresignedUrl> {
  const {
    host,
    path,
    secure,
    region,
    service = 'transcribe',
    parameters,
    credentials,
    expiresSeconds,
  } = input
  assertUsableCredentials(credentials)
  checkExpiry(expiresSeconds)
  checkParameterNames(parameters)
  // The paths of the service need no escaping, and a proxy in front of it may want its own left alone.
  const signer = createSigner({ region, service, credentials, uriEscapePath: false })
  const signed = await signer.presign(
    {
      method: 'GET',
      protocol: secure ? 'wss:' : 'ws:',
      hostname: host,
      path,
      query: { ...parameters },
      headers: { host },
    },
    { signingDate: new Date(input.signingDateMs), expiresIn: expiresSeconds },
  )
  return new PresignedUrl(`${secure ? 'wss' : 'ws'}://${host}${path}?${encodeQuery(signed.query ?? {})}`)
}

export interface SignRequestInput {
  readonly method: string
  readonly url: string
  readonly service: string
  readonly region: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
  readonly credentials: AwsCredentials
  readonly signingDateMs: number
}

export interface SignedRequest {
  readonly method: string
  /** The URL to send to: the query is re-encoded the way it was signed. */
  readonly url: string
  /** Headers to send, `authorization`, `host` and the `x-amz-*` ones included. They are secret. */
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Signs any AWS request in its `Authorization` header.
 *
 * @throws {RelayError} `invalid_request` for a URL that is not HTTP, `not_ready` for credentials that cannot work.
 */
export async function signRequest(input: SignRequestInput): Promise<SignedRequest> {
  assertUsableCredentials(input.credentials)
  const url = parseHttpUrl(input.url)
  const query = decodeQuery(url.search)
  const signer = createSigner({
    region: input.region,
    service: input.service,
    credentials: input.credentials,
    // Amazon S3 is the one service that signs the path as it stands (IAM user guide, "Create a signed request").
    uriEscapePath: input.service !== 's3',
  })
  const signed = await signer.sign(
    {
      method: input.method,
      protocol: url.protocol,
      hostname: url.hostname,
      path: url.pathname,
      query,
      headers: { ...input.headers, host: url.host },
      body: input.body,
    },
    { signingDate: new Date(input.signingDateMs) },
  )
  const search = encodeQuery(query)
  return {
    method: input.method,
    url: `${url.origin}${url.pathname}${search === '' ? '' : `?${search}`}`,
    headers: signed.headers,
  }
}

interface SignerInput {
  readonly region: string
  readonly service: string
  readonly credentials: AwsCredentials
  readonly uriEscapePath: boolean
}

function createSigner({ region, service, credentials, uriEscapePath }: SignerInput): SignatureV4 {
  const { accessKeyId, secretAccessKey, sessionToken } = credentials
  return new SignatureV4({
    region,
    service,
    uriEscapePath,
    sha256: NodeSha256,
    credentials: sessionToken
      ? { accessKeyId, secretAccessKey, sessionToken }
      : { accessKeyId, secretAccessKey },
  })
}

type HashInput = string | ArrayBuffer | ArrayBufferView

/** SHA-256 or, with a secret, HMAC-SHA-256, in the shape the signer asks for; on the native code of Node.js. */
class NodeSha256 {
  readonly #hash: { update(data: string | Uint8Array): unknown; digest(): Uint8Array }

  constructor(secret?: HashInput) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', toHashable(secret))
  }

  update(data: HashInput): void {
    this.#hash.update(toHashable(data))
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest()
  }
}

function toHashable(data: HashInput): string | Uint8Array {
  if (typeof data === 'string') return data
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data)
}

function checkExpiry(expiresSeconds: number): void {
  if (Number.isInteger(expiresSeconds) && expiresSeconds >= 1 && expiresSeconds <= MAX_EXPIRES_SECONDS) return
  throw new RangeError(
    `expiresSeconds is ${expiresSeconds}; it must be a whole number from 1 to ${MAX_EXPIRES_SECONDS}`,
  )
}

/** A parameter that the signature owns would replace it. Validation stops it earlier; this is the last door. */
function checkParameterNames(parameters: Readonly<Record<string, string>>): void {
  for (const name of Object.keys(parameters)) {
    if (!name.toLowerCase().startsWith('x-amz-')) continue
    throw new RangeError(`parameter ${name} is not allowed: X-Amz-* belongs to the signature`)
  }
}

function parseHttpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url?.protocol === 'https:' || url?.protocol === 'http:') return url
  // The text may be anything, a secret too, so it is not repeated.
  throw new RelayError('invalid_request', { message: 'url must be an http:// or https:// URL' })
}

type Query = Record<string, string | string[] | null>

/** Pairs of a query, `+` taken as itself: only forms mean a space by it, and AWS reads none. */
function decodeQuery(search: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = {}
  for (const pair of search.slice(1).split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = decodeQueryPart(equals === -1 ? pair : pair.slice(0, equals))
    const value = equals === -1 ? '' : decodeQueryPart(pair.slice(equals + 1))
    const known = query[name]
    query[name] = known === undefined ? value : [known, value].flat()
  }
  return query
}

function decodeQueryPart(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw new RelayError('invalid_request', {
      message: 'the query of url holds a percent sign that is no UTF-8 escape',
      cause: error,
    })
  }
}

function encodeQuery(query: Query): string {
  return Object.keys(query)
    .flatMap(name => [query[name] ?? ''].flat().map(value => `${encodePart(name)}=${encodePart(value)}`))
    .join('&')
}

/** RFC 3986: everything but the unreserved characters. `encodeURIComponent` leaves five more bare. */
function encodePart(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, escapeCharacter)
}

function escapeCharacter(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
