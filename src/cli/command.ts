/**
 * What a command is, and what it may use of the process. `main.ts` fills the context from `process`; a test fills it
 * from memory. A command returns its exit code and never ends the process itself.
 */
import type { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { StopSignal } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import type { Terminal } from './terminal.ts'
import type { SpawnWorker } from './workers/ports.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** Signals and crashes of the process. Each method returns the function that takes the listener off again. */
export interface ProcessEvents {
  onStopSignal(listener: (signal: StopSignal) => void): () => void
  /** An uncaught exception or an unhandled rejection. */
  onCrash(listener: (error: unknown) => void): () => void
}

export interface CommandContext {
  readonly terminal: Terminal
  readonly environment: Environment
  readonly stdin: Readable
  readonly events: ProcessEvents
  readonly clock: Clock
  /** Starts this program once more, as a worker. */
  readonly spawnWorker: SpawnWorker
  /** Called by a command that serves: when nobody reads its output any more, that costs lines and nothing else. */
  outliveOutput(): void
}

export interface Command {
  readonly help: HelpPage
  /** `args` are the words after the command's name. Throws `UsageError`, `ConfigError`, or `CommandError`. */
  run(args: readonly string[], context: CommandContext): Promise<number>
}

/** The command line is wrong: printed with a hint to the help page, exit code 64. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A failure with a message for people: printed without a stack, exit code 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}
