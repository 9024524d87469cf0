/**
 * The table of options for people: rows for the `config` command, and the tables of `docs/configuration.md`.
 */
import type { AnyOptionValue, OptionDefinition, Theme } from './definition.ts'
import { THEMES } from './definition.ts'
import type { OptionKey } from './options.ts'
import { OPTION_KEYS, definitionOf, envName, flagName } from './options.ts'
import type { OptionSource, ResolvedOptions } from './resolve.ts'
import { OPTION_RULES } from './rules.ts'
import { describeBounds } from './values.ts'

export interface OptionDescription {
  readonly key: OptionKey
  readonly theme: Theme
  /** As printed; secrets are not. */
  readonly value: string
  readonly source: OptionSource
  readonly default: string
  /** "integer from 50 to 200", and the unit. */
  readonly bounds: string
  readonly env: string
  readonly flag: string
  readonly doc: string
}

/** One row an option, in the order of the reference page. */
export function describeOptions({ options, sources }: ResolvedOptions): readonly OptionDescription[] {
  return inThemeOrder().map(key => {
    const definition = definitionOf(key)
    return {
      key,
      theme: definition.theme,
      value: definition.secret === true ? '[redacted]' : formatValue(options[key]),
      source: sources[key],
      default: formatValue(definition.default),
      bounds: formatBounds(definition),
      env: envName(key),
      flag: `--${flagName(key)}`,
      doc: definition.doc,
    }
  })
}

/** The generated part of `docs/configuration.md`: a table a theme, then the rules between options. */
export function renderConfiguration(): string {
  const chapters = Object.entries(THEMES).map(([theme, title]) => {
    const keys = OPTION_KEYS.filter(key => definitionOf(key).theme === theme)
    const rows = keys.map(renderRow)
    return `## ${title}\n\n| option | default | value | what it does |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
  })
  const rules = OPTION_RULES.map(({ fields, rule }) => `- \`${fields[0]}\` ${rule}.`)
  return `${chapters.join('\n')}\n## Rules between options\n\n${rules.join('\n')}\n`
}

function renderRow(key: OptionKey): string {
  const definition = definitionOf(key)
  const names = `\`${key}\`<br>\`${envName(key)}\`<br>\`--${flagName(key)}\``
  return `| ${names} | ${renderDefault(definition)} | ${formatBounds(definition)} | ${definition.doc} |`.replaceAll(
    '\n',
    ' ',
  )
}

function renderDefault({ default: value }: OptionDefinition): string {
  const text = formatValue(value)
  return text === '' || value === null ? 'not set' : `\`${text}\``
}

/** The rule without "must be", with the unit. */
function formatBounds(definition: OptionDefinition): string {
  const bounds = describeBounds(definition).replace(/^must be (an? )?/, '')
  return definition.unit === undefined ? bounds : `${bounds} (${definition.unit})`
}

/** As one would write it in the environment; empty for not set. */
function formatValue(value: AnyOptionValue): string {
  if (value === null) return ''
  if (Array.isArray(value)) return value.map(formatItem).join(',')
  if (typeof value === 'object') return new URLSearchParams(value as Record<string, string>).toString()
  return String(value)
}

/** A region that is more than its name is told as in a file. */
function formatItem(item: unknown): string {
  if (typeof item !== 'object' || item === null) return String(item)
  const names = Object.keys(item)
  return names.length === 1 && 'region' in item ? String(item.region) : JSON.stringify(item)
}

function inThemeOrder(): readonly OptionKey[] {
  return Object.keys(THEMES).flatMap(theme => OPTION_KEYS.filter(key => definitionOf(key).theme === theme))
}
