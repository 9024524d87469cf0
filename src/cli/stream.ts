/**
 * `transcribe-relay stream`: the thin client. Sends a file or standard input to a relay as a microphone would, and
 * prints what it hears.
 */
import type { OptionRow, ParsedArguments } from './arguments.ts'
import { describeBounds, expectWords, HELP_ROW, parseArguments, readChoice, readNumber } from './arguments.ts'
import { openAudio, openAudioFile } from './audio-input.ts'
import type { AudioInput, RawFormat } from './audio-input.ts'
import type { Command, CommandContext } from './command.ts'
import { UsageError } from './command.ts'
import { EXIT_FAILURE, EXIT_FORCED, EXIT_OK, USAGE_ROW } from './exit-codes.ts'
import type { HelpPage } from './help.ts'
import { PARAMETER_ROWS, readParameterFlags } from './parameter-flags.ts'
import { readRelayTarget, SPEED, TIMEOUT_ROWS, TOKEN_ROW, urlRow } from './stream-flags.ts'
import { describeFailure, runInterruptible, runStream } from './stream-session.ts'
import { renderSummary } from './summary.ts'
import { printable } from './terminal.ts'

const CHUNK_MS = { flag: 'chunk-ms', default: 100, min: 10, max: 1000 } as const
const RAW_RATE = { flag: 'sample-rate', default: 16_000, min: 1, max: 384_000 } as const
const RAW_CHANNELS = { flag: 'number-of-channels', default: 1, min: 1, max: 2 } as const

const STREAM_ROWS: readonly OptionRow[] = [
  urlRow('The relay. A query may hold parameters too.'),
  TOKEN_ROW,
  {
    flag: 'speed',
    value: 'FACTOR',
    doc: 'Pace of the audio: 1 is real time; max sends as fast as the socket takes it, which most relays refuse.',
    default: '1',
    bounds: `${SPEED.min} to ${SPEED.max}, or max`,
  },
  { flag: 'chunk-ms', value: 'MS', doc: 'Audio in one message, milliseconds.', ...describeBounds(CHUNK_MS) },
  {
    flag: 'format',
    value: 'FORMAT',
    doc: 'text: lines for people. json: every message of the relay, one a line.',
    default: 'text',
    bounds: 'text or json',
  },
  { flag: 'partials', doc: 'Print partial results as lines where the output is no terminal.' },
  {
    flag: 'resume',
    doc: 'Come back when the connection breaks, or is dead for 20 seconds, and go on where it was, as long as the relay keeps the session. If the relay keeps none, a line says so and the stream goes on without.',
  },
  { flag: 'summary', doc: 'Print figures at the end, on standard error.' },
  { flag: 'raw', doc: 'Take the input for raw 16-bit little-endian PCM, whatever it looks like.' },
  ...TIMEOUT_ROWS,
  HELP_ROW,
]

const help: HelpPage = {
  command: 'stream',
  summary: 'send audio to a relay and print the transcript',
  usage: ['stream FILE [options]', 'stream - [options]        (standard input)'],
  purpose: [
    'Opens one WebSocket to a relay, sends the audio at the pace of a microphone and prints every final result as it comes. On a terminal the partial result of the moment and a bar of the audio stand below.',
    'Reads WAV (8, 16, 24 and 32-bit integer, 32 and 64-bit float; mono or stereo; any rate) and raw 16-bit little-endian PCM. Sample rate and channels come from the WAV header; raw audio is taken for 16000 Hz mono unless --sample-rate and --number-of-channels say otherwise. Stereo is transcribed channel by channel.',
    'The first interrupt stops the audio and waits for the last results, the second ends at once.',
  ],
  sections: [
    { title: 'OPTIONS', rows: STREAM_ROWS },
    {
      title: 'PARAMETERS OF AMAZON TRANSCRIBE (as in its documentation; checked by the relay)',
      rows: PARAMETER_ROWS,
    },
  ],
  examples: [
    { doc: 'A file, in real time:', line: 'transcribe-relay stream speech.wav --language-code en-US' },
    {
      doc: 'The microphone of a Linux machine:',
      line: 'arecord -q -f S16_LE -r 16000 -c 1 -t raw | transcribe-relay stream - --show-speaker-label',
    },
    {
      doc: 'Everything the relay says, for another program:',
      line: 'transcribe-relay stream call.wav --format json | jq .',
    },
  ],
  exitCodes: [
    { code: EXIT_OK, doc: 'all audio was sent and the relay ended the stream' },
    {
      code: EXIT_FAILURE,
      doc: 'refused, broken off or unreadable audio; code, message and whether to retry are printed',
    },
    USAGE_ROW,
    { code: EXIT_FORCED.SIGINT, doc: 'a second interrupt ended it at once' },
  ],
  seeAlso: ['transcribe-relay dev', 'transcribe-relay demo', 'docs/protocol.md', 'docs/errors.md'],
}

export const streamCommand: Command = { help, run }

async function run(args: readonly string[], context: CommandContext): Promise<number> {
  const parsed = parseArguments(args, [...STREAM_ROWS, ...PARAMETER_ROWS])
  expectWords(parsed, 1, 1, 'stream FILE')
  const { terminal, clock, events } = context
  const settings = readSettings(parsed, context)
  const input = await openInput(parsed, context)
  const startedAtMs = clock.monotonicMs()
  const outcome = await runInterruptible(events, stop =>
    runStream({ ...settings, input, stop }, terminal, clock),
  )
  if (outcome === null) return EXIT_FORCED.SIGINT
  const seconds = (clock.monotonicMs() - startedAtMs) / 1000
  if (parsed.has('summary')) terminal.warn(renderSummary(outcome.statistics, seconds))
  if (outcome.kind === 'done') return EXIT_OK
  for (const line of describeFailure(outcome)) terminal.warn(line)
  return EXIT_FAILURE
}

function readSettings(parsed: ParsedArguments, { environment }: CommandContext) {
  const parameters = readParameterFlags(parsed)
  const encoding = parameters['media-encoding'] ?? 'pcm'
  if (encoding !== 'pcm') {
    throw new UsageError(`--media-encoding must be pcm, the only one that stream can pace, got "${encoding}"`)
  }
  // The header knows better than the command line, and the relay takes the number of channels for stereo only.
  delete parameters['sample-rate']
  delete parameters['number-of-channels']
  return {
    ...readRelayTarget(parsed, environment),
    parameters,
    speed: parsed.get('speed') === 'max' ? Infinity : readNumber(parsed.get('speed'), SPEED),
    chunkMs: readNumber(parsed.get('chunk-ms'), CHUNK_MS),
    format: readChoice(parsed.get('format'), { flag: 'format', default: 'text', choices: ['text', 'json'] }),
    partialLines: parsed.has('partials'),
    resume: parsed.has('resume'),
  } as const
}

async function openInput(parsed: ParsedArguments, { stdin, terminal }: CommandContext): Promise<AudioInput> {
  const raw: RawFormat = {
    sampleRate: readNumber(parsed.get('sample-rate'), RAW_RATE),
    channels: readNumber(parsed.get('number-of-channels'), RAW_CHANNELS),
    forced: parsed.has('raw'),
  }
  const path = parsed.words[0] ?? '-'
  const input =
    path === '-'
      ? await openAudio(stdin, { name: 'standard input', raw, fileBytes: null })
      : await openAudioFile(path, raw)
  const given = parsed.get('sample-rate')
  if (given !== undefined && Number(given) !== input.sampleRate) {
    terminal.warn(`the file says ${input.sampleRate} Hz; --sample-rate ${given} is left out`)
  }
  if (terminal.interactive) terminal.print(`${printable(input.name)}: ${input.description}`)
  return input
}
