/**
 * From the words of the command line to a command and its exit code. Everything a command can throw ends here as one
 * clear line or one line a problem.
 */
import { ConfigError, describeProblem } from '../config/problems.ts'
import { suggestName } from '../spelling.ts'
import { VERSION } from '../version.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError, UsageError } from './command.ts'
import { EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './exit-codes.ts'
import { renderHelp } from './help.ts'

interface CommandEntry {
  readonly summary: string
  /** Commands are loaded when they are run: `stream` must not need the native listener of `serve`. */
  load(): Promise<Command>
}

export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  serve: {
    summary: 'run the relay',
    load: async () => (await import('./serve.ts')).serveCommand,
  },
  dev: {
    summary: 'run the relay with a local Amazon Transcribe; no AWS account needed',
    load: async () => (await import('./dev.ts')).devCommand,
  },
  demo: {
    summary: 'transcribe the sample speech through a relay, once, and show it',
    load: async () => (await import('./demo.ts')).demoCommand,
  },
  stream: {
    summary: 'send audio to a relay and print the transcript',
    load: async () => (await import('./stream.ts')).streamCommand,
  },
  canary: {
    summary: 'stream a known sample again and again, check words and latency',
    load: async () => (await import('./canary.ts')).canaryCommand,
  },
  emulate: {
    summary: 'run the local Amazon Transcribe alone, with faults if wanted',
    load: async () => (await import('./emulate.ts')).emulateCommand,
  },
  presign: {
    summary: 'print a signed WebSocket URL for Amazon Transcribe or another AWS service',
    load: async () => (await import('./presign.ts')).presignCommand,
  },
  sign: {
    summary: 'sign an HTTP request for any AWS service',
    load: async () => (await import('./sign.ts')).signCommand,
  },
  config: {
    summary: 'print every option of the relay with its value and where that comes from',
    load: async () => (await import('./config.ts')).configCommand,
  },
}

/** Runs one command line, without the program's name. Never throws. */
export async function runProgram(args: readonly string[], context: CommandContext): Promise<number> {
  try {
    return await dispatch(args, context)
  } catch (error) {
    return report(error, args[0], context)
  }
}

async function dispatch(args: readonly string[], context: CommandContext): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    context.terminal.warn(overview())
    return EXIT_USAGE
  }
  if (name === '--help' || name === '-h') return print(overview(), context)
  if (name === '--version' || name === '-V') return print(VERSION, context)
  if (name === 'help') return rest[0] === undefined ? print(overview(), context) : printHelp(rest[0], context)
  const command = await load(name)
  return asksForHelp(rest) ? printHelp(name, context) : command.run(rest, context)
}

async function printHelp(name: string, context: CommandContext): Promise<number> {
  const command = await load(name)
  return print(renderHelp(command.help, context.terminal.columns), context)
}

function print(text: string, { terminal }: CommandContext): number {
  terminal.print(text)
  return EXIT_OK
}

async function load(name: string): Promise<Command> {
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (entry !== undefined) return entry.load()
  const near = suggestName(name, Object.keys(COMMANDS))
  const what = name.startsWith('-') ? 'option' : 'command'
  throw new UsageError(`unknown ${what} ${name}${near === null ? '' : `; did you mean ${near}?`}`)
}

/** `--help` anywhere before `--`, so that it works beside options that are wrong. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? args.length : end).some(arg => arg === '--help' || arg === '-h')
}

function overview(): string {
  const lines = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`)
  return [
    'transcribe-relay - a WebSocket relay to Amazon Transcribe streaming',
    '',
    'USAGE',
    '  transcribe-relay COMMAND [options]',
    '',
    'COMMANDS',
    ...lines,
    '',
    'OPTIONS',
    '  -h, --help     Print this page; after a command, the page of the command.',
    '  -V, --version  Print the version.',
    '',
    'Start with:  transcribe-relay demo',
  ].join('\n')
}

function report(error: unknown, name: string | undefined, { terminal }: CommandContext): number {
  if (error instanceof UsageError) {
    const page = name !== undefined && Object.hasOwn(COMMANDS, name) ? `${name} --help` : '--help'
    terminal.warn(`transcribe-relay: ${error.message}`)
    terminal.warn(`see transcribe-relay ${page}`)
    return EXIT_USAGE
  }
  if (error instanceof ConfigError) {
    terminal.warn(`transcribe-relay: the configuration is not valid`)
    for (const problem of error.problems) terminal.warn(`  ${describeProblem(problem)}`)
    return EXIT_CONFIG
  }
  terminal.warn(`transcribe-relay: ${describeError(error)}`)
  return EXIT_FAILURE
}

/** One line for what was expected to happen, the stack for what is a bug. */
function describeError(error: unknown): string {
  if (error instanceof CommandError) return error.message
  if (error instanceof Error) return error.stack ?? error.message
  return String(error)
}
