/**
 * From everything that was said to one frozen set of options.
 *
 * Precedence: code over flag over environment over file over default. Every value given is checked, also one that is
 * overruled, and every problem is reported at once; unknown names are refused, because a limit with a typing mistake
 * in its name is no limit. Pure: reading the file and the environment is the caller's.
 */
import type { AnyOptionValue } from './definition.ts'
import type { ConfigFile } from './file.ts'
import type { OptionKey, RelayOptions } from './options.ts'
import {
  CONFIG_FILE_ENV,
  ENV_PREFIX,
  KEY_BY_ENV,
  KEY_BY_FLAG,
  OPTION_KEYS,
  definitionOf,
  isOptionKey,
} from './options.ts'
import type { ConfigProblem } from './problems.ts'
import { ConfigError } from './problems.ts'
import { OPTION_RULES } from './rules.ts'
import { checkStreamDefaults } from './stream-defaults.ts'
import { suggestName } from '../spelling.ts'
import type { Checked } from './values.ts'
import { checkValue, readText, showValue } from './values.ts'

/** Where the value in force comes from. */
export type OptionSource = 'default' | 'file' | 'env' | 'flag' | 'code'

/** A flag of the command line, not yet checked. */
export interface FlagGiven {
  /** Without the dashes: `chunk-ms`, `no-fips`. */
  readonly name: string
  /** `null`: given without a value. */
  readonly value: string | null
}

export interface ConfigInput {
  /** What the program says that embeds the relay. */
  readonly overrides?: Readonly<Partial<RelayOptions>>
  readonly flags?: readonly FlagGiven[]
  /** `process.env`, or a part of it. An empty variable counts as not set. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly file?: ConfigFile | null
  /** Names of rules between options that the program answers for itself. */
  readonly waived?: readonly string[]
}

export interface ResolvedOptions {
  readonly options: RelayOptions
  readonly sources: Readonly<Record<OptionKey, OptionSource>>
}

/** Checks and merges. Throws `ConfigError` with every problem. */
export function resolveOptions(input: ConfigInput = {}): ResolvedOptions {
  const resolution = new Resolution()
  for (const key of OPTION_KEYS) resolution.accept(key, definitionOf(key).default, 'default', `option ${key}`)
  if (input.file) resolution.readFile(input.file)
  resolution.readEnv(input.env ?? {})
  resolution.readFlags(input.flags ?? [])
  resolution.readOverrides(input.overrides ?? {})
  return resolution.finish(input.waived ?? [])
}

/** One run: values in force so far, with their place, and the problems. Sources are read from the weakest. */
class Resolution {
  readonly #values: Partial<Record<OptionKey, AnyOptionValue>> = {}
  readonly #sources: Partial<Record<OptionKey, OptionSource>> = {}
  readonly #paths: Partial<Record<OptionKey, string>> = {}
  readonly #problems: ConfigProblem[] = []

  accept(key: OptionKey, value: AnyOptionValue, source: OptionSource, path: string): void {
    this.#values[key] = value
    this.#sources[key] = source
    this.#paths[key] = path
  }

  readFile({ name, values }: ConfigFile): void {
    for (const [key, value] of Object.entries(values)) {
      const path = `${name}: ${key}`
      if (isOptionKey(key)) this.#take(key, checkValue(definitionOf(key), value), value, 'file', path)
      else this.#refuse(`${name}: ${showName(key)}`, unknownRule('option', suggestName(key, OPTION_KEYS)))
    }
  }

  readEnv(env: Readonly<Record<string, string | undefined>>): void {
    for (const [name, text] of Object.entries(env)) {
      if (!name.startsWith(ENV_PREFIX) || name === CONFIG_FILE_ENV || text === undefined || text === '')
        continue
      const path = `env ${showName(name)}`
      const key = KEY_BY_ENV.get(name)
      if (isServiceLink(name, text)) this.#refuse(path, SERVICE_LINK_RULE)
      else if (key !== undefined) this.#take(key, readText(definitionOf(key), text), text, 'env', path)
      else
        this.#refuse(
          path,
          unknownRule('variable', suggestName(name, [...KEY_BY_ENV.keys(), CONFIG_FILE_ENV])),
        )
    }
  }

  readFlags(flags: readonly FlagGiven[]): void {
    const seen = new Set<OptionKey>()
    for (const { name, value } of flags) {
      const path = `--${showName(name)}`
      const flag = findFlag(name)
      if (flag === null) {
        const suggestion = suggestName(name, KEY_BY_FLAG.keys())
        this.#refuse(path, unknownRule('flag', suggestion === null ? null : `--${suggestion}`))
        continue
      }
      const { key, negated } = flag
      if (seen.has(key)) this.#refuse(path, 'must be given once')
      seen.add(key)
      const definition = definitionOf(key)
      if (definition.kind !== 'boolean') {
        if (value === null) this.#refuse(path, 'needs a value')
        else this.#take(key, readText(definition, value), value, 'flag', path)
      } else if (negated && value !== null) {
        this.#refuse(path, 'takes no value')
      } else {
        const text = value ?? String(!negated)
        this.#take(key, readText(definition, text), text, 'flag', path)
      }
    }
  }

  readOverrides(overrides: Readonly<Partial<RelayOptions>>): void {
    for (const [key, value] of Object.entries(overrides)) {
      if (value === undefined) continue
      const path = `option ${showName(key)}`
      if (isOptionKey(key)) this.#take(key, checkValue(definitionOf(key), value), value, 'code', path)
      else this.#refuse(path, unknownRule('option', suggestName(key, OPTION_KEYS)))
    }
  }

  finish(waived: readonly string[]): ResolvedOptions {
    // Rules between values are told only once every value is good: a bad one was replaced by a weaker source.
    if (this.#problems.length > 0) throw new ConfigError(this.#problems)
    const options = Object.freeze(this.#values) as RelayOptions
    for (const { name, fields, rule, holds } of OPTION_RULES) {
      if (!waived.includes(name) && !holds(options)) this.#refuseCombination(fields, rule, options)
    }
    this.#problems.push(...checkStreamDefaults(options))
    if (this.#problems.length > 0) throw new ConfigError(this.#problems)
    return Object.freeze({ options, sources: Object.freeze(this.#sources) as ResolvedOptions['sources'] })
  }

  #take(key: OptionKey, checked: Checked, given: unknown, source: OptionSource, path: string): void {
    if (checked.ok) this.accept(key, checked.value, source, path)
    else this.#refuse(path, checked.rule, showValue(definitionOf(key), given))
  }

  #refuse(path: string, rule: string, value: string | null = null): void {
    this.#problems.push({ path, value, rule })
  }

  /** Reported where the person said it: at the first field if it was given, else at the first that was. */
  #refuseCombination(
    fields: readonly [OptionKey, ...OptionKey[]],
    rule: string,
    options: RelayOptions,
  ): void {
    const values = fields.map(key => `${key} = ${showValue(definitionOf(key), options[key])}`).join(', ')
    const given = fields.find(key => this.#sources[key] !== 'default') ?? fields[0]
    const subject = given === fields[0] ? '' : `does not fit: ${fields[0]} `
    this.#refuse(this.#paths[given] ?? given, `${subject}${rule}`, values)
  }
}

const SERVICE_LINK_RULE =
  'was set by Kubernetes for a Service of that name, not for the relay: set enableServiceLinks to false in the pod, or rename the Service'

/**
 * A Service called `relay` puts `RELAY_PORT=tcp://…`, `RELAY_SERVICE_HOST` and more into every pod of its namespace.
 */
function isServiceLink(name: string, text: string): boolean {
  return (
    /^(tcp|udp|sctp):\/\//.test(text) ||
    /_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)
  )
}

function findFlag(name: string): { key: OptionKey; negated: boolean } | null {
  const key = KEY_BY_FLAG.get(name)
  if (key !== undefined) return { key, negated: false }
  const positive = name.startsWith('no-') ? KEY_BY_FLAG.get(name.slice('no-'.length)) : undefined
  return positive !== undefined && definitionOf(positive).kind === 'boolean'
    ? { key: positive, negated: true }
    : null
}

/** Without the value: under a name that nobody knows it may be a secret. */
function unknownRule(what: string, suggestion: string | null): string {
  const hint = suggestion === null ? '' : ` (did you mean ${suggestion}?)`
  return `is not ${what === 'option' ? 'an' : 'a'} ${what} of the relay${hint}`
}

function showName(name: string): string {
  const printable = name.replace(/[^\x21-\x7e]/g, '?')
  return printable.length > 64 ? `${printable.slice(0, 64)}…` : printable
}
