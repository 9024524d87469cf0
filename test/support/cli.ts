/**
 * The command line under test: as a real process, or in memory with everything in hand.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { CommandContext } from '../../src/cli/command.ts'
import type { StopSignal } from '../../src/cli/exit-codes.ts'
import type { Clock } from '../../src/clock.ts'
import { systemClock } from '../../src/clock.ts'

const ENTRY = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** Keys for signatures that go nowhere; nothing of the machine's own is found beside them. */
export const TEST_KEYS = {
  AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
} as const

/** What is kept of a process that writes for hours. */
const MAX_OUTPUT_CHARACTERS = 64 * 1024 * 1024

/** A machine that runs all tests at once is late now and then, which is no reason to refuse a session. */
const PATIENT = { RELAY_OVERLOAD_LAG_MS: '60000' }

export const NO_AWS = {
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/nonexistent/config',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent/credentials',
} as const

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliProcess {
  readonly child: ChildProcessWithoutNullStreams
  /** What was written so far; the latest, if it was very much. */
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** Resolves when standard output or error matches; rejects when the process ends before. */
  waitFor(pattern: RegExp): Promise<RegExpExecArray>
  readonly result: Promise<CliResult>
}

/** How the process is started, where that matters. */
export interface CliStart {
  /** Programs in front of Node.js, such as `unshare`. */
  readonly wrapper?: readonly string[]
  /** Modules that Node.js loads first. */
  readonly preload?: readonly string[]
}

/** Starts `transcribe-relay …args`. The environment holds what is given and little else. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { preload = [], wrapper = [] }: CliStart = {},
): CliProcess {
  const imports = ['tsx', ...preload].flatMap(name => ['--import', name])
  const [program = '', ...rest] = [...wrapper, process.execPath, ...imports, ENTRY, ...args]
  const child = spawn(program, rest, {
    env: { ...inherited(), ...NO_AWS, ...(args[0] === 'serve' ? PATIENT : {}), ...env },
  })
  const output = { stdout: '', stderr: '' }
  const waiters = new Set<() => void>()
  const wake = (): void => waiters.forEach(waiter => waiter())
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout = keepLatest(output.stdout + text)
    wake()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr = keepLatest(output.stderr + text)
    wake()
  })
  const result = once(child, 'close').then(([code]) => ({ code: code as number | null, ...output }))
  return {
    child,
    output,
    result,
    waitFor: pattern =>
      new Promise((resolve, reject) => {
        const check = (): void => {
          const found = pattern.exec(output.stdout) ?? pattern.exec(output.stderr)
          if (found === null) return
          waiters.delete(check)
          resolve(found)
        }
        waiters.add(check)
        check()
        void result.then(({ code }) =>
          reject(new Error(`ended with ${code} before ${pattern}\n${output.stdout}\n${output.stderr}`)),
        )
      }),
  }
}

/** Whole lines. */
function keepLatest(text: string): string {
  if (text.length <= MAX_OUTPUT_CHARACTERS) return text
  return text.slice(text.indexOf('\n', MAX_OUTPUT_CHARACTERS / 2) + 1)
}

export function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  input: string | Uint8Array = '',
): Promise<CliResult> {
  const { child, result } = startCli(args, env)
  // A command that does not read its input may be gone before it is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return result
}

export interface MemoryContext extends CommandContext {
  readonly output: { stdout: string; stderr: string }
  signal(signal: StopSignal): void
  crash(error: unknown): void
}

/** A context in memory. */
export function memoryContext(
  options: {
    readonly clock?: Clock
    readonly environment?: Readonly<Record<string, string>>
    readonly interactive?: boolean
    readonly columns?: number
    readonly stdin?: readonly Uint8Array[]
  } = {},
): MemoryContext {
  const output = { stdout: '', stderr: '' }
  const signals = new Set<(signal: StopSignal) => void>()
  const crashes = new Set<(error: unknown) => void>()
  return {
    output,
    terminal: {
      interactive: options.interactive ?? false,
      columns: options.columns ?? 100,
      write: text => void (output.stdout += text),
      print: line => void (output.stdout += `${line}\n`),
      warn: line => void (output.stderr += `${line}\n`),
    },
    environment: options.environment ?? {},
    stdin: Readable.from(options.stdin ?? []),
    clock: options.clock ?? systemClock,
    spawnWorker: () => {
      throw new Error('no worker is started in memory')
    },
    outliveOutput: () => undefined,
    events: {
      onStopSignal(listener) {
        signals.add(listener)
        return () => void signals.delete(listener)
      },
      onCrash(listener) {
        crashes.add(listener)
        return () => void crashes.delete(listener)
      },
    },
    signal: signal => [...signals].forEach(listener => listener(signal)),
    crash: error => [...crashes].forEach(listener => listener(error)),
  }
}

/** What a child needs of this process: the way to programs, and what measures coverage. */
function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(
    ([name]) => name === 'PATH' || name === 'HOME' || /^(NODE_|TAP|_TAPJS)/.test(name),
  )
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? '']))
}
