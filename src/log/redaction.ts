/**
 * What may be in a log line. Everything that is logged passes here: secrets are taken out by the name of their field
 * and by their form in a text, errors are reduced to what is known to be harmless, and everything has a bound.
 *
 * This is the net below the rope: code that logs hands over no secret in the first place.
 */
import { RelayError } from '../errors.ts'

const REDACTED = '[redacted]'

const MAX_TEXT_CHARS = 2048
const MAX_STACK_CHARS = 8192
const MAX_DEPTH = 4
const MAX_ENTRIES = 64

/** Compared in lower case, without `-` and `_`. A field of one of these names is never printed. */
const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'password',
  'secret',
  'apikey',
  'token',
  'accesstoken',
  'idtoken',
  'refreshtoken',
  'webidentitytoken',
  'resumetoken',
  'accesskeyid',
  'awsaccesskeyid',
  'secretaccesskey',
  'awssecretaccesskey',
  'sessiontoken',
  'awssessiontoken',
  'credentials',
  'xamzsecuritytoken',
  'xamzsignature',
  'xamzcredential',
  'signature',
  'url',
  'uri',
  'href',
  'presignedurl',
  'query',
  'querystring',
  'audio',
  'pcm',
  'transcript',
  'text',
])

/** Secrets by their form, wherever in a text they stand. The first group is kept. */
const SECRET_FORMS: readonly RegExp[] = [
  // User and password of a URL, then its query: a signature, a token.
  /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"'<>]{1,512}(?=@)/gi,
  /(\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s?"'<>]{0,1024}\?)[^\s"'<>]+/gi,
  /(\bX-Amz-(?:Signature|Credential|Security-Token)["']?[=:]\s?["']?)[^\s&"'<>]+/gi,
  /(\bBearer\s)[^\s"'<>]+/gi,
  // Identifiers of AWS keys, and JSON Web Tokens.
  /()\b(?:AKIA|ASIA)[A-Z0-9]{12,}/g,
  /()\beyJ[\w-]{5,}\.[\w-]*(?:\.[\w-]*)?/g,
]

/** A copy of `fields` that may be printed: JSON values only. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactObject(fields, 0)
}

export function redactText(text: string, maxChars = MAX_TEXT_CHARS): string {
  const short = text.length > maxChars ? `${text.slice(0, maxChars)}…` : text
  let clean = short
  for (const form of SECRET_FORMS) clean = clean.replace(form, `$1${REDACTED}`)
  return clean
}

/**
 * An error as a log shows it. The cause is reduced to its name and code: its message comes from a library, and may
 * hold the URL it could not reach.
 */
export function describeError(error: Error): Record<string, unknown> {
  const cause = error.cause instanceof Error ? { cause: describeCause(error.cause) } : {}
  if (error instanceof RelayError) {
    const { name, code, detail } = error
    const message = redactText(error.message)
    return { name, code, ...(detail === null ? {} : { detail: redactText(detail) }), message, ...cause }
  }
  return {
    name: redactText(error.name),
    ...codeOf(error),
    message: redactText(error.message),
    stack: redactText(error.stack ?? '', MAX_STACK_CHARS),
    ...cause,
  }
}

function describeCause(cause: Error): Record<string, unknown> {
  return { name: redactText(cause.name), ...codeOf(cause) }
}

function codeOf(error: Error): { code?: string } {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^\w{1,64}$/.test(code) ? { code } : {}
}

function redactValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return redactText(value)
    case 'number':
    case 'boolean':
    case 'undefined':
      return value
    case 'object':
      if (value === null) return null
      if (value instanceof Error) return describeError(value)
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
      // Bytes are audio or a message that carries it.
      if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
      if (depth >= MAX_DEPTH) return '[too deep]'
      if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map(item => redactValue(item, depth + 1))
      return redactObject(value, depth + 1)
    case 'bigint':
      return String(value)
    default:
      return `[${typeof value}]`
  }
}

function redactObject(fields: object, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(fields).slice(0, MAX_ENTRIES)) {
    clean[redactText(name, 64)] = isSecretField(name) ? REDACTED : redactValue(value, depth)
  }
  return clean
}

function isSecretField(name: string): boolean {
  return SECRET_FIELDS.has(name.toLowerCase().replace(/[-_]/g, ''))
}
