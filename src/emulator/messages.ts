/** The three kinds of message that the service sends, as bytes. */
import { encodeMessage, type HeaderValue } from '../eventstream/index.ts'
import type { StreamException } from './exceptions.ts'
import type { WireResult } from './wire-results.ts'

export function transcriptEvent(results: readonly WireResult[]): Buffer {
  return jsonEvent('TranscriptEvent', { Transcript: { Results: results } })
}

function jsonEvent(eventType: string, payload: unknown): Buffer {
  return encode(
    { ':message-type': 'event', ':event-type': eventType, ':content-type': 'application/json' },
    JSON.stringify(payload),
  )
}

export function exceptionMessage(exception: StreamException): Buffer {
  return encode(
    {
      ':exception-type': exception.name,
      ':content-type': 'application/json',
      ':message-type': 'exception',
    },
    JSON.stringify({ Message: exception.message }),
  )
}

/** An error that the service's model does not know: no payload, all is in the headers. */
export function unmodelledError(code: string, message: string): Buffer {
  return encode({ ':message-type': 'error', ':error-code': code, ':error-message': message }, '')
}

/** Any string headers and any text, for messages that the service would not send. */
export function encode(headers: Readonly<Record<string, string>>, payload: string): Buffer {
  const typed = Object.entries(headers).map(([name, value]): [string, HeaderValue] => [
    name,
    { type: 'string', value },
  ])
  return encodeMessage(new Map(typed), Buffer.from(payload, 'utf8'))
}
