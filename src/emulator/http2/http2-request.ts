/**
 * Judges a request of the HTTP/2 side. What is a query parameter of the WebSocket is a header with a prefix here;
 * everything else is the same.
 *
 * Source: API Reference, "StartStreamTranscription" (request headers).
 */
import type { IncomingHttpHeaders } from 'node:http2'
import type { Account } from '../accounts.ts'
import { readParameters, refused, splitUrl, type HandshakeVerdict } from '../handshake.ts'
import { parseQuery } from '../query.ts'
import type { ChunkSigningSeed } from './chunk-signature.ts'
import { verifyRequest } from './request-signature.ts'

const HTTP2_STREAM_PATH = '/stream-transcription'
/** Before every parameter, in requests and answers. */
export const PARAMETER_PREFIX = 'x-amzn-transcribe-'
export const EVENT_STREAM_TYPE = 'application/vnd.amazon.eventstream'

export interface Http2Request {
  readonly headers: IncomingHttpHeaders
  readonly region: string
  readonly accounts: readonly Account[]
  readonly nowMs: number
  readonly badParameters: 'exception' | 'http400'
  /** The session id for a client that gave none. */
  readonly newSessionId: string
}

export interface Http2Verdict {
  readonly verdict: HandshakeVerdict
  /** Of an accepted request. */
  readonly seed: ChunkSigningSeed | null
}

export function judgeHttp2Request(request: Http2Request): Http2Verdict {
  const { headers } = request
  const method = headers[':method'] ?? ''
  const { path, rawQuery } = splitUrl(headers[':path'] ?? '')
  const pairs = parseQuery(rawQuery)
  if (path !== HTTP2_STREAM_PATH || method !== 'POST' || pairs === null) {
    return refuse(404, 'UnknownOperationException', 'There is nothing at this path.')
  }
  const signed = verifyRequest({ ...request, method, path, pairs })
  if (!signed.ok) return { verdict: refused(signed.refusal), seed: null }
  const contentType = headers['content-type']
  if (contentType !== EVENT_STREAM_TYPE) {
    return refuse(400, 'BadRequestException', `content-type must be ${EVENT_STREAM_TYPE}.`)
  }
  const query = parametersOf(headers)
  const stream = readParameters(Object.entries(query))
  if ('name' in stream && request.badParameters === 'http400') return refuse(400, stream.name, stream.message)
  const sessionId = query['session-id'] ?? request.newSessionId
  const verdict = {
    kind: 'accepted',
    account: signed.account,
    sessionId,
    query,
    stream,
    location: path,
  } as const
  return { verdict, seed: signed.seed }
}

function parametersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const parameters: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(PARAMETER_PREFIX) || value === undefined) continue
    // Node joins repeated headers with a comma; as one value they then break the parameter's own rule.
    parameters[name.slice(PARAMETER_PREFIX.length)] = String(value)
  }
  return parameters
}

function refuse(status: number, name: string, message: string): Http2Verdict {
  return { verdict: refused({ status, name, message }), seed: null }
}
