/**
 * A command's options as a table: the same rows are parsed and printed on the help page, so that neither can know an
 * option which the other does not.
 */
import { parseArgs } from 'node:util'
import { suggestName } from '../spelling.ts'
import { UsageError } from './command.ts'

export interface OptionRow {
  /** Without the dashes. */
  readonly flag: string
  readonly short?: string
  /** Placeholder of the value on the help page; absent: the option takes none. */
  readonly value?: string
  /** May be given more than once. */
  readonly multiple?: boolean
  readonly doc: string
  readonly default?: string
  /** The values that are allowed, in words. */
  readonly bounds?: string
  /** Environment variable that says the same. */
  readonly env?: string
}

export interface ParsedArguments {
  /** The words that are no option, in order. */
  readonly words: readonly string[]
  has(flag: string): boolean
  /** Value of an option that takes one; of several, the last. */
  get(flag: string): string | undefined
  getAll(flag: string): readonly string[]
  /** All options that were given with a value, the last of each. */
  readonly values: Readonly<Record<string, string>>
}

export const HELP_ROW: OptionRow = { flag: 'help', short: 'h', doc: 'Print this page.' }

/** Most words that are no option. */
const MAX_WORDS = 64

/** Parses `args`. Throws `UsageError` for an unknown option, a missing value, or a value where none belongs. */
export function parseArguments(args: readonly string[], rows: readonly OptionRow[]): ParsedArguments {
  const options: Record<string, { type: 'string' | 'boolean'; multiple: boolean; short?: string }> = {}
  for (const row of rows) {
    options[row.flag] = {
      type: row.value === undefined ? 'boolean' : 'string',
      multiple: row.multiple === true,
      ...(row.short === undefined ? {} : { short: row.short }),
    }
  }
  refuseUnknown(args, options, rows)
  const { values: given, positionals } = parseStrictly(args, options)
  if (positionals.length > MAX_WORDS) throw new UsageError(`more than ${MAX_WORDS} words that are no option`)
  const values: Record<string, string> = {}
  for (const [flag, value] of Object.entries(given)) {
    const last: unknown = Array.isArray(value) ? value.at(-1) : value
    if (typeof last === 'string') values[flag] = last
  }
  return {
    words: positionals,
    values,
    has: flag => given[flag] !== undefined,
    get: flag => values[flag],
    getAll: flag => listOf(given[flag]),
  }
}

/** A number in bounds; throws `UsageError` naming the option, the value and the rule. */
export function readNumber(
  text: string | undefined,
  rule: { readonly flag: string; readonly default: number; readonly min: number; readonly max: number },
): number {
  if (text === undefined) return rule.default
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (value >= rule.min && value <= rule.max) return value
  throw new UsageError(`--${rule.flag} must be a number from ${rule.min} to ${rule.max}, got "${text}"`)
}

/** One of a list; throws `UsageError` naming the option, the value and the choices. */
export function readChoice<T extends string>(
  text: string | undefined,
  rule: { readonly flag: string; readonly default: T; readonly choices: readonly T[] },
): T {
  if (text === undefined) return rule.default
  const found = rule.choices.find(choice => choice === text)
  if (found !== undefined) return found
  throw new UsageError(`--${rule.flag} must be ${rule.choices.join(' or ')}, got "${text}"`)
}

/** Throws when a command got more words than it has a use for. */
export function expectWords(parsed: ParsedArguments, least: number, most: number, usage: string): void {
  if (parsed.words.length < least) throw new UsageError(`${usage}: a word is missing`)
  const extra = parsed.words[most]
  if (extra !== undefined) throw new UsageError(`${usage}: "${extra}" is one word too many`)
}

type ParseOptions = Record<string, { type: 'string' | 'boolean'; multiple: boolean; short?: string }>

function refuseUnknown(args: readonly string[], options: ParseOptions, rows: readonly OptionRow[]): void {
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option' || Object.hasOwn(options, token.name)) continue
    const near = suggestName(
      token.name,
      rows.map(row => row.flag),
    )
    const hint = near === null ? '' : `; did you mean --${near}?`
    throw new UsageError(`unknown option ${token.rawName}${hint}`)
  }
}

function parseStrictly(args: readonly string[], options: ParseOptions) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true })
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new UsageError(message.split('\n')[0] ?? message, { cause: error })
  }
}

function listOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.filter(item => typeof item === 'string')
  return typeof value === 'string' ? [value] : []
}

/** How a numeric rule is shown on a help page. */
export function describeBounds(rule: {
  readonly default: number
  readonly min: number
  readonly max: number
}) {
  return { default: String(rule.default), bounds: `${rule.min} to ${rule.max}` }
}
