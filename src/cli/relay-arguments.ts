/**
 * The options of the relay on a command line, beside the few that a command has of its own, and with the environment and
 * the configuration file resolved to one set.
 */
import { parseArgs } from 'node:util'
import { THEMES } from '../config/definition.ts'
import type { OptionDescription } from '../config/describe.ts'
import { describeOptions } from '../config/describe.ts'
import { readConfigFile } from '../config/file.ts'
import type { RelayOptions } from '../config/options.ts'
import { CONFIG_FILE_ENV, CONFIG_FILE_FLAG, definitionOf, KEY_BY_FLAG } from '../config/options.ts'
import type { FlagGiven, ResolvedOptions } from '../config/resolve.ts'
import { resolveOptions } from '../config/resolve.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { HELP_ROW, parseArguments } from './arguments.ts'
import type { Environment } from './command.ts'
import { UsageError } from './command.ts'
import type { OptionSection } from './help.ts'

export const CONFIG_ROW: OptionRow = {
  flag: CONFIG_FILE_FLAG,
  value: 'FILE',
  doc: 'A JSON object of options, by their names in docs/configuration.md. Flags and variables win over it.',
  env: CONFIG_FILE_ENV,
}

export interface RelayArguments {
  /** The command's own options. */
  readonly own: ParsedArguments
  readonly flags: readonly FlagGiven[]
}

/** Parts `args` into options of the relay and `ownRows`. Throws `UsageError` for what is wrong with the latter. */
export function parseRelayArguments(args: readonly string[], ownRows: readonly OptionRow[]): RelayArguments {
  const rows = [...ownRows, CONFIG_ROW, HELP_ROW]
  const types: Record<string, { type: 'string' | 'boolean' }> = {}
  for (const [name, key] of KEY_BY_FLAG) {
    types[name] = { type: definitionOf(key).kind === 'boolean' ? 'boolean' : 'string' }
  }
  for (const row of rows) types[row.flag] = { type: row.value === undefined ? 'boolean' : 'string' }
  const { tokens } = parseArgs({
    args: [...args],
    options: types,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
  const flags: FlagGiven[] = []
  const ownArgs: string[] = []
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    if (!rows.some(row => row.flag === token.name))
      flags.push({ name: token.name, value: token.value ?? null })
    else ownArgs.push(token.value === undefined ? `--${token.name}` : `--${token.name}=${token.value}`)
  }
  // After an unknown option a word may be its value, and the option is what has to be told.
  const stray = flags.every(({ name }) => isRelayFlag(name)) ? words[0] : undefined
  if (stray !== undefined) throw new UsageError(`"${stray}" is one word too many`)
  return { own: parseArguments(ownArgs, rows), flags }
}

/**
 * Flags over environment over file over defaults; `overrides` over all. Throws `ConfigError` with every problem, also
 * those of the file.
 */
export async function resolveRelayOptions(
  { own, flags }: RelayArguments,
  environment: Environment,
  overrides: Readonly<Partial<RelayOptions>> = {},
): Promise<ResolvedOptions> {
  const path = own.get(CONFIG_FILE_FLAG) ?? environment[CONFIG_FILE_ENV]
  const file = path === undefined || path === '' ? null : await readConfigFile(path)
  return resolveOptions({ flags, env: environment, file, overrides })
}

/** The options of the relay as help sections, a section a theme. `without`: flags that the command decides itself. */
export function relayOptionSections(without: readonly string[] = []): readonly OptionSection[] {
  const described = describeOptions(resolveOptions())
  return Object.entries(THEMES).map(([theme, title]) => ({
    title: title.toUpperCase(),
    rows: described
      .filter(row => row.theme === theme && !without.includes(row.flag.slice(2)))
      .map(asOptionRow),
  }))
}

function isRelayFlag(name: string): boolean {
  return KEY_BY_FLAG.has(name) || (name.startsWith('no-') && KEY_BY_FLAG.has(name.slice('no-'.length)))
}

function asOptionRow(row: OptionDescription): OptionRow {
  const isBoolean = definitionOf(row.key).kind === 'boolean'
  return {
    flag: row.flag.slice(2),
    ...(isBoolean ? {} : { value: definitionOf(row.key).kind.toUpperCase() }),
    doc: row.doc.replaceAll('`', ''),
    default: row.default === '' ? 'not set' : row.default,
    ...(isBoolean ? {} : { bounds: row.bounds }),
    env: row.env,
  }
}
