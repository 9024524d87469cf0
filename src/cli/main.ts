#!/usr/bin/env node
/**
 * The entry of the process: hands what `process` offers to the program and ends with its exit code. No other file reads
 * `process`.
 */
import { systemClock } from '../clock.ts'
import type { CommandContext, ProcessEvents } from './command.ts'
import type { StopSignal } from './exit-codes.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK } from './exit-codes.ts'
import { runProgram } from './program.ts'
import { createTerminal } from './terminal.ts'
import { createPrimaryChannel, createSpawn } from './workers/child-processes.ts'
import { WORKER_ARGUMENT } from './workers/ports.ts'

const STOP_SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM']

const terminal = createTerminal(process.stdout, process.stderr)

/** Signals that a command gets to see; after them the process ends, whatever the command still waits for. */
const MAX_SIGNALS = 2

const events: ProcessEvents = {
  onStopSignal(listener) {
    let count = 0
    const onSignal = (signal: StopSignal): void => {
      count += 1
      if (count > MAX_SIGNALS) process.exit(EXIT_FORCED[signal])
      listener(signal)
    }
    for (const signal of STOP_SIGNALS) process.on(signal, onSignal)
    return () => {
      for (const signal of STOP_SIGNALS) process.off(signal, onSignal)
    }
  },
  onCrash(listener) {
    process.on('uncaughtException', listener)
    process.on('unhandledRejection', listener)
    return () => {
      process.off('uncaughtException', listener)
      process.off('unhandledRejection', listener)
    }
  },
}

let outlivesOutput = false

/**
 * `transcribe-relay stream … | head` closes the pipe: nobody reads on, which is no failure. A service has other clients
 * than the reader of its output, and ends when it is told to.
 */
function outputOnError(error: NodeJS.ErrnoException): void {
  if (outlivesOutput) return
  process.exit(error.code === 'EPIPE' ? EXIT_OK : EXIT_FAILURE)
}

process.stdout.on('error', outputOnError)
process.stderr.on('error', outputOnError)

const args = process.argv.slice(2)
const context: CommandContext = {
  terminal,
  environment: process.env,
  stdin: process.stdin,
  events,
  clock: systemClock,
  spawnWorker: createSpawn(process.argv[1] ?? '', action => process.once('exit', action)),
  outliveOutput() {
    outlivesOutput = true
  },
}

/** A terminal and some supervisors signal every process of a group; to a worker its primary says what to do. */
async function runAsWorker(): Promise<number> {
  for (const signal of STOP_SIGNALS) process.on(signal, () => undefined)
  context.outliveOutput()
  const { runWorker } = await import('./workers/worker.ts')
  return runWorker(createPrimaryChannel(process), context)
}

const isWorker = args[0] === WORKER_ARGUMENT && process.connected
const exitCode = await (isWorker ? runAsWorker() : runProgram(args, context))

// What was printed goes out first; then open handles of libraries must not keep a finished command alive.
process.stdout.write('', () => process.exit(exitCode))
