/**
 * From what a client gave, in the query and in its `Configure` message, to a stream it may have.
 */
import { RelayError } from '../errors.ts'
import type { StreamDefaults, StreamRequest } from '../protocol/stream-request.ts'
import { describeProblems, readStreamRequest } from '../protocol/stream-request.ts'
import type { SessionRequest } from './host.ts'

/** Returns what the session ends with where the parameters are not valid, or not this client's to use. */
export function configureStream(
  given: ReadonlyMap<string, string>,
  defaults: StreamDefaults,
  { access }: Pick<SessionRequest, 'access'>,
): StreamRequest | RelayError {
  const result = readStreamRequest(given, defaults)
  if (!result.ok) return new RelayError('invalid_request', { message: describeProblems(result.problems) })
  return access?.refusalOf(result.stream) ?? result.stream
}
