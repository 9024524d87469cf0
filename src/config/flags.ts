/**
 * Flags of the command line, taken apart but not yet checked: `--chunk-ms 100`, `--chunk-ms=100`, `--fips`,
 * `--no-fips`. Unknown ones are kept, because `resolveOptions` names every problem at once.
 *
 * Not `util.parseArgs`: without its strict mode, which stops at the first problem, it takes the next flag for the
 * value of one that has none.
 */
import { KEY_BY_FLAG, definitionOf } from './options.ts'

export interface FlagGiven {
  /** Without the dashes: `chunk-ms`, `no-fips`. */
  readonly name: string
  /** `null`: given without a value. */
  readonly value: string | null
}

export interface ParsedFlags {
  readonly flags: readonly FlagGiven[]
  readonly positionals: readonly string[]
}

/** `args` without the program and the command. Everything after `--` is positional. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const flags: FlagGiven[] = []
  const positionals: string[] = []
  const rest = [...args]
  for (let arg = rest.shift(); arg !== undefined; arg = rest.shift()) {
    if (arg === '--') {
      positionals.push(...rest)
      break
    }
    if (!arg.startsWith('--')) {
      positionals.push(arg)
      continue
    }
    const equals = arg.indexOf('=')
    if (equals >= 0) {
      flags.push({ name: arg.slice(2, equals), value: arg.slice(equals + 1) })
    } else {
      const name = arg.slice(2)
      const next = rest[0]
      const takesNext = wantsValue(name) && next !== undefined && !next.startsWith('--')
      flags.push({ name, value: takesNext ? (rest.shift() ?? null) : null })
    }
  }
  return { flags, positionals }
}

function wantsValue(name: string): boolean {
  const key = KEY_BY_FLAG.get(name)
  return key !== undefined && definitionOf(key).kind !== 'boolean'
}
