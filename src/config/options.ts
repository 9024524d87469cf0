/**
 * The table of options: every limit, time-out, buffer and default of the relay, once.
 *
 * Environment name and flag follow from the key: `chunkMs` is `RELAY_CHUNK_MS` and `--chunk-ms`. Precedence, checks
 * and problems: `resolve.ts`. Rules between options: `rules.ts`.
 */
import type { OptionDefinition, OptionValue } from './definition.ts'
import { ACCESS_OPTIONS } from './options-access.ts'
import { NETWORK_OPTIONS } from './options-network.ts'
import { OVERLOAD_OPTIONS } from './options-overload.ts'
import { REDIS_OPTIONS } from './options-redis.ts'
import { REGION_OPTIONS } from './options-regions.ts'
import { RESUME_OPTIONS } from './options-resume.ts'
import { ROLLOVER_OPTIONS } from './options-rollover.ts'
import { SERVER_OPTIONS } from './options-server.ts'
import { SESSION_OPTIONS } from './options-session.ts'
import { STREAM_OPTIONS } from './options-stream.ts'
import { UPSTREAM_OPTIONS } from './options-upstream.ts'

export const OPTIONS = Object.freeze({
  ...SERVER_OPTIONS,
  ...NETWORK_OPTIONS,
  ...ACCESS_OPTIONS,
  ...SESSION_OPTIONS,
  ...ROLLOVER_OPTIONS,
  ...RESUME_OPTIONS,
  ...OVERLOAD_OPTIONS,
  ...UPSTREAM_OPTIONS,
  ...REGION_OPTIONS,
  ...REDIS_OPTIONS,
  ...STREAM_OPTIONS,
})

export type OptionKey = keyof typeof OPTIONS

/** The options of a relay, checked, complete and frozen. */
export type RelayOptions = { readonly [Key in OptionKey]: OptionValue<(typeof OPTIONS)[Key]> }

export const OPTION_KEYS: readonly OptionKey[] = Object.freeze(Object.keys(OPTIONS) as OptionKey[])

/** Prefix of every environment variable that the relay reads. One with it and an unknown name is refused. */
export const ENV_PREFIX = 'RELAY_'

/** Where the configuration file is; not options of the relay, but read by the command line beside them. */
export const CONFIG_FILE_ENV = 'RELAY_CONFIG_FILE'
export const CONFIG_FILE_FLAG = 'config'

/** `definitionOf('chunkMs')`, with the row's type widened so that generic code can switch on `kind`. */
export function definitionOf(key: OptionKey): OptionDefinition {
  return OPTIONS[key]
}

/** `chunkMs` → `RELAY_CHUNK_MS` */
export function envName(key: OptionKey): string {
  return ENV_PREFIX + splitWords(key).join('_').toUpperCase()
}

/** `chunkMs` → `chunk-ms`, without the dashes in front. */
export function flagName(key: OptionKey): string {
  return splitWords(key).join('-').toLowerCase()
}

export const KEY_BY_ENV: ReadonlyMap<string, OptionKey> = new Map(OPTION_KEYS.map(key => [envName(key), key]))

export const KEY_BY_FLAG: ReadonlyMap<string, OptionKey> = new Map(
  OPTION_KEYS.map(key => [flagName(key), key]),
)

export function isOptionKey(name: string): name is OptionKey {
  return Object.hasOwn(OPTIONS, name)
}

function splitWords(key: string): string[] {
  return key.split(/(?=[A-Z])/)
}
