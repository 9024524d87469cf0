/**
 * A real recogniser: one `pocketsphinx_continuous` process for each transcribed channel, fed with 16 kHz mono PCM.
 *
 * The program says nothing before a pause, so there are finals only and no partials; it knows US English only, whatever
 * the language of the stream. Its backlog is bounded, and it never outlives its stream.
 */
import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process'
import { kill } from 'node:process'
import type { Readable, Writable } from 'node:stream'
import type { StreamParameters } from '../../transcribe/parameters.ts'
import { systemClock, type Clock, type Timer } from '../../clock.ts'
import type { Engine, EngineFactory, EngineListener, EngineStream } from '../engine.ts'
import { exceptions } from '../exceptions.ts'
import { channelIdsOf, splitChannels } from './channels.ts'
import { PocketsphinxOutput } from './pocketsphinx-output.ts'
import { Resampler } from './resampler.ts'
import { ResultBuilder, type HeardWord } from './result-builder.ts'

export interface PocketsphinxOptions {
  /** The program, by name or by path. Default `pocketsphinx_continuous`. */
  readonly program?: string
  /** Audio that may wait for the recogniser, seconds, 1 to 600. Default 60; more ends the stream. */
  readonly maxBacklogSeconds?: number
  /** Time for the last words after the end of the audio, milliseconds, 100 to 600 000. Default 60 000. */
  readonly finishTimeoutMs?: number
  readonly clock?: Clock
}

const PROGRAM = 'pocketsphinx_continuous'
const RECOGNISER_HZ = 16_000
const BYTES_PER_SECOND = RECOGNISER_HZ * 2
const DEFAULT_BACKLOG_SECONDS = 60
const DEFAULT_FINISH_TIMEOUT_MS = 60_000
/**
 * The program opens its input by name, which fails for the socket that Node gives a child as standard input; behind
 * `cat` it is a pipe. The shell does not wait for `cat`, so that the end of the program is noticed whether audio comes or
 * not. `$0` is the program. Without its parent, all of it ends with the input.
 */
const PIPELINE = 'exec 3<&0; (cat <&3 &) | "$0" -infile /dev/stdin -time yes -logfn /dev/null 3<&-'
const DETECT_TIMEOUT_MS = 10_000
/** The program hears speech only after a pause has ended it. */
const TRAILING_SILENCE_SECONDS = 1

/** The program's name if it is installed together with its model, which it loads to answer; else `null`. */
export function detectPocketsphinx(program = PROGRAM): Promise<string | null> {
  return new Promise(resolve => {
    execFile(
      program,
      ['-infile', '/dev/null', '-logfn', '/dev/null'],
      { timeout: DETECT_TIMEOUT_MS },
      error => resolve(error === null ? program : null),
    )
  })
}

/** Throws `RangeError` for an option out of its bounds. */
export function createPocketsphinxEngine(options: PocketsphinxOptions = {}): EngineFactory {
  const settings: Settings = {
    program: options.program ?? PROGRAM,
    maxBacklogBytes:
      checked('maxBacklogSeconds', options.maxBacklogSeconds ?? DEFAULT_BACKLOG_SECONDS, 1, 600) *
      BYTES_PER_SECOND,
    finishTimeoutMs: checked(
      'finishTimeoutMs',
      options.finishTimeoutMs ?? DEFAULT_FINISH_TIMEOUT_MS,
      100,
      600_000,
    ),
    clock: options.clock ?? systemClock,
  }
  return {
    name: 'pocketsphinx',
    open: (stream, listener) => new PocketsphinxEngine(settings, stream, listener),
  }
}

interface Settings {
  readonly program: string
  readonly maxBacklogBytes: number
  readonly finishTimeoutMs: number
  readonly clock: Clock
}

/** One process and what belongs to its channel. */
interface Recogniser {
  readonly child: ChildProcessByStdio<Writable, Readable, null>
  readonly resampler: Resampler
}

class PocketsphinxEngine implements Engine {
  readonly #settings: Settings
  readonly #parameters: StreamParameters
  readonly #listener: EngineListener
  readonly #recognisers: readonly Recogniser[]
  #runningCount: number
  #finishTimer: Timer | null = null
  #isEnded = false
  #isClosed = false

  constructor(settings: Settings, stream: EngineStream, listener: EngineListener) {
    this.#settings = settings
    this.#parameters = stream.parameters
    this.#listener = listener
    this.#recognisers = stream.parameters.isPcm
      ? channelIdsOf(stream.parameters).map(channelId => this.#start(stream, channelId))
      : []
    this.#runningCount = this.#recognisers.length
  }

  write(audio: Uint8Array): void {
    if (this.#isClosed) return
    if (!this.#parameters.isPcm) {
      this.#fail(`This recogniser takes PCM only, not ${this.#parameters.encoding}.`)
      return
    }
    const channels = splitChannels(audio, this.#parameters)
    for (const [channel, { child, resampler }] of this.#recognisers.entries()) {
      const samples = resampler.push(channels[channel] ?? new Int16Array(0))
      child.stdin.write(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength))
      if (child.stdin.writableLength > this.#settings.maxBacklogBytes) {
        this.#fail('The recogniser cannot keep up with the audio.')
        return
      }
    }
  }

  end(): void {
    if (this.#isClosed) return
    this.#isEnded = true
    if (this.#runningCount === 0) {
      this.#listener.engineOnEnd()
      return
    }
    const { clock, finishTimeoutMs } = this.#settings
    this.#finishTimer = clock.setTimer(finishTimeoutMs, () =>
      this.#fail('The recogniser did not finish in time.'),
    )
    for (const { child } of this.#recognisers) {
      child.stdin.end(Buffer.alloc(BYTES_PER_SECOND * TRAILING_SILENCE_SECONDS))
    }
  }

  close(): void {
    this.#isClosed = true
    this.#finishTimer?.cancel()
    for (const { child } of this.#recognisers) killGroup(child)
  }

  #start(stream: EngineStream, channelId: string | null): Recogniser {
    const builder = new ResultBuilder(stream.parameters, stream.streamId, channelId, [])
    let utteranceCount = 0
    const output = new PocketsphinxOutput(words =>
      this.#recogniserOnUtterance(builder, utteranceCount++, words),
    )
    const child = spawn('sh', ['-c', PIPELINE, this.#settings.program], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    })
    child.on('error', () => this.#fail('The recogniser could not be started.'))
    child.on('close', code => this.#recogniserOnClose(code))
    // A process that died says so with 'close'; the broken pipe adds nothing.
    child.stdin.on('error', () => undefined)
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => output.write(text))
    return { child, resampler: new Resampler(stream.parameters.sampleRateHz, RECOGNISER_HZ) }
  }

  #recogniserOnUtterance(builder: ResultBuilder, index: number, words: readonly HeardWord[]): void {
    const [first] = words
    const last = words.at(-1)
    if (this.#isClosed || first === undefined || last === undefined) return
    const { startSeconds } = first
    const { endSeconds } = last
    this.#listener.engineOnResults([
      builder.build({ index, startSeconds, endSeconds, isPartial: false, words }),
    ])
  }

  #recogniserOnClose(exitCode: number | null): void {
    this.#runningCount--
    if (this.#isClosed) return
    if (exitCode !== 0) this.#fail(`The recogniser ended with status ${exitCode}.`)
    else if (!this.#isEnded) this.#fail('The recogniser ended too early.')
    else if (this.#runningCount === 0) {
      this.#finishTimer?.cancel()
      this.#listener.engineOnEnd()
    }
  }

  #fail(message: string): void {
    if (this.#isClosed) return
    this.close()
    this.#listener.engineOnFailure(exceptions.internal(message))
  }
}

/** The pipeline is a process group of its own, led by the shell. */
function killGroup(child: Recogniser['child']): void {
  if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
    kill(-child.pid, 'SIGKILL')
}

function checked(name: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value
  throw new RangeError(`Pocketsphinx engine option ${name} must be from ${min} to ${max}, got ${value}.`)
}
