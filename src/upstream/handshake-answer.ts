/**
 * Reads what Amazon Transcribe answered to an upgrade: the identifiers of a 101, or a bounded part of a refusal.
 *
 * The form of a refusal is not documented. Elsewhere in AWS the name of the error is in `x-amzn-ErrorType` or in a
 * JSON body; both are looked at, and everything taken out is cut and checked.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { readException } from '../transcribe/exceptions.ts'
import type { RefusedUpgrade } from './connect-failure.ts'

/** Ours. Real refusals have a few hundred bytes. */
const MAX_REFUSAL_BODY_BYTES = 4096

const MAX_HEADER_CHARACTERS = 128

/** `x-amzn-RequestId`, which Amazon's support asks for. */
export function requestIdOf(headers: IncomingHttpHeaders | undefined): string | null {
  const value = headerOf(headers, 'x-amzn-requestid')
  return value !== null && /^[\w.:=+/-]+$/.test(value) ? value : null
}

/** The `session-id` in `websocket-location` of a 101: ours, or the one the service chose. */
export function sessionIdOf(headers: IncomingHttpHeaders | undefined): string | null {
  const location = headers?.['websocket-location']
  if (typeof location !== 'string') return null
  const [, id] = /[?&]session-id=([\w-]{1,64})(?:&|$)/.exec(location) ?? []
  return id ?? null
}

/**
 * Collects a refusal and hands it over once: when its body ends, breaks off, or reaches the limit.
 *
 * @returns hands over at once what has come so far.
 */
export function readRefusal(
  answer: IncomingMessage,
  onRefusal: (refusal: RefusedUpgrade) => void,
): () => void {
  const chunks: Buffer[] = []
  let receivedBytes = 0
  let done = false

  function answerOnData(chunk: Buffer): void {
    const kept = chunk.subarray(0, MAX_REFUSAL_BODY_BYTES - receivedBytes)
    chunks.push(kept)
    receivedBytes += kept.length
    if (receivedBytes >= MAX_REFUSAL_BODY_BYTES) finish()
  }

  function finish(): void {
    if (done) return
    done = true
    answer.off('data', answerOnData)
    onRefusal(describe(answer, Buffer.concat(chunks).toString('utf8')))
  }

  answer.on('data', answerOnData)
  answer.on('end', finish)
  answer.on('error', finish)
  answer.on('close', finish)
  return finish
}

function describe({ statusCode = 0, headers }: IncomingMessage, body: string): RefusedUpgrade {
  const errorType = headerOf(headers, 'x-amzn-errortype') ?? undefined
  return {
    status: statusCode,
    exception: readException(name => (name === ':exception-type' ? errorType : undefined), body),
    requestId: requestIdOf(headers),
    date: headerOf(headers, 'date'),
    age: headerOf(headers, 'age'),
  }
}

function headerOf(headers: IncomingHttpHeaders | undefined, name: string): string | null {
  const value = headers?.[name]
  return typeof value === 'string' ? value.slice(0, MAX_HEADER_CHARACTERS) : null
}
