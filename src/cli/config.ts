/**
 * `transcribe-relay config`: what the relay would run with, and where each value comes from.
 */
import type { OptionDescription } from '../config/describe.ts'
import { describeOptions } from '../config/describe.ts'
import type { OptionRow } from './arguments.ts'
import { HELP_ROW } from './arguments.ts'
import type { Command, CommandContext } from './command.ts'
import { CONFIG_ROW as CONFIG_EXIT_ROW, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import {
  CONFIG_ROW,
  parseRelayArguments,
  relayOptionSections,
  resolveRelayOptions,
} from './relay-arguments.ts'

const OWN_ROWS: readonly OptionRow[] = [
  { flag: 'json', doc: 'Print a JSON array, an object an option.' },
  { flag: 'changed', doc: 'Print only the options that are not at their default.' },
]

const help: HelpPage = {
  command: 'config',
  summary: 'print every option of the relay with its value and where that comes from',
  usage: ['config [options]'],
  purpose: [
    'Reads flags, environment and file exactly as serve does, checks them, and prints the outcome: key, value, source (default, file, env or flag), default, bounds and the name of the variable. Secrets are not printed. Nothing is started.',
    'Use it in a container to see what a relay will do, and in a pipeline to check a configuration: any problem ends with exit code 78.',
  ],
  sections: [{ title: 'OPTIONS', rows: [...OWN_ROWS, CONFIG_ROW, HELP_ROW] }, ...relayOptionSections()],
  examples: [
    { doc: 'What differs from the defaults here:', line: 'transcribe-relay config --changed' },
    {
      doc: 'Check a file before it is deployed:',
      line: 'transcribe-relay config --config relay.json --json > /dev/null',
    },
  ],
  exitCodes: [{ code: EXIT_OK, doc: 'the configuration is valid' }, USAGE_ROW, CONFIG_EXIT_ROW],
  seeAlso: ['transcribe-relay serve', 'docs/configuration.md'],
}

export const configCommand: Command = { help, run }

async function run(args: readonly string[], { environment, terminal }: CommandContext): Promise<number> {
  const parsed = parseRelayArguments(args, OWN_ROWS)
  const rows = describeOptions(await resolveRelayOptions(parsed, environment))
  const shown = parsed.own.has('changed') ? rows.filter(row => row.source !== 'default') : rows
  terminal.print(parsed.own.has('json') ? JSON.stringify(shown, null, 2) : renderTable(shown))
  return EXIT_OK
}

/** A line an option, columns as wide as they need. */
export function renderTable(rows: readonly OptionDescription[]): string {
  const table = [
    ['OPTION', 'VALUE', 'SOURCE', 'DEFAULT', 'ENV', 'BOUNDS'],
    ...rows.map(row => [row.key, row.value || '-', row.source, row.default || '-', row.env, row.bounds]),
  ]
  const widths =
    table[0]?.map((_, column) => Math.max(...table.map(cells => cells[column]?.length ?? 0))) ?? []
  return table
    .map(cells =>
      cells
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
