/**
 * `transcribe-relay dev`: the relay with a local Amazon Transcribe behind it. No account, no key, no network.
 */
import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { RelayOptions } from '../config/options.ts'
import type { OptionRow } from './arguments.ts'
import { HELP_ROW, readNumber } from './arguments.ts'
import type { Command, CommandContext } from './command.ts'
import { readFaults } from './emulate.ts'
import { chooseEngine, ENGINE_ROWS, SAMPLE_FOLDER } from './engine-choice.ts'
import { CONFIG_ROW as CONFIG_EXIT_ROW, EXIT_FAILURE, EXIT_OK, FORCED_ROWS, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import type { LocalStack } from './local-stack.ts'
import { startLocalStack } from './local-stack.ts'
import { loggedService } from './logged-service.ts'
import type { RelayArguments } from './relay-arguments.ts'
import {
  CONFIG_ROW,
  parseRelayArguments,
  relayOptionSections,
  resolveRelayOptions,
} from './relay-arguments.ts'
import { runService } from './service-loop.ts'
import type { Terminal } from './terminal.ts'

const EMULATOR_PORT = { flag: 'emulator-port', default: 0, min: 0, max: 65_535 } as const

const DEV_ROWS: readonly OptionRow[] = [
  ...ENGINE_ROWS,
  { flag: 'faults', value: 'FILE', doc: 'A JSON fault script for the local service, as for emulate.' },
  {
    flag: 'emulator-port',
    value: 'PORT',
    doc: 'Port of the local service; 0 takes a free one.',
    default: String(EMULATOR_PORT.default),
    bounds: `${EMULATOR_PORT.min} to ${EMULATOR_PORT.max}`,
  },
]

/** The relay finds the local service by these, and is in the same process: they are not the user's to give. */
const DECIDED = ['region', 'endpoint', 'fips', 'dual-stack', 'profile', 'workers']

/** For one developer's machine, where nobody said otherwise. The default limit may be above its open files. */
const DEV_DEFAULTS: Partial<RelayOptions> = { host: '127.0.0.1', opsHost: '127.0.0.1', maxSessions: 25 }

const help: HelpPage = {
  command: 'dev',
  summary: 'run the relay with a local Amazon Transcribe; no AWS account needed',
  usage: ['dev [options]'],
  purpose: [
    'Starts a local Amazon Transcribe on a free port and a relay that dials it, prints commands to copy, and runs until it is stopped. The relay is the same as with serve and takes the same options; host and opsHost are 127.0.0.1 and maxSessions is 25 unless something else is said.',
  ],
  sections: [
    { title: 'OPTIONS', rows: [...DEV_ROWS, CONFIG_ROW, HELP_ROW] },
    ...relayOptionSections(DECIDED),
  ],
  examples: [
    { doc: 'Then, in another terminal, the commands that it prints:', line: 'transcribe-relay dev' },
    {
      doc: 'On any free ports, with the engine that needs nothing:',
      line: 'transcribe-relay dev --port 0 --ops-port 0 --engine scripted',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'it was stopped and has drained' },
    { code: EXIT_FAILURE, doc: 'a port is in use, the engine is not installed, or a file cannot be read' },
    USAGE_ROW,
    CONFIG_EXIT_ROW,
    ...FORCED_ROWS,
  ],
  seeAlso: [
    'transcribe-relay demo',
    'transcribe-relay stream',
    'transcribe-relay emulate',
    'docs/emulator.md',
  ],
}

export const devCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const parsed = parseRelayArguments(args, DEV_ROWS)
  const { own } = parsed
  const emulatorPort = String(readNumber(own.get('emulator-port'), EMULATOR_PORT))
  const faultsPath = own.get('faults')
  const faults = faultsPath === undefined ? {} : { faults: await readFaults(faultsPath) }
  const { engine, hint } = await chooseEngine(own)
  context.outliveOutput()
  return runService(async () => {
    const stack = await startLocalStack(
      { ...faults, engine },
      emulatorPort,
      overrides => resolveForDev(parsed, context, overrides),
      context.clock,
    )
    await printCommands(stack, engine.name, hint, context.terminal)
    return loggedService(stack, stack.logger)
  }, context)
}

/** What was said by flag, variable or file wins over `DEV_DEFAULTS`. */
async function resolveForDev(
  parsed: RelayArguments,
  { environment }: CommandContext,
  overrides: Partial<RelayOptions>,
): Promise<RelayOptions> {
  const { sources } = await resolveRelayOptions(parsed, environment)
  const unsaid = Object.entries(DEV_DEFAULTS).filter(
    ([key]) => sources[key as keyof RelayOptions] === 'default',
  )
  const { options } = await resolveRelayOptions(parsed, environment, {
    ...Object.fromEntries(unsaid),
    ...overrides,
  })
  return options
}

async function printCommands(
  { addresses, emulatorUrl }: LocalStack,
  engineName: string,
  hint: string | null,
  terminal: Terminal,
): Promise<void> {
  const sample = await findSample()
  const rate = 'sample-rate=16000&language-code=en-US'
  terminal.print(`relay      ${addresses.url}`)
  terminal.print(`metrics    ${addresses.opsUrl}/metrics`)
  terminal.print(`transcribe ${emulatorUrl} (local, engine ${engineName})`)
  if (hint !== null) terminal.print(hint)
  terminal.print('try:')
  if (sample !== null) terminal.print(`  transcribe-relay stream ${sample} --url ${addresses.url}`)
  terminal.print(
    `  arecord -q -f S16_LE -r 16000 -c 1 -t raw | transcribe-relay stream - --url ${addresses.url}`,
  )
  terminal.print(`  websocat -b --no-close '${addresses.url}?${rate}' < speech.raw | jq --unbuffered .`)
  terminal.print(`  curl -s ${addresses.opsUrl}/readyz`)
}

/** A recording of the sample speech, relative to where the user is; `null` where there is none. */
async function findSample(): Promise<string | null> {
  try {
    const name = (await readdir(SAMPLE_FOLDER)).find(file => file.endsWith('.wav'))
    return name === undefined ? null : relative('.', join(SAMPLE_FOLDER, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
