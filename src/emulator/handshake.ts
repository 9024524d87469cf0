/**
 * Judges an upgrade request: refused with an HTTP status, or accepted, perhaps only to end with an exception. Pure but
 * for the ids it is given.
 *
 * Source: Amazon Transcribe Developer Guide, "Setting up a WebSocket stream".
 */
import { STANDARD_PARAMETERS } from '../transcribe/parameter-table.ts'
import { validateParameters, type StreamParameters } from '../transcribe/parameters.ts'
import type { Account } from './accounts.ts'
import { exceptions, type HandshakeRefusal, type StreamException } from './exceptions.ts'
import { canonicalQuery, parseQuery, type QueryPair } from './query.ts'
import { verifySignature } from './signature.ts'

const STREAM_PATH = '/stream-transcription-websocket'

export interface HandshakeRequest {
  /** Path and query as in the request line. */
  readonly url: string
  readonly host: string
  readonly region: string
  readonly accounts: readonly Account[]
  readonly nowMs: number
  readonly badParameters: 'exception' | 'http400'
  /** The `session-id` for a client that gave none. */
  readonly newSessionId: string
}

export type HandshakeVerdict =
  | { readonly kind: 'refused'; readonly refusal: HandshakeRefusal }
  | {
      readonly kind: 'accepted'
      readonly account: Account
      readonly sessionId: string
      /** The query by name, without the `X-Amz-*` part. */
      readonly query: Readonly<Record<string, string>>
      /** What the query means, or the exception with which the stream is to end at once. */
      readonly stream: StreamParameters | StreamException
      /** Path and query for `websocket-location`: with the session id, without anything that could be used again. */
      readonly location: string
    }

export function judgeHandshake(request: HandshakeRequest): HandshakeVerdict {
  const { path, rawQuery } = splitUrl(request.url)
  if (path !== STREAM_PATH) {
    return refused({
      status: 404,
      name: 'UnknownOperationException',
      message: 'There is nothing at this path.',
    })
  }
  const pairs = parseQuery(rawQuery)
  if (pairs === null) {
    return refused({
      status: 400,
      name: 'BadRequestException',
      message: 'The query string has a malformed percent sequence.',
    })
  }
  const verdict = verifySignature({ ...request, path, pairs })
  if (!verdict.ok) return refused(verdict.refusal)
  const ownPairs = pairs.filter(([name]) => !name.startsWith('X-Amz-'))
  const stream = readParameters(ownPairs)
  if ('name' in stream && request.badParameters === 'http400') return refused({ status: 400, ...stream })
  const query = Object.fromEntries(ownPairs)
  const sessionId = query['session-id'] ?? request.newSessionId
  return {
    kind: 'accepted',
    account: verdict.account,
    sessionId,
    query,
    stream,
    location: `${path}?${canonicalQuery(Object.entries({ ...query, 'session-id': sessionId }))}`,
  }
}

/** Names that the service does not know are ignored: its own SDK sends some. */
export function readParameters(pairs: readonly QueryPair[]): StreamParameters | StreamException {
  const known: Record<string, string> = {}
  for (const [name, value] of pairs) {
    if (!Object.hasOwn(STANDARD_PARAMETERS, name)) continue
    if (Object.hasOwn(known, name)) return exceptions.badParameters(`${name} must be given once.`)
    known[name] = value
  }
  const validation = validateParameters(known)
  if (validation.ok) return validation.parameters
  const sentences = validation.problems.map(({ parameter, value, rule }) =>
    value === null ? `${parameter} ${rule}.` : `${parameter} ${rule}, got ${JSON.stringify(value)}.`,
  )
  return exceptions.badParameters(sentences.join(' '))
}

export function splitUrl(url: string): { path: string; rawQuery: string } {
  const questionMark = url.indexOf('?')
  if (questionMark === -1) return { path: url, rawQuery: '' }
  return { path: url.slice(0, questionMark), rawQuery: url.slice(questionMark + 1) }
}

export function refused(refusal: HandshakeRefusal): HandshakeVerdict {
  return { kind: 'refused', refusal }
}
