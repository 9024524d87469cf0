/**
 * `transcribe-relay emulate`: the local Amazon Transcribe alone, for clients and relays of any kind.
 */
import { readFile } from 'node:fs/promises'
import {
  createEmulator,
  EMULATOR_OPTIONS,
  EXAMPLE_ACCOUNT,
  FAULT_NAMES,
  FaultScriptError,
} from '../emulator/index.ts'
import type {
  Emulator,
  EmulatorAddress,
  EmulatorLog,
  EmulatorOptionDefinition,
  EmulatorOptions,
  FaultScriptInput,
} from '../emulator/index.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { expectWords, HELP_ROW, parseArguments } from './arguments.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError, UsageError } from './command.ts'
import { chooseEngine, ENGINE_ROWS } from './engine-choice.ts'
import { EXIT_FAILURE, EXIT_OK, FORCED_ROWS, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import type { Service } from './service-loop.ts'
import { describeListenFailure, runService } from './service-loop.ts'
import type { Terminal } from './terminal.ts'

const OWN_ROWS: readonly OptionRow[] = [
  ...ENGINE_ROWS,
  { flag: 'faults', value: 'FILE', doc: `A JSON fault script. Faults: ${FAULT_NAMES.join(', ')}.` },
  { flag: 'tls-key', value: 'FILE', doc: 'PEM private key; with --tls-cert the emulator speaks wss.' },
  { flag: 'tls-cert', value: 'FILE', doc: 'PEM certificate chain.' },
  {
    flag: 'http2-port',
    value: 'PORT',
    doc: 'Listens for HTTP/2 too, which the AWS SDKs for servers speak; 0 takes a free port. Default: it does not.',
    bounds: boundsOf(EMULATOR_OPTIONS.port),
  },
  { flag: 'quiet', doc: 'Do not print a line for every event.' },
  HELP_ROW,
]

export const EMULATOR_ROWS: readonly OptionRow[] = Object.entries<EmulatorOptionDefinition>(
  EMULATOR_OPTIONS,
).map(([name, definition]) => ({
  flag: flagOf(name),
  value: definition.kind.toUpperCase(),
  doc: definition.doc,
  default: String(definition.default),
  bounds: boundsOf(definition),
}))

const help: HelpPage = {
  command: 'emulate',
  summary: 'run the local Amazon Transcribe alone, with faults if wanted',
  usage: ['emulate [options]'],
  purpose: [
    'Listens as Amazon Transcribe streaming does: the same path, the same signed query (signature, age and token are verified), the same event stream, exceptions, time-outs and quotas. A relay finds it with --endpoint; any other client signs its URLs for the region and the key below.',
    `It knows one account, the public key of the AWS documentation: ${EXAMPLE_ACCOUNT.accessKeyId} / ${EXAMPLE_ACCOUNT.secretAccessKey}. It protects nothing; do not listen where strangers can reach it.`,
  ],
  sections: [
    { title: 'OPTIONS', rows: OWN_ROWS },
    { title: 'OPTIONS OF THE EMULATED SERVICE', rows: EMULATOR_ROWS },
  ],
  examples: [
    {
      doc: 'A service that is at its limit after two streams:',
      line: 'transcribe-relay emulate --port 9443 --concurrent-streams 2',
    },
    {
      doc: 'For an AWS SDK, which takes the address as its endpoint:',
      line: 'transcribe-relay emulate --http2-port 9444',
    },
    {
      doc: 'Every third stream breaks after five seconds of audio (in faults.json: {"rules":[{"match":{"every":3},"action":{"do":"reset","atSeconds":5}}]}):',
      line: 'transcribe-relay emulate --faults faults.json',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'it was stopped by SIGINT or SIGTERM' },
    { code: EXIT_FAILURE, doc: 'the port is in use, a file cannot be read or the fault script is not valid' },
    USAGE_ROW,
    ...FORCED_ROWS,
  ],
  seeAlso: ['transcribe-relay dev', 'transcribe-relay presign', 'docs/emulator.md'],
}

export const emulateCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const parsed = parseArguments(args, [...OWN_ROWS, ...EMULATOR_ROWS])
  expectWords(parsed, 0, 0, 'emulate')
  const { terminal } = context
  const { engine, hint } = await chooseEngine(parsed)
  const emulator = build({
    ...readEmulatorOptions(parsed),
    ...readHttp2(parsed),
    ...(await readFiles(parsed)),
    engine,
    ...(parsed.has('quiet') ? {} : { log: terminalLog(terminal) }),
  })
  const host = parsed.get('host') ?? EMULATOR_OPTIONS.host.default
  context.outliveOutput()
  return runService(async () => {
    const { http2Url, url } = await startEmulator(emulator, host, parsed.get('port') ?? '0')
    const region = parsed.get('region') ?? EMULATOR_OPTIONS.region.default
    terminal.print(`the emulator listens at ${url} (region ${region}, engine ${engine.name})`)
    if (http2Url !== null) terminal.print(`HTTP/2 at ${http2Url}`)
    if (hint !== null) terminal.print(hint)
    terminal.print('a relay for it:')
    terminal.print(
      `  AWS_ACCESS_KEY_ID=${EXAMPLE_ACCOUNT.accessKeyId} AWS_SECRET_ACCESS_KEY=${EXAMPLE_ACCOUNT.secretAccessKey} ` +
        `transcribe-relay serve --region ${region} --endpoint ${url}`,
    )
    return emulatorService(emulator, terminal)
  }, context)
}

function emulatorService(emulator: Emulator, terminal: Terminal): Service {
  return {
    drain: () => emulator.close(),
    close: () => emulator.close(),
    serviceOnStop: signal => terminal.warn(`${signal}: the emulator stops`),
    serviceOnCrash: error => {
      const about = error instanceof Error ? (error.stack ?? error.message) : String(error)
      terminal.warn(`the emulator failed: ${about}`)
    },
  }
}

/** Throws `CommandError` when the port cannot be had. */
export async function startEmulator(
  emulator: Emulator,
  host: string,
  port: string,
): Promise<EmulatorAddress> {
  try {
    return await emulator.start()
  } catch (error) {
    // It may listen on two ports; the system says which one it is.
    const failed = error instanceof Error && 'port' in error ? String(error.port) : port
    const reason = describeListenFailure(error, `${host} port ${failed}`)
    if (reason === null) throw error
    throw new CommandError(reason, { cause: error })
  }
}

/** Reads a fault script. Throws `CommandError` when it cannot be read or is no JSON. */
export async function readFaults(path: string): Promise<FaultScriptInput> {
  const text = await readText('faults', path)
  try {
    // The emulator checks what it holds.
    return JSON.parse(text) as FaultScriptInput
  } catch (error) {
    throw new CommandError(`--faults ${path} is no valid JSON`, { cause: error })
  }
}

/** Creates the emulator; what is wrong with its options is told as a mistake of the command line. */
export function build(options: EmulatorOptions): Emulator {
  try {
    return createEmulator(options)
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error })
    if (error instanceof FaultScriptError) throw new CommandError(error.message, { cause: error })
    throw error
  }
}

/** Lines such as `stream_started connection=1`. */
export function terminalLog(terminal: Terminal): EmulatorLog {
  return {
    write(event, fields) {
      const words = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`)
      terminal.print([event, ...words].join(' '))
    },
  }
}

async function readFiles(parsed: ParsedArguments): Promise<Pick<EmulatorOptions, 'faults' | 'tls'>> {
  const faultsPath = parsed.get('faults')
  const keyPath = parsed.get('tls-key')
  const certPath = parsed.get('tls-cert')
  if ((keyPath === undefined) !== (certPath === undefined)) {
    throw new UsageError('--tls-key and --tls-cert belong together')
  }
  return {
    ...(faultsPath === undefined ? {} : { faults: await readFaults(faultsPath) }),
    ...(keyPath === undefined || certPath === undefined
      ? {}
      : { tls: { key: await readText('tls-key', keyPath), cert: await readText('tls-cert', certPath) } }),
  }
}

async function readText(flag: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
    throw new CommandError(`--${flag} ${path} cannot be read (${code})`, { cause: error })
  }
}

function readHttp2(parsed: ParsedArguments): Pick<EmulatorOptions, 'http2'> {
  const text = parsed.get('http2-port')
  if (text === undefined) return {}
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`--http2-port must be a whole number, got "${text}"`)
  return { http2: { port: Number(text) } }
}

/** The plain options that were given, typed by their row; the emulator checks the bounds. */
function readEmulatorOptions(parsed: ParsedArguments): EmulatorOptions {
  const options: Record<string, string | number> = {}
  for (const [name, definition] of Object.entries<EmulatorOptionDefinition>(EMULATOR_OPTIONS)) {
    const text = parsed.get(flagOf(name))
    if (text === undefined) continue
    if (definition.kind === 'number' && !/^\d{1,15}$/.test(text)) {
      throw new UsageError(`--${flagOf(name)} must be a whole number, got "${text}"`)
    }
    options[name] = definition.kind === 'number' ? Number(text) : text
  }
  return options
}

function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

function boundsOf(definition: EmulatorOptionDefinition): string {
  switch (definition.kind) {
    case 'number':
      return `${definition.min} to ${definition.max} ${definition.unit}`
    case 'choice':
      return definition.values.join(' or ')
    default:
      return definition.unit
  }
}
