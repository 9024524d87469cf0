/** What a client hears at the very end. */
import type { ErrorCode, RelayError } from '../errors.ts'
import { endMessage, errorMessage } from '../protocol/server-messages.ts'
import type { SessionFigures } from './session-record.ts'

export interface Farewell {
  /** The last message; `null` when the client is gone. */
  readonly message: string | null
  /** `null`: there is nothing left to close. */
  readonly closeCode: number | null
}

export function sayFarewell(
  sessionId: string,
  code: ErrorCode,
  error: RelayError | null,
  figures: SessionFigures,
): Farewell {
  if (error !== null) {
    return { message: errorMessage(error, sessionId), closeCode: error.definition.closeCode }
  }
  if (code === 'normal') return { message: endMessage({ sessionId, ...figures }), closeCode: 1000 }
  return { message: null, closeCode: null }
}
