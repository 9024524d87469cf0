/**
 * The command line of a bench: one table says what is taken, is the page of `--help`, and judges values before anything
 * is started.
 */
import { parseArgs } from 'node:util'

export type FlagRow =
  | { readonly kind: 'switch'; readonly doc: string }
  | { readonly kind: 'text'; readonly value: string; readonly default?: string; readonly doc: string }
  | {
      readonly kind: 'number'
      readonly value: string
      readonly default: number
      readonly min: number
      readonly max: number
      readonly doc: string
    }

export type FlagTable = Readonly<Record<string, FlagRow>>

type ValueOf<Row extends FlagRow> = Row extends { kind: 'switch' }
  ? boolean
  : Row extends { kind: 'number' }
    ? number
    : Row extends { default: string }
      ? string
      : string | undefined

export type FlagValues<Table extends FlagTable> = { readonly [Name in keyof Table]: ValueOf<Table[Name]> }

export interface BenchPage<Table extends FlagTable> {
  /** As it is typed, without the flags. */
  readonly command: string
  readonly about: string
  readonly flags: Table
}

/** The command line is wrong. Its message names the flag, the value and the rule. */
export class FlagError extends Error {
  override readonly name = 'FlagError'
}

/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64
const COLUMN = 24

/** Runs a bench with its flags, or prints the page, or says in one line what is wrong with them (exit code 64). */
export async function runCommand<const Table extends FlagTable>(
  page: BenchPage<Table>,
  run: (flags: FlagValues<Table>) => Promise<void>,
): Promise<void> {
  const words = process.argv.slice(2)
  if (words.includes('--help')) {
    process.stdout.write(renderHelp(page))
    return
  }
  try {
    await run(readFlags(page.flags, words))
  } catch (error) {
    if (!(error instanceof FlagError)) throw error
    process.stderr.write(`${error.message}\nSee: ${page.command} -- --help\n`)
    process.exitCode = EXIT_USAGE
  }
}

/** Throws `FlagError`. */
export function readFlags<const Table extends FlagTable>(
  table: Table,
  words: readonly string[],
): FlagValues<Table> {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, { kind }]) => [
      name,
      { type: kind === 'switch' ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  const given = parse(words, options)
  const values = Object.fromEntries(
    Object.entries(table).map(([name, row]) => [name, valueOf(name, row, given[name])]),
  )
  return values as FlagValues<Table>
}

function parse(
  words: readonly string[],
  options: Record<string, { type: 'boolean' | 'string' }>,
): Record<string, unknown> {
  try {
    return parseArgs({ args: [...words], options }).values
  } catch (error) {
    throw new FlagError(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

function valueOf(name: string, row: FlagRow, given: unknown): string | number | boolean | undefined {
  if (row.kind === 'switch') return given === true
  if (row.kind === 'text') return typeof given === 'string' ? given : row.default
  if (typeof given !== 'string') return row.default
  const value = Number(given)
  if (given.trim() === '' || !Number.isFinite(value) || value < row.min || value > row.max) {
    throw new FlagError(`--${name} must be from ${row.min} to ${row.max}, got ${given}`)
  }
  return value
}

function renderHelp<Table extends FlagTable>({ about, command, flags }: BenchPage<Table>): string {
  const lines = Object.entries(flags).map(([name, row]) => {
    const flag = row.kind === 'switch' ? `--${name}` : `--${name} ${row.value}`
    return `  ${flag.padEnd(COLUMN)} ${row.doc}${boundsOf(row)}`
  })
  return [about, '', `Usage: ${command} [-- FLAGS]`, '', ...lines, ''].join('\n')
}

function boundsOf(row: FlagRow): string {
  if (row.kind === 'number') return ` (${row.default}; ${row.min} to ${row.max})`
  return row.kind === 'text' && row.default !== undefined && row.default !== '' ? ` (${row.default})` : ''
}
