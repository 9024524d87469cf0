/** HTTP answers instead of an upgrade, written to the bare socket. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { HandshakeRefusal } from './exceptions.ts'

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The JSON form in which AWS refuses. */
export function refusalAnswer(refusal: HandshakeRefusal): HttpAnswer {
  return {
    status: refusal.status,
    headers: { 'Content-Type': 'application/json', 'x-amzn-ErrorType': refusal.name },
    body: JSON.stringify({ message: refusal.message }),
  }
}

/** Writes the answer and ends the connection. `nowMs`: the wall clock that `Date` shows. */
export function writeAnswer(stream: Duplex, answer: HttpAnswer, requestId: string, nowMs: number): void {
  const body = Buffer.from(answer.body, 'utf8')
  const headers: Record<string, string> = {
    Date: new Date(nowMs).toUTCString(),
    'x-amzn-RequestId': requestId,
    ...answer.headers,
    'Content-Length': String(body.length),
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const reason = STATUS_CODES[answer.status] ?? 'Unknown'
  stream.end(
    Buffer.concat([
      Buffer.from(`HTTP/1.1 ${answer.status} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n`),
      body,
    ]),
  )
}
