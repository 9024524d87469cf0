/**
 * Where to dial: host, port and path of the service in a region, or of whatever an override names.
 *
 * The service speaks WebSocket on port 8443, and the port is part of the signed `Host` header. An override (an emulator, a
 * VPC endpoint) is `ws://` or `wss://` (or `http://`, `https://`) with a host and nothing behind it. Without a port, `wss`
 * means 8443 as at the service itself, also on VPC endpoints, and `ws` means 80; 443 must be written out.
 *
 * That 8443 is served on FIPS and dual-stack names as well is not documented; an override reaches any other name.
 *
 * Source: endpoint rules of the AWS SDKs; Developer Guide, "Setting up a WebSocket stream".
 */
import { OPERATIONS } from './operations.ts'
import type { OperationName } from './operations.ts'
import { showText } from './parameter-problems.ts'
import {
  FIPS_REGIONS,
  PARTITIONS,
  partitionOf,
  REGIONS_WITHOUT_DUAL_STACK,
  REGIONS_WITHOUT_STREAMING,
  REGION_PATTERN,
  STREAMING_REGIONS,
} from './regions.ts'

export interface EndpointRequest {
  readonly region: string | null | undefined
  /** Host with validated cryptography. */
  readonly fips?: boolean | undefined
  /** Host with IPv4 and IPv6 addresses. */
  readonly dualStack?: boolean | undefined
  readonly endpointOverride?: string | null | undefined
  readonly operation?: OperationName | undefined
}

export interface Endpoint {
  /** For the signature, also with an override. */
  readonly region: string
  /** `ws:` or `wss:` URL without a query. */
  readonly url: string
  /** As it stands in the `Host` header: with the port, unless it is the scheme's own (443, 80). */
  readonly host: string
  /** Without the port; an IPv6 address in brackets. */
  readonly hostname: string
  readonly port: number
  readonly secure: boolean
  readonly path: string
  /** Sentences for the log of the start. */
  readonly warnings: readonly string[]
}

export type EndpointField = 'region' | 'endpointOverride'

/** The endpoint cannot be. `message` is the sentence made of field, rule and value. */
export class EndpointError extends Error {
  override readonly name = 'EndpointError'
  readonly field: EndpointField
  /** Fit to be shown; `null` when nothing was given. */
  readonly value: string | null
  readonly rule: string

  constructor(field: EndpointField, value: string | null, rule: string) {
    super(value === null ? `${field} ${rule}.` : `${field} ${rule}, got "${value}".`)
    this.field = field
    this.value = value
    this.rule = rule
  }
}

/** Where the service itself speaks WebSocket. */
const STREAMING_PORT = 8443
const HTTPS_PORT = 443
const HTTP_PORT = 80
const MAX_PORT = 65_535

/** Throws EndpointError. */
export function resolveEndpoint(request: EndpointRequest): Endpoint {
  const region = readRegion(request.region)
  const { path } = OPERATIONS[request.operation ?? 'standard']
  const override = request.endpointOverride ?? null
  if (override !== null) return overriddenEndpoint(override, region, path, request)
  if (REGIONS_WITHOUT_STREAMING.has(region)) {
    throw new EndpointError(
      'region',
      region,
      'must be a region where Amazon Transcribe streams (this one has batch transcription at most)',
    )
  }
  const { dnsSuffix, dualStackSuffix } = partitionOf(region)
  const service = request.fips === true ? 'transcribestreaming-fips' : 'transcribestreaming'
  const suffix = request.dualStack === true ? dualStackSuffix : dnsSuffix
  const hostname = `${service}.${region}.${suffix}`
  return makeEndpoint(region, hostname, STREAMING_PORT, true, path, regionWarnings(region, request))
}

function readRegion(region: string | null | undefined): string {
  if (region === null || region === undefined || region === '') {
    throw new EndpointError('region', null, 'must be given, such as us-east-1')
  }
  if (!REGION_PATTERN.test(region)) {
    throw new EndpointError('region', showText(region), 'must be the name of an AWS region such as us-east-1')
  }
  return region
}

function regionWarnings(region: string, { fips, dualStack }: EndpointRequest): string[] {
  const warnings: string[] = []
  if (!PARTITIONS.some(({ regionPattern }) => regionPattern.test(region))) {
    warnings.push(`Region ${region} belongs to no known partition; the host name is a guess.`)
  } else if (!STREAMING_REGIONS.has(region)) {
    warnings.push(`Region ${region} is not known to have Amazon Transcribe streaming.`)
  }
  if (fips === true && !FIPS_REGIONS.has(region)) {
    warnings.push(`Region ${region} is not known to have a FIPS host name for Amazon Transcribe streaming.`)
  }
  if (dualStack === true && REGIONS_WITHOUT_DUAL_STACK.has(region)) {
    warnings.push(
      `Region ${region} is known to have no dual-stack host name for Amazon Transcribe streaming.`,
    )
  }
  return warnings
}

function overriddenEndpoint(
  override: string,
  region: string,
  path: string,
  request: EndpointRequest,
): Endpoint {
  const shown = showText(override.replace(/\/\/.*@/s, '//***@'))
  if (request.fips === true || request.dualStack === true) {
    throw new EndpointError(
      'endpointOverride',
      shown,
      'cannot be combined with FIPS or dual-stack: name that host itself',
    )
  }
  // Taken apart by hand: URL drops a port that is the scheme's own, and 443 must stay different from none.
  const form = /^(ws|http)(s?):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?\/?$/i.exec(override)
  if (form === null || !URL.canParse(override)) {
    throw new EndpointError(
      'endpointOverride',
      shown,
      'must be ws://host or wss://host with an optional port, and no user, path or query',
    )
  }
  const { hostname } = new URL(override)
  const secure = form[2] !== ''
  const port = form[4] === undefined ? (secure ? STREAMING_PORT : HTTP_PORT) : Number(form[4])
  if (port < 1 || port > MAX_PORT) {
    throw new EndpointError('endpointOverride', shown, `must have a port from 1 to ${MAX_PORT}`)
  }
  const warnings =
    secure || isLoopback(hostname)
      ? []
      : [`The way to ${hostname} is not encrypted: audio, transcripts and signed URLs can be read on it.`]
  return makeEndpoint(region, hostname, port, secure, path, warnings)
}

function makeEndpoint(
  region: string,
  hostname: string,
  port: number,
  secure: boolean,
  path: string,
  warnings: readonly string[],
): Endpoint {
  // HTTP clients leave the scheme's own port out of `Host`, and what is signed must be what is sent.
  const host = port === (secure ? HTTPS_PORT : HTTP_PORT) ? hostname : `${hostname}:${port}`
  const url = `${secure ? 'wss' : 'ws'}://${host}${path}`
  return Object.freeze({ region, url, host, hostname, port, secure, path, warnings })
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}
