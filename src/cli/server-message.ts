/**
 * What the thin client reads of the relay's messages. Lenient, as a client should be: an unknown `type` and unknown
 * members are no error, a missing member has a plain value.
 */
import type { ResultLine } from './progress.ts'

export type ServerMessage = { readonly type: string } & Readonly<Record<string, unknown>>

/** A message of the relay, or `null` for what is none. */
export function readServerMessage(text: string): ServerMessage | null {
  const value = parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  return 'type' in value && typeof value.type === 'string' ? (value as ServerMessage) : null
}

/** The results in a `Transcript` message of either format: one of `simple`, those of an event with `aws`. */
export function readResults(message: ServerMessage): readonly ResultLine[] {
  if (typeof message['text'] === 'string') return [readSimple(message)]
  const results = member(message['Transcript'], 'Results')
  return Array.isArray(results) ? results.map(readAws) : []
}

/** Why the relay refused or ended a stream. */
export interface RelayFailure {
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly retryAfterMs: number | null
  readonly requestId: string | null
}

/** An `Error` message, or the body of a refusal; `null` when it is neither. */
export function readFailure(message: Readonly<Record<string, unknown>> | null): RelayFailure | null {
  if (message === null || typeof message['code'] !== 'string') return null
  const retryAfterMs = message['retry_after_ms']
  return {
    code: message['code'],
    message: textOf(message['message']) ?? '',
    retryable: message['retryable'] === true,
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
    requestId: textOf(message['request_id']),
  }
}

function readSimple(message: ServerMessage): ResultLine {
  return {
    text: textOf(message['text']) ?? '',
    isFinal: message['is_final'] === true,
    startSeconds: numberOf(message['start']),
    endSeconds: numberOf(message['end']),
    speaker: textOf(message['speaker']),
    channel: textOf(message['channel']),
  }
}

function readAws(result: unknown): ResultLine {
  const alternatives = member(result, 'Alternatives')
  const first: unknown = Array.isArray(alternatives) ? alternatives[0] : undefined
  return {
    text: textOf(member(first, 'Transcript')) ?? '',
    isFinal: member(result, 'IsPartial') === false,
    startSeconds: numberOf(member(result, 'StartTime')),
    endSeconds: numberOf(member(result, 'EndTime')),
    speaker: null,
    channel: textOf(member(result, 'ChannelId')),
  }
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
