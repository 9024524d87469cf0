/**
 * What follows from a failed attempt: which error of the catalogue it is, and whether another attempt makes sense.
 */
import { RelayError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { classifyHandshakeStatus, safeDetail } from '../transcribe/exceptions.ts'
import type { ConnectFailure, ConnectReason } from './connect-failure.ts'

const CODE_BY_REASON: Readonly<Partial<Record<ConnectReason, ErrorCode>>> = {
  dns: 'upstream_unavailable',
  refused: 'upstream_unavailable',
  unreachable: 'upstream_unavailable',
  tls: 'upstream_unavailable',
  reset: 'upstream_unavailable',
  timeout: 'upstream_timeout',
  protocol: 'upstream_protocol',
}

/**
 * Passing troubles of the way or of one server. A refused certificate, a refused request and an exhausted quota are
 * the same a moment later; more attempts at those would only add load.
 */
const TRANSIENT: ReadonlySet<ConnectReason> = new Set<ConnectReason>([
  'dns',
  'refused',
  'unreachable',
  'timeout',
  'reset',
  'http_500',
  'http_502',
  'http_503',
  'http_504',
])

export function codeOfFailure({ reason, refusal }: ConnectFailure): ErrorCode {
  if (refusal === null) return CODE_BY_REASON[reason] ?? 'internal'
  return classifyHandshakeStatus(refusal.status, refusal.exception.name, refusal.exception.message)
}

export function errorOfFailure(failure: ConnectFailure): RelayError {
  const { reason, errorCode, refusal } = failure
  const about = refusal === null ? errorCode : safeDetail(refusal.exception.name, refusal.exception.message)
  return new RelayError(codeOfFailure(failure), { detail: about === null ? reason : `${reason}: ${about}` })
}

/** Whether the same request may succeed a moment later. Refused credentials are another matter. */
export function isTransient(failure: ConnectFailure): boolean {
  if (!TRANSIENT.has(failure.reason)) return false
  const code = codeOfFailure(failure)
  return code !== 'upstream_auth' && code !== 'upstream_throttled'
}

/**
 * Wait before attempt `retry` + 1: exponential with full jitter, so that sessions that failed together do not come
 * back together.
 *
 * @param retry 1 for the first one.
 * @param random 0 ≤ x < 1.
 */
export function backoffDelay(retry: number, baseMs: number, random: number): number {
  return random * baseMs * 2 ** (retry - 1)
}
