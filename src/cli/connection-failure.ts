/**
 * Failures that the relay did not report itself, in the words of those that it does: nobody answered, something else
 * answered, or the connection ended without an `Error` message.
 */
import type { RelayFailure } from './server-message.ts'

/** Nothing speaks against another try. */
export const LOCAL = { retryable: true, retryAfterMs: null, requestId: null } as const

/** Without a word of the relay: the network, or something between. */
export const CONNECTION_FAILURES: ReadonlySet<string> = new Set(['connection_failed', 'connection_closed'])

/** For a refused upgrade whose body is none of the protocol. */
export function describeRefusal(status: number): RelayFailure {
  // Something else answered: 5xx and 429 may pass, the rest will not.
  const retryable = status >= 500 || status === 429
  const message = `The upgrade was answered with HTTP ${status}. Is this the address of a relay?`
  return { ...LOCAL, retryable, code: `http_${status}`, message }
}

/** For a socket that broke, or never was one. */
export function describeBreak(error: Error, wasOpen: boolean): RelayFailure {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.message
  const what = wasOpen ? 'The connection to the relay broke' : 'The relay cannot be reached'
  return { ...LOCAL, code: 'connection_failed', message: `${what} (${code}).` }
}

const CLOSE_NORMAL = 1000

/** For a close without an `Error` message before it: 44xx and client bugs stop, all else may be tried again. */
export function describeClose(closeCode: number, reason: string): RelayFailure {
  const final = [1002, 1003, 1007, 1008, 1009].includes(closeCode) || (closeCode >= 4400 && closeCode < 4500)
  const code = /^[a-z_]{1,64}$/.test(reason) ? reason : 'connection_closed'
  const early = closeCode === CLOSE_NORMAL ? ', but did not end it before' : ''
  return {
    ...LOCAL,
    retryable: !final,
    code,
    message: `The relay closed the stream with ${closeCode}${early}.`,
  }
}
