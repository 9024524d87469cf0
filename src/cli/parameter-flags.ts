/**
 * Every parameter of Amazon Transcribe as an option of the command line, from the table of the parameters.
 */
import { STANDARD_PARAMETERS } from '../transcribe/parameter-table.ts'
import type { ParameterDefinition, ParameterKind } from '../transcribe/parameter-table.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { UsageError } from './command.ts'

export const PARAMETER_ROWS: readonly OptionRow[] = Object.entries<ParameterDefinition>(
  STANDARD_PARAMETERS,
).map(([flag, { value, doc }]): OptionRow => ({
  flag,
  doc,
  ...(value.kind === 'boolean' ? {} : { value: placeholder(value), bounds: describeKind(value) }),
}))

/** The parameters that were given, by wire name. */
export function readParameterFlags(parsed: ParsedArguments): Record<string, string> {
  const parameters: Record<string, string> = {}
  for (const { flag, value } of PARAMETER_ROWS) {
    const given = value === undefined ? (parsed.has(flag) ? 'true' : undefined) : parsed.get(flag)
    if (given !== undefined) parameters[flag] = given
  }
  return parameters
}

/** `name=value` words. Throws `UsageError` for a word without `=` and for a name given twice. */
export function readPairs(words: readonly string[], what: string): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const word of words) {
    const equals = word.indexOf('=')
    if (equals < 1) throw new UsageError(`${what} must be name=value, got "${word}"`)
    const name = word.slice(0, equals)
    if (Object.hasOwn(pairs, name)) throw new UsageError(`${what} ${name} must be given once`)
    pairs[name] = word.slice(equals + 1)
  }
  return pairs
}

function placeholder(kind: Exclude<ParameterKind, { kind: 'boolean' }>): string {
  switch (kind.kind) {
    case 'enum':
      return 'WORD'
    case 'integer':
      return 'NUMBER'
    case 'language':
      return 'CODE'
    case 'list':
      return 'LIST'
    default:
      return 'NAME'
  }
}

function describeKind(kind: Exclude<ParameterKind, { kind: 'boolean' }>): string {
  switch (kind.kind) {
    case 'enum':
      return kind.values.join(', ')
    case 'integer':
      return kind.min === kind.max ? String(kind.min) : `${kind.min} to ${kind.max} ${kind.unit}`
    case 'language':
      return 'a language code such as en-US'
    case 'list':
      return 'separated by commas'
    default:
      return kind.form
  }
}
