/**
 * A bad configuration, said once and completely: every problem with its place, its value and the rule it breaks.
 */

export interface ConfigProblem {
  /** Where it was given: `env RELAY_CHUNK_MS`, `relay.json: chunkMs`, `--chunk-ms`, `option chunkMs`. */
  readonly path: string
  /** What was given, shortened; `null` where there is nothing to show or it may be a secret. */
  readonly value: string | null
  /** What must hold: "must be an integer from 50 to 200". */
  readonly rule: string
}

/** Thrown by everything in `config/`. `problems` is never empty. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(describeProblem).join('\n'))
    this.problems = Object.freeze([...problems])
  }
}

/** One line for a person. */
export function describeProblem({ path, value, rule }: ConfigProblem): string {
  return value === null ? `${path} ${rule}` : `${path} ${rule}, got ${value}`
}
