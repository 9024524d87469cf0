/**
 * Why one connection attempt failed: a closed list, because every reason is a label of a metric, and each tells an
 * operator something else to do.
 */
import type { ServiceException } from '../transcribe/exceptions.ts'
export const CONNECT_REASONS = Object.freeze([
  /** The name does not resolve: in a region without streaming it never will. */
  'dns',
  'refused',
  'unreachable',
  'tls',
  'timeout',
  /** The other side broke the connection before it answered. */
  'reset',
  /** An answer that is not HTTP, or a 101 that is not WebSocket. */
  'protocol',
  'http_3xx',
  'http_400',
  'http_401',
  'http_403',
  'http_404',
  'http_429',
  'http_4xx',
  'http_500',
  'http_502',
  'http_503',
  'http_504',
  'http_5xx',
  'http_other',
  /** Something of this machine: no file descriptor, no port, no memory. */
  'local',
] as const)

export type ConnectReason = (typeof CONNECT_REASONS)[number]

/** The HTTP answer that refused the upgrade. */
export interface RefusedUpgrade {
  readonly status: number
  /** Name and text out of `x-amzn-ErrorType` and the first 4 KiB of the body. The text is not to be printed. */
  readonly exception: ServiceException
  readonly requestId: string | null
  readonly date: string | null
  readonly age: string | null
}

export interface ConnectFailure {
  readonly reason: ConnectReason
  /** A system or TLS error code such as `ECONNREFUSED`; `null`: none. Bounded, no secret. */
  readonly errorCode: string | null
  readonly refusal: RefusedUpgrade | null
  /** From the start of the attempt to its failure. */
  readonly durationMs: number
}

/** How far an attempt had come. */
export type ConnectPhase = 'lookup' | 'connect' | 'tls' | 'upgrade'

const REASON_BY_ERROR_CODE: Readonly<Record<string, ConnectReason>> = {
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETDOWN: 'unreachable',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ECONNABORTED: 'reset',
  EMFILE: 'local',
  ENFILE: 'local',
  ENOMEM: 'local',
  ENOBUFS: 'local',
  EADDRNOTAVAIL: 'local',
  EACCES: 'local',
  EPERM: 'local',
}

const MAX_ERROR_CODE_CHARACTERS = 64

/** `code` of a Node.js error, cut; `null`: it has none. */
export function errorCodeOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null
  return error.code.slice(0, MAX_ERROR_CODE_CHARACTERS)
}

export function reasonOfError(error: unknown, phase: ConnectPhase): ConnectReason {
  const code = errorCodeOf(error)
  const known = code === null ? undefined : REASON_BY_ERROR_CODE[code]
  if (known !== undefined) return known
  if (phase === 'lookup') return 'dns'
  if (phase === 'tls') return 'tls'
  return phase === 'upgrade' ? 'protocol' : 'unreachable'
}

const KNOWN_REASONS: ReadonlySet<string> = new Set(CONNECT_REASONS)

export function reasonOfStatus(status: number): ConnectReason {
  const exact = `http_${status}`
  if (isReason(exact)) return exact
  const kind = `http_${Math.floor(status / 100)}xx`
  return isReason(kind) ? kind : 'http_other'
}

function isReason(text: string): text is ConnectReason {
  return KNOWN_REASONS.has(text)
}
