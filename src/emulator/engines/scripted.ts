/**
 * The engine without a recogniser. It finds speech by energy and says, in this order of preference, the words of a
 * recording that it knows, the words of a text that it was given, or what it heard (seconds, level, SHA-256).
 *
 * Without texts, a stream in which no recording was recognised ends with one more final over everything, so that a test can prove
 * that every byte arrived.
 */
import { createHash } from 'node:crypto'
import type { StreamParameters } from '../../transcribe/parameters.ts'
import type { Engine, EngineFactory, EngineListener, EngineStream } from '../engine.ts'
import type { Recording } from '../recordings.ts'
import { channelIdsOf, splitChannels } from './channels.ts'
import { ChannelScribe } from './channel-scribe.ts'
import { DEFAULT_SPEECH_THRESHOLD_DB } from './loudness.ts'
import { RecordingIndex } from './recording-index.ts'
import { RecordingSource } from './recording-source.ts'
import { ResultBuilder, type PersonalData } from './result-builder.ts'
import { FirstSource, TextSource, type SpokenText, type WordSource } from './word-sources.ts'

export type { SpokenText } from './word-sources.ts'

export interface ScriptedOptions {
  /** Recordings whose audio is recognised, byte for byte, wherever it occurs. Default: none. */
  readonly recordings?: readonly Recording[]
  /** Texts said over any other speech, in order and then again from the first. Default: none. */
  readonly texts?: readonly SpokenText[]
  /** What counts as personal data when the stream asks for it. Default: nothing. */
  readonly personalData?: readonly PersonalData[]
  /** Level from which a frame is speech, dBFS, -90 to -5. Default -40. */
  readonly speechThresholdDb?: number
  /** Quiet that ends a result, milliseconds, 100 to 10 000. Default 600. */
  readonly pauseMs?: number
}

const DEFAULT_PAUSE_MS = 600

/** Throws `RangeError` for an option out of its bounds. */
export function createScriptedEngine(options: ScriptedOptions = {}): EngineFactory {
  const speechThresholdDb = options.speechThresholdDb ?? DEFAULT_SPEECH_THRESHOLD_DB
  const pauseMs = options.pauseMs ?? DEFAULT_PAUSE_MS
  checkBounds('speechThresholdDb', speechThresholdDb, -90, -5)
  checkBounds('pauseMs', pauseMs, 100, 10_000)
  const script: Script = {
    recordings: options.recordings ?? [],
    texts: options.texts ?? [],
    personalData: options.personalData ?? [],
    speechThresholdDb,
    pauseMs,
    indexes: new Map(),
  }
  return {
    name: 'scripted',
    open(stream, listener) {
      return stream.parameters.isPcm
        ? new ScriptedEngine(script, stream, listener)
        : new OpaqueEngine(stream, listener)
    },
  }
}

interface Script {
  readonly recordings: readonly Recording[]
  readonly texts: readonly SpokenText[]
  readonly personalData: readonly PersonalData[]
  readonly speechThresholdDb: number
  readonly pauseMs: number
  /** By sample rate, made when first needed. */
  readonly indexes: Map<number, RecordingIndex>
}

class ScriptedEngine implements Engine {
  readonly #listener: EngineListener
  readonly #parameters: StreamParameters
  readonly #scribes: readonly ChannelScribe[]
  readonly #builders: readonly ResultBuilder[]
  readonly #reportsSpeech: boolean
  readonly #hash = createHash('sha256')
  #bytes = 0
  #isClosed = false

  constructor(script: Script, { parameters, streamId }: EngineStream, listener: EngineListener) {
    this.#listener = listener
    this.#parameters = parameters
    this.#builders = channelIdsOf(parameters).map(
      channelId => new ResultBuilder(parameters, streamId, channelId, script.personalData),
    )
    this.#reportsSpeech = script.texts.length === 0
    const settings = {
      sampleRateHz: parameters.sampleRateHz,
      speechThresholdDb: script.speechThresholdDb,
      pauseMs: script.pauseMs,
      reportsSpeech: this.#reportsSpeech,
    }
    this.#scribes = this.#builders.map(
      builder =>
        new ChannelScribe(settings, openSource(script, parameters.sampleRateHz), builder, results => {
          if (!this.#isClosed) listener.engineOnResults(results)
        }),
    )
  }

  write(audio: Uint8Array): void {
    if (this.#isClosed) return
    this.#bytes += audio.byteLength
    this.#hash.update(audio)
    const channels = splitChannels(audio, this.#parameters)
    for (const [channel, scribe] of this.#scribes.entries()) {
      scribe.write(channels[channel] ?? new Int16Array(0))
    }
  }

  end(): void {
    if (this.#isClosed) return
    for (const scribe of this.#scribes) scribe.end()
    const knewWords = this.#scribes.some(scribe => scribe.knewWords)
    if (this.#reportsSpeech && this.#bytes > 0 && !knewWords) this.#reportAll()
    if (!this.#isClosed) this.#listener.engineOnEnd()
  }

  close(): void {
    this.#isClosed = true
  }

  #reportAll(): void {
    const [builder] = this.#builders
    const [scribe] = this.#scribes
    if (this.#isClosed || builder === undefined || scribe === undefined) return
    const endSeconds = this.#bytes / this.#parameters.bytesPerSecond
    const content = reportOf(this.#bytes, this.#hash.digest('hex'), endSeconds)
    this.#listener.engineOnResults([
      builder.build({
        index: scribe.segmentCount,
        startSeconds: 0,
        endSeconds,
        isPartial: false,
        words: [{ content, startSeconds: 0, endSeconds }],
      }),
    ])
  }
}

/** For compressed audio: it is not decoded, so all that can be said is that it arrived. */
class OpaqueEngine implements Engine {
  readonly #listener: EngineListener
  readonly #builder: ResultBuilder
  readonly #hash = createHash('sha256')
  #bytes = 0
  #isClosed = false

  constructor({ parameters, streamId }: EngineStream, listener: EngineListener) {
    this.#listener = listener
    this.#builder = new ResultBuilder(parameters, streamId, null, [])
  }

  write(audio: Uint8Array): void {
    this.#bytes += audio.byteLength
    this.#hash.update(audio)
  }

  end(): void {
    if (this.#isClosed) return
    if (this.#bytes > 0) {
      const word = {
        content: reportOf(this.#bytes, this.#hash.digest('hex')),
        startSeconds: 0,
        endSeconds: 0,
      }
      this.#listener.engineOnResults([
        this.#builder.build({ index: 0, startSeconds: 0, endSeconds: 0, isPartial: false, words: [word] }),
      ])
    }
    if (!this.#isClosed) this.#listener.engineOnEnd()
  }

  close(): void {
    this.#isClosed = true
  }
}

function openSource(script: Script, sampleRateHz: number): WordSource {
  let index = script.indexes.get(sampleRateHz)
  if (index === undefined) {
    index = new RecordingIndex(script.recordings, sampleRateHz)
    script.indexes.set(sampleRateHz, index)
  }
  const texts = new TextSource(script.texts, sampleRateHz)
  return index.isEmpty ? texts : new FirstSource([new RecordingSource(index, sampleRateHz), texts])
}

/** The form is a contract: tests read the numbers out of it. */
function reportOf(bytes: number, sha256: string, seconds: number | null = null): string {
  const length = seconds === null ? '' : `${seconds.toFixed(3)} s, `
  return `heard in all ${length}${bytes} bytes, sha256 ${sha256}`
}

function checkBounds(name: string, value: number, min: number, max: number): void {
  if (value >= min && value <= max) return
  throw new RangeError(`Scripted engine option ${name} must be from ${min} to ${max}, got ${value}.`)
}
