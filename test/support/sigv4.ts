/**
 * A second Signature Version 4, written from the specification (IAM user guide, "Create a signed AWS API request") on
 * node:crypto alone: the oracle of the signer, and a verifier that reads a URL the way a service does, from its bytes.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

export interface ReferenceInput {
  readonly host: string
  readonly path: string
  readonly region: string
  readonly service: string
  readonly parameters: Readonly<Record<string, string>>
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly signingDateMs: number
  readonly expiresSeconds: number
}

const UNRESERVED = /[A-Za-z0-9\-_.~]/

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

/** Byte by byte, unlike the product's, which builds on `encodeURIComponent`. */
function percentEncode(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text, 'utf8')) {
    const character = String.fromCharCode(byte)
    encoded += UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

function canonicalQuery(pairs: readonly (readonly [string, string])[]): string {
  return pairs
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .sort((a, b) => Buffer.compare(Buffer.from(a[0]), Buffer.from(b[0])))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function signature(
  secret: string,
  stamp: string,
  region: string,
  service: string,
  canonical: string,
): string {
  const day = stamp.slice(0, 8)
  const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${day}/${region}/${service}/aws4_request\n${sha256(canonical)}`
  let key: Buffer = Buffer.from(`AWS4${secret}`, 'utf8')
  for (const part of [day, region, service, 'aws4_request']) {
    key = createHmac('sha256', key).update(part, 'utf8').digest()
  }
  return createHmac('sha256', key).update(toSign, 'utf8').digest('hex')
}

function canonicalRequest(host: string, path: string, query: string): string {
  return `GET\n${path}\n${query}\nhost:${host}\n\nhost\n${sha256('')}`
}

export interface ReferencePresign {
  readonly canonicalQuery: string
  readonly canonicalHash: string
  readonly signature: string
}

export function presignReference(input: ReferenceInput): ReferencePresign {
  const stamp = new Date(input.signingDateMs).toISOString().replace(/\.\d+/, '').replace(/[-:]/g, '')
  const scope = `${stamp.slice(0, 8)}/${input.region}/${input.service}/aws4_request`
  const pairs: [string, string][] = [
    ...Object.entries(input.parameters),
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${input.accessKeyId}/${scope}`],
    ['X-Amz-Date', stamp],
    ['X-Amz-Expires', String(input.expiresSeconds)],
    ['X-Amz-SignedHeaders', 'host'],
  ]
  if (input.sessionToken) pairs.push(['X-Amz-Security-Token', input.sessionToken])
  const query = canonicalQuery(pairs)
  const canonical = canonicalRequest(input.host, input.path, query)
  return {
    canonicalQuery: query,
    canonicalHash: sha256(canonical),
    signature: signature(input.secretAccessKey, stamp, input.region, input.service, canonical),
  }
}

/** Pairs of a query as a service sees them: percent escapes decoded, `+` left alone. */
export function decodedPairs(url: string): [string, string][] {
  const query = url.slice(url.indexOf('?') + 1)
  return query.split('&').map(pair => {
    const equals = pair.indexOf('=')
    return [decodeURIComponent(pair.slice(0, equals)), decodeURIComponent(pair.slice(equals + 1))]
  })
}

/** Whether the target of a request line and its Host header carry a good signature. */
export function verifyPresigned(target: string, hostHeader: string, secretAccessKey: string): boolean {
  const pairs = decodedPairs(target)
  const given = pairs.find(([name]) => name === 'X-Amz-Signature')?.[1] ?? ''
  const signed = pairs.filter(([name]) => name !== 'X-Amz-Signature')
  const [, region = '', service = ''] =
    signed
      .find(([name]) => name === 'X-Amz-Credential')?.[1]
      .split('/')
      .slice(-4) ?? []
  const stamp = signed.find(([name]) => name === 'X-Amz-Date')?.[1] ?? ''
  const path = target.slice(0, target.indexOf('?'))
  const canonical = canonicalRequest(hostHeader, path, canonicalQuery(signed))
  const expected = signature(secretAccessKey, stamp, region, service, canonical)
  return given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected))
}

/** Whether a request as sent carries a good `authorization` header. */
export function verifySignedRequest(
  request: { method: string; url: string; headers: Readonly<Record<string, string>>; body: string },
  secretAccessKey: string,
): boolean {
  const headers = new Map(Object.entries(request.headers).map(([name, value]) => [name.toLowerCase(), value]))
  const [, scope = '', names = '', given = ''] =
    /Credential=[^/]+\/([^,]+), SignedHeaders=([^,]+), Signature=(\w+)$/.exec(
      headers.get('authorization') ?? '',
    ) ?? []
  const [, region = '', service = ''] = scope.split('/')
  const target = request.url.slice(request.url.indexOf('/', 'https://'.length))
  const [path = '', query = ''] = target.split('?')
  const canonical = [
    request.method,
    // The path is encoded once more, except at Amazon S3.
    service === 's3' ? path : path.split('/').map(percentEncode).join('/'),
    query === '' ? '' : canonicalQuery(decodedPairs(target)),
    ...names.split(';').map(name => `${name}:${headers.get(name) ?? ''}`),
    '',
    names,
    sha256(request.body),
  ].join('\n')
  const stamp = headers.get('x-amz-date') ?? ''
  return given === signature(secretAccessKey, stamp, region, service, canonical)
}
