/**
 * What the listening side counts. The values of every label are closed lists; `metrics/` implements this.
 */
import type { ErrorCode } from '../errors.ts'

/** Reasons for which the native socket drops a client by itself: no Close frame, the client sees 1006. */
export const VIOLATION_CODES = ['invalid_frame', 'invalid_utf8', 'invalid_close', 'too_big_native'] as const

export type ViolationCode = (typeof VIOLATION_CODES)[number]

export interface ServerMetrics {
  /**
   * Every request of the client port, counted once. `code` is `normal` when accepted, `client_closed` when the client
   * left before the answer. What the native parser answers by itself (400 without Host, 431, 505) is not seen.
   */
  countHandshake(outcome: 'accepted' | 'rejected', code: ErrorCode): void
  /** From the parsed request to upgrade to its answer, the time of `authorize` included. */
  observeHandshakeSeconds(seconds: number): void
  countViolation(code: ViolationCode): void
  /** A client that did not read what was left for it within the close time-out. */
  countForcedClose(): void
  /** A TCP connection closed at once because the cap is reached. */
  countConnectionRefused(): void
}
