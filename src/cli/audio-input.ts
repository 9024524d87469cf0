/**
 * Audio for the thin client: a WAV file, raw PCM, or either of them from standard input, as 16-bit little-endian PCM.
 * Read as it is needed: nothing is loaded whole.
 */
import { createReadStream, type ReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { CommandError } from './command.ts'
import { describeWavFormat, WavError } from './wav-format.ts'
import { findMagic, WavReader } from './wav.ts'

export interface AudioInput {
  /** File name without its folder. */
  readonly name: string
  readonly sampleRate: number
  readonly channels: number
  /** Length by header or file size, seconds; `null`: unknown until the end. */
  readonly totalSeconds: number | null
  /** In words, for people: "16-bit integer mono at 16000 Hz". */
  readonly description: string
  /** Any cut. Throws `CommandError` where the file cannot be read on. */
  readonly pcm: AsyncIterable<Uint8Array>
  /** Closes what was opened for it, also where `pcm` was not read to its end, or not at all. May be called again. */
  close(): Promise<void>
}

export interface RawFormat {
  readonly sampleRate: number
  readonly channels: number
  /** Take the bytes as samples, whatever they look like. */
  readonly forced: boolean
}

const SAMPLE_BYTES = 2
/** As much as one `ftyp` needs to be recognised. */
const PEEK_BYTES = 12

/** Opens a file. Throws `CommandError` with the reason in words. */
export async function openAudioFile(path: string, raw: RawFormat): Promise<AudioInput> {
  const name = basename(path)
  try {
    const { size, ...facts } = await stat(path).then(found => ({ size: found.size, isFile: found.isFile() }))
    const file = createReadStream(path)
    const bytes: AsyncIterable<Uint8Array> = file
    const input = await openAudio(bytes, { name, raw, fileBytes: facts.isFile ? size : null })
    return { ...input, close: () => closeFile(file) }
  } catch (error) {
    throw asCommandError(error, name)
  }
}

export interface AudioSource {
  readonly name: string
  readonly raw: RawFormat
  readonly fileBytes: number | null
}

/** Looks at the first bytes and takes them for WAV or raw samples. The source is the caller's. Throws `CommandError`. */
export async function openAudio(bytes: AsyncIterable<Uint8Array>, source: AudioSource): Promise<AudioInput> {
  const iterator = bytes[Symbol.asyncIterator]()
  try {
    const start = await readAtLeast(iterator, PEEK_BYTES)
    const magic = Buffer.from(start.subarray(0, 4)).toString('latin1')
    if (!source.raw.forced && (magic === 'RIFF' || magic === 'RF64'))
      return await openWav(start, iterator, source)
    return openRaw(start, iterator, source)
  } catch (error) {
    await iterator.return?.()
    throw asCommandError(error, source.name)
  }
}

/** Re-cuts PCM into chunks of `chunkBytes`; the last may be shorter, and a loose half frame at the end is left out. */
export async function* cutChunks(
  pcm: AsyncIterable<Uint8Array>,
  chunkBytes: number,
  frameBytes: number,
): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array = new Uint8Array(0)
  for await (const bytes of pcm) {
    let rest: Uint8Array = pending.length === 0 ? bytes : Buffer.concat([pending, bytes])
    while (rest.length >= chunkBytes) {
      yield rest.subarray(0, chunkBytes)
      rest = rest.subarray(chunkBytes)
    }
    pending = Uint8Array.from(rest)
  }
  const wholeBytes = pending.length - (pending.length % frameBytes)
  if (wholeBytes > 0) yield pending.subarray(0, wholeBytes)
}

async function openWav(
  start: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
  source: AudioSource,
): Promise<AudioInput> {
  const reader = new WavReader()
  let first = reader.write(start)
  while (reader.format === null) {
    const next = await iterator.next()
    if (next.done === true) {
      reader.finish()
      break
    }
    first = reader.write(next.value)
  }
  const { format } = reader
  if (format === null) throw new WavError('the WAV file has no format')
  return {
    name: source.name,
    sampleRate: format.sampleRate,
    channels: format.channels,
    totalSeconds: reader.declaredSeconds,
    description: describeWavFormat(format),
    pcm: readOn(first, iterator, source.name, bytes => reader.write(bytes)),
    close: nothingToClose,
  }
}

function openRaw(start: Uint8Array, iterator: AsyncIterator<Uint8Array>, source: AudioSource): AudioInput {
  const { sampleRate, channels, forced } = source.raw
  const found = forced ? null : findMagic(start)
  if (found !== null) {
    throw new WavError(
      `this is ${found}; WAV or raw 16-bit PCM is needed (--raw sends the bytes as they are)`,
    )
  }
  if (!forced && /\.wav$/i.test(source.name))
    throw new WavError('the name says WAV, the content does not (--raw sends it as samples)')
  const bytesPerSecond = sampleRate * channels * SAMPLE_BYTES
  return {
    name: source.name,
    sampleRate,
    channels,
    totalSeconds: source.fileBytes === null ? null : source.fileBytes / bytesPerSecond,
    description: `raw 16-bit ${channels === 1 ? 'mono' : 'stereo'} at ${sampleRate} Hz`,
    pcm: readOn(start, iterator, source.name, bytes => bytes),
    close: nothingToClose,
  }
}

async function* readOn(
  first: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
  name: string,
  convert: (bytes: Uint8Array) => Uint8Array,
): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first
    for (;;) {
      const next = await iterator.next()
      if (next.done === true) return
      const pcm = convert(next.value)
      if (pcm.length > 0) yield pcm
    }
  } catch (error) {
    throw asCommandError(error, name)
  } finally {
    await iterator.return?.()
  }
}

function closeFile(file: ReadStream): Promise<void> {
  if (file.closed) return Promise.resolve()
  // Ending the iteration is not enough: an iterator that is being waited for ends after that wait.
  return new Promise(resolve => void file.once('close', resolve).destroy())
}

function nothingToClose(): Promise<void> {
  return Promise.resolve()
}

async function readAtLeast(iterator: AsyncIterator<Uint8Array>, leastBytes: number): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array(0)
  while (bytes.length < leastBytes) {
    const next = await iterator.next()
    if (next.done === true) break
    bytes = Buffer.concat([bytes, next.value])
  }
  return bytes
}

function asCommandError(error: unknown, name: string): Error {
  if (error instanceof CommandError) return error
  if (error instanceof WavError) return new CommandError(`${name}: ${error.message}`, { cause: error })
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  const reason = FILE_ERRORS[code] ?? code
  return new CommandError(`${name}: ${reason}`, { cause: error })
}

const FILE_ERRORS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EACCES: 'the file may not be read',
  EISDIR: 'this is a folder, not a file',
}
