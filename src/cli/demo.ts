/**
 * `transcribe-relay demo`: a whole transcription on this machine, once, to look at. What `npm run demo` shows.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { resolveOptions } from '../config/resolve.ts'
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { expectWords, HELP_ROW, parseArguments, readNumber } from './arguments.ts'
import { openAudioFile } from './audio-input.ts'
import type { Command, CommandContext } from './command.ts'
import { CommandError } from './command.ts'
import { chooseEngine, ENGINE_ROWS, SAMPLE_FOLDER } from './engine-choice.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import type { LocalStack } from './local-stack.ts'
import { startLocalStack } from './local-stack.ts'
import { addStatistics, createStatistics } from './statistics.ts'
import { SPEED } from './stream-flags.ts'
import { describeFailure, runInterruptible, runStream } from './stream-session.ts'
import { renderSummary } from './summary.ts'
import { printable } from './terminal.ts'

const CHUNK_MS = 100
const CONNECT_TIMEOUT_MS = 10_000
const END_TIMEOUT_MS = 60_000
const RAW = { sampleRate: 16_000, channels: 1, forced: false } as const

const DEMO_ROWS: readonly OptionRow[] = [
  {
    flag: 'file',
    value: 'FILE',
    multiple: true,
    doc: 'Audio in place of the sample speech; may be given again.',
  },
  {
    flag: 'speed',
    value: 'FACTOR',
    doc: 'Pace of the audio; 1 is real time.',
    default: String(SPEED.default),
    bounds: `${SPEED.min} to ${SPEED.max}`,
  },
  ...ENGINE_ROWS,
  HELP_ROW,
]

const help: HelpPage = {
  command: 'demo',
  summary: 'transcribe the sample speech through a relay, once, and show it',
  usage: ['demo [options]'],
  purpose: [
    'Starts a local Amazon Transcribe and a relay on free ports of this machine, streams the sample speech to the relay at the pace of a microphone, file by file, and prints what comes back: partial results as they change, final results as they settle, and figures at the end. Then everything is stopped.',
    'Everything is real but the service: the WebSocket, the signature, the event stream and the relay between them. With pocketsphinx installed the recognition is real too, and gives final results only.',
  ],
  sections: [{ title: 'OPTIONS', rows: DEMO_ROWS }],
  examples: [
    { doc: 'The sample speech, in real time:', line: 'transcribe-relay demo' },
    {
      doc: 'A recording of your own, twice as fast:',
      line: 'transcribe-relay demo --file speech.wav --speed 2',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'every file was transcribed' },
    { code: EXIT_FAILURE, doc: 'a stream failed, or a file cannot be read' },
    USAGE_ROW,
    { code: EXIT_FORCED.SIGINT, doc: 'it was interrupted' },
  ],
  seeAlso: ['transcribe-relay dev', 'transcribe-relay stream', 'transcribe-relay serve'],
}

export const demoCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const parsed = parseArguments(args, DEMO_ROWS)
  expectWords(parsed, 0, 0, 'demo')
  const speed = readNumber(parsed.get('speed'), SPEED)
  const files = await findFiles(parsed)
  const { engine, hint } = await chooseEngine(parsed)
  const { terminal, clock, events } = context
  const stack = await startLocalStack(
    { engine },
    '0',
    async overrides =>
      resolveOptions({
        overrides: {
          ...overrides,
          ...LOOPBACK,
          // The demo may be asked to hurry; the limits stand for strangers.
          paceRate: Math.max(1.25, speed * 1.25),
          paceBurstMs: Math.min(60_000, Math.max(5000, speed * 5000)),
          messagesPerSecond: Math.max(500, Math.ceil((2 * speed * 1000) / CHUNK_MS)),
        },
      }).options,
    clock,
  )
  try {
    terminal.print(
      `client -> relay ${stack.addresses.url} -> local Amazon Transcribe (engine ${engine.name})`,
    )
    if (hint !== null) terminal.print(hint)
    const finished = await runInterruptible(events, stop =>
      streamFiles(files, { speed, stack, stop }, context),
    )
    return finished ?? EXIT_FORCED.SIGINT
  } finally {
    await stack.close()
  }
}

/** Any free ports of the loopback, and a log that stays out of the picture. */
const LOOPBACK = {
  host: '127.0.0.1',
  port: 0,
  opsHost: '127.0.0.1',
  opsPort: 0,
  maxSessions: 2,
  logLevel: 'fatal',
} as const

interface Show {
  readonly speed: number
  readonly stack: LocalStack
  readonly stop: AbortSignal
}

/** One stream a file. Resolves with the exit code. */
async function streamFiles(
  files: readonly string[],
  show: Show,
  { terminal, clock }: CommandContext,
): Promise<number> {
  const total = createStatistics()
  const startedAtMs = clock.monotonicMs()
  for (const path of files) {
    if (show.stop.aborted) return EXIT_FORCED.SIGINT
    const input = await openAudioFile(path, RAW)
    terminal.print('')
    terminal.print(`${printable(input.name)}: ${input.description}`)
    const outcome = await runStream(
      {
        input,
        url: show.stack.addresses.url,
        parameters: { 'language-code': 'en-US' },
        token: null,
        speed: show.speed,
        chunkMs: CHUNK_MS,
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        endTimeoutMs: END_TIMEOUT_MS,
        format: 'text',
        partialLines: true,
        stop: show.stop,
      },
      terminal,
      clock,
    )
    addStatistics(total, outcome.statistics)
    if (outcome.kind === 'failed') {
      for (const line of describeFailure(outcome)) terminal.warn(line)
      return EXIT_FAILURE
    }
  }
  terminal.print('')
  terminal.print(renderSummary(total, (clock.monotonicMs() - startedAtMs) / 1000))
  return show.stop.aborted ? EXIT_FORCED.SIGINT : EXIT_OK
}

async function findFiles(parsed: ParsedArguments): Promise<readonly string[]> {
  const given = parsed.getAll('file')
  if (given.length > 0) return given
  try {
    const names = (await readdir(SAMPLE_FOLDER)).filter(name => name.endsWith('.wav')).sort()
    if (names.length > 0) return names.map(name => join(SAMPLE_FOLDER, name))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  throw new CommandError('the sample speech is not part of this installation; give --file')
}
