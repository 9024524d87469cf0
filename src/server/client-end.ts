/**
 * Why a client's socket is gone, read from what the native socket says: the close code of the wire, or 1006 and one of
 * a few fixed sentences. The sentences are uWebSockets' own (`WebSocketProtocol.h`, version 20).
 */
import type { ErrorCode } from '../errors.ts'
import type { ClientEnd } from '../session/ports.ts'
import type { ViolationCode } from './metrics.ts'
import { VIOLATION_CODES } from './metrics.ts'

/** The native close code without a Close frame on the wire. A client cannot send it. */
export const ABNORMAL_CLOSE_CODE = 1006

const ABNORMAL_REASONS: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['Received too big message', 'too_big_native'],
  // Without compression there is no inflation: it is the size.
  ['Received too big message, or other inflation error', 'too_big_native'],
  ['Received invalid UTF-8', 'invalid_utf8'],
  ['Received invalid close payload', 'invalid_close'],
  ['Received invalid WebSocket frame', 'invalid_frame'],
  ['Received TCP FIN before WebSocket close frame', 'tcp_fin'],
  ['WebSocket timed out from inactivity', 'ping_timeout'],
])

/** `reason` is trusted only with 1006, where it is the native socket's own; otherwise the client wrote it. */
export function readClientEnd(closeCode: number, reason: ArrayBuffer): ClientEnd {
  if (closeCode !== ABNORMAL_CLOSE_CODE) return { code: 'client_closed', closeCode }
  // A reset comes without a sentence; so would a reason of a later version that is not in the table.
  const code = ABNORMAL_REASONS.get(Buffer.from(reason).toString()) ?? 'tcp_reset'
  return { code, closeCode }
}

export function isViolation(code: ErrorCode): code is ViolationCode {
  return (VIOLATION_CODES as readonly ErrorCode[]).includes(code)
}
