/**
 * Values of options: from text (environment, flags) or JSON (file, code), checked against their row.
 *
 * Pure. A value comes back normalised and frozen, or with the rule it breaks; `describeBounds` is that rule in words,
 * and the same words are in the documentation.
 */
import { checkRegions, describeRegions } from './region-list.ts'
import type {
  AnyOptionValue,
  NumberDefinition,
  OptionDefinition,
  ParametersDefinition,
  UrlDefinition,
} from './definition.ts'

export type Checked =
  { readonly ok: true; readonly value: AnyOptionValue } | { readonly ok: false; readonly rule: string }

/** Longest text shown of a bad value. */
const MAX_SHOWN_CHARS = 64
const MAX_PORT = 65_535
const MAX_URL_CHARS = 2048
const MAX_PARAMETER_VALUE_CHARS = 1024
const PARAMETER_NAME = /^[a-z][a-z0-9-]{0,63}$/

/** Reads the text of an environment variable or a flag. */
export function readText(definition: OptionDefinition, text: string): Checked {
  switch (definition.kind) {
    case 'integer':
    case 'count':
    case 'port':
      return checkValue(definition, /^-?\d{1,15}$/.test(text) ? Number(text) : text)
    case 'number':
      return checkValue(definition, /^-?\d{1,15}(\.\d{1,15})?$/.test(text) ? Number(text) : text)
    case 'boolean':
      return checkValue(definition, text === 'true' ? true : text === 'false' ? false : text)
    case 'list':
    case 'regions':
      return checkValue(definition, text === '' ? [] : text.split(',').map(item => item.trim()))
    case 'parameters':
      return readParameters(definition, text)
    default:
      return checkValue(definition, text)
  }
}

/** Checks a value that already has a type: from the JSON file or from code. */
export function checkValue(definition: OptionDefinition, value: unknown): Checked {
  if (value === null && definition.default === null) return pass(null)
  const failure = { ok: false, rule: describeBounds(definition) } as const
  switch (definition.kind) {
    case 'integer':
    case 'number':
      return isWithin(definition, value) ? pass(value) : failure
    case 'count':
      return value === 'auto' || isIntegerFrom(value, definition.min, definition.max) ? pass(value) : failure
    case 'port':
      return isIntegerFrom(value, 0, MAX_PORT) ? pass(value) : failure
    case 'boolean':
      return typeof value === 'boolean' ? pass(value) : failure
    case 'enum':
      return typeof value === 'string' && definition.values.includes(value) ? pass(value) : failure
    case 'string':
      return typeof value === 'string' && definition.pattern.test(value) ? pass(value) : failure
    case 'url':
      return typeof value === 'string' && isPlainUrl(value, definition) ? pass(value) : failure
    case 'list':
      return isListOf(value, definition.pattern, definition.maxItems)
        ? pass(Object.freeze([...value]))
        : failure
    case 'regions': {
      const checked = checkRegions(value, definition.maxItems)
      return checked.ok ? pass(checked.value) : checked
    }
    default:
      return checkParameters(definition, value)
  }
}

/** The rule of a row, as the end of the sentence "chunkMs …". */
export function describeBounds(definition: OptionDefinition): string {
  switch (definition.kind) {
    case 'integer':
    case 'number':
      return describeNumber(definition)
    case 'count':
      return `must be an integer from ${definition.min} to ${definition.max}, or auto`
    case 'port':
      return `must be an integer from 0 to ${MAX_PORT}`
    case 'boolean':
      return 'must be true or false'
    case 'enum':
      return `must be one of ${definition.values.join(', ')}`
    case 'string':
      return `must be ${definition.shape}`
    case 'url':
      return `must be a URL (${definition.schemes.join(', ')}) of a host, with ${definition.mayHavePath === true ? 'at most a path' : 'nothing'} behind it`
    case 'regions':
      return describeRegions(definition.maxItems)
    case 'list':
      return `must be a list of at most ${definition.maxItems}, each ${definition.shape}`
    default:
      return `must be at most ${definition.maxItems} parameters by name, each value at most ${MAX_PARAMETER_VALUE_CHARS} characters`
  }
}

/** A value as it may be printed in a problem: short, one line, and without what could be a secret. */
export function showValue(definition: OptionDefinition, value: unknown): string | null {
  if (definition.secret === true) return '[redacted]'
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  // User, password and query of a URL are the parts that hold secrets, also where a URL was not asked for.
  const withoutSecrets = text.replace(/\/\/[^/@]*@/g, '//[redacted]@').replace(/\?.*$/s, '?[redacted]')
  const printable = withoutSecrets.replace(/[^\x20-\x7e]/g, '?')
  const short = printable.length > MAX_SHOWN_CHARS ? `${printable.slice(0, MAX_SHOWN_CHARS)}…` : printable
  return typeof value === 'string' ? `"${short}"` : short
}

function pass(value: AnyOptionValue): Checked {
  return { ok: true, value }
}

function describeNumber(definition: NumberDefinition): string {
  const { kind, min, max, multipleOf, zeroIsOff } = definition
  const what = kind === 'integer' ? 'an integer' : 'a number'
  const step = multipleOf === undefined ? '' : ` and a multiple of ${multipleOf}`
  return `must be ${what} from ${min} to ${max}${step}${zeroIsOff === true ? ', or 0 for off' : ''}`
}

function isWithin(definition: NumberDefinition, value: unknown): value is number {
  const { kind, min, max, multipleOf, zeroIsOff } = definition
  if (typeof value !== 'number' || !Number.isFinite(value)) return false
  if (kind === 'integer' && !Number.isInteger(value)) return false
  if (zeroIsOff === true && value === 0) return true
  return value >= min && value <= max && (multipleOf === undefined || value % multipleOf === 0)
}

function isIntegerFrom(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
}

function isPlainUrl(text: string, { mayHavePath, mayHaveUser, schemes }: UrlDefinition): boolean {
  if (text.length > MAX_URL_CHARS || !URL.canParse(text)) return false
  const url = new URL(text)
  // `search` and `hash` are empty for a lone `?` or `#` too, so the text itself is asked.
  return (
    schemes.includes(url.protocol.slice(0, -1)) &&
    url.hostname !== '' &&
    (mayHaveUser === true || (url.username === '' && url.password === '')) &&
    (url.pathname === '/' || mayHavePath === true) &&
    !/[?#\s]/.test(text)
  )
}

function isListOf(value: unknown, pattern: RegExp, maxItems: number): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= maxItems &&
    value.every(item => typeof item === 'string' && pattern.test(item))
  )
}

function readParameters(definition: ParametersDefinition, text: string): Checked {
  const entries = [...new URLSearchParams(text)]
  const names = new Set<string>()
  for (const [name] of entries) {
    if (names.has(name)) return { ok: false, rule: `must name each parameter once, not ${quote(name)} twice` }
    names.add(name)
  }
  return checkParameters(definition, Object.fromEntries(entries))
}

function checkParameters(definition: ParametersDefinition, value: unknown): Checked {
  const failure = { ok: false, rule: describeBounds(definition) } as const
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return failure
  const entries = Object.entries(value)
  if (entries.length > definition.maxItems) return failure
  const parameters: Record<string, string> = {}
  for (const [name, given] of entries) {
    const reason = refusalOf(definition, name)
    if (reason !== null) return { ok: false, rule: `must not hold ${quote(name)}: ${reason}` }
    const text = typeof given === 'boolean' || typeof given === 'number' ? String(given) : given
    if (typeof text !== 'string' || text.length > MAX_PARAMETER_VALUE_CHARS) return failure
    parameters[name] = text
  }
  return pass(Object.freeze(parameters))
}

function refusalOf({ refused }: ParametersDefinition, name: string): string | null {
  if (!PARAMETER_NAME.test(name)) return 'it is no parameter name'
  return Object.hasOwn(refused, name) ? (refused[name] ?? null) : null
}

function quote(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_SHOWN_CHARS)}"`
}
