/**
 * Reads a WAV file as it arrives and gives 16-bit little-endian PCM.
 *
 * A RIFF file is a list of chunks: 4 characters, u32 size, the content, and one byte of padding after an odd size. Only
 * `fmt ` and `data` matter here; the others are skipped without being kept, so a long picture costs no memory. RF64 (EBU
 * Tech 3306) differs by a `ds64` chunk with the 64-bit sizes. An encoder that writes to a pipe cannot know the size of
 * its data: it leaves 0 or nearly the largest number, and the data then goes on to the end of the input.
 */
import type { WavFormat } from './wav-format.ts'
import { FORMAT_CHUNK_MAX_BYTES, FORMAT_CHUNK_MIN_BYTES, readWavFormat, WavError } from './wav-format.ts'

const RIFF_HEADER_BYTES = 12
const CHUNK_HEADER_BYTES = 8
const DS64_DATA_SIZE_OFFSET = 8
const DS64_MIN_BYTES = 16
/** sox leaves 0x7ffff000 and a little, ffmpeg 0xffffffff: no size from here on is meant. */
const PLACEHOLDER_SIZE = 0x7fff_f000

const EMPTY = new Uint8Array(0)

type Step = 'riff' | 'chunk' | 'format' | 'sizes' | 'skip' | 'data' | 'tail'

/** What is known at the end of the input. */
export interface WavEnd {
  /** Bytes that the header promised and that did not come. */
  readonly missingBytes: number
  /** Bytes of an unfinished last frame; not part of the output. */
  readonly looseBytes: number
}

export class WavReader {
  #step: Step = 'riff'
  #carry: Uint8Array = EMPTY
  /** Bytes left in the chunk at hand; `null`: up to the end of the input. */
  #chunkBytes: number | null = 0
  #data64Bytes: number | null = null
  #format: WavFormat | null = null
  #dataBytes: number | null = null

  /** Known once the `data` chunk has begun. */
  get format(): WavFormat | null {
    return this.#step === 'data' || this.#step === 'tail' ? this.#format : null
  }

  /** Length of the audio by its header, seconds; `null`: unknown. */
  get declaredSeconds(): number | null {
    const { format } = this
    if (format === null || this.#dataBytes === null) return null
    return this.#dataBytes / format.frameBytes / format.sampleRate
  }

  /** Takes the next bytes of the file, returns the PCM in them: whole frames, maybe none. Throws `WavError`. */
  write(bytes: Uint8Array): Uint8Array {
    let input: Uint8Array = this.#carry.length === 0 ? bytes : Buffer.concat([this.#carry, bytes])
    this.#carry = EMPTY
    while (this.#step !== 'data' && this.#step !== 'tail') {
      const usedBytes = this.#readHeader(input)
      if (usedBytes === null) {
        this.#carry = Uint8Array.from(input)
        return EMPTY
      }
      input = input.subarray(usedBytes)
    }
    return this.#step === 'data' ? this.#readData(input) : EMPTY
  }

  /** The input is at its end. Throws `WavError` when no audio was found. */
  finish(): WavEnd {
    if (this.format === null) {
      throw new WavError(
        this.#step === 'riff'
          ? 'the file is too short for a WAV file'
          : 'the WAV file ends before its data chunk',
      )
    }
    const missingBytes = this.#step === 'data' ? (this.#chunkBytes ?? 0) : 0
    return { missingBytes, looseBytes: this.#carry.length }
  }

  /** One step through the header. Returns the bytes used, `null` when more are needed. */
  #readHeader(input: Uint8Array): number | null {
    switch (this.#step) {
      case 'riff':
        return this.#readRiff(input)
      case 'chunk':
        return this.#readChunkHeader(input)
      case 'format':
      case 'sizes':
        return this.#readKept(input)
      default:
        return this.#skip(input)
    }
  }

  #readRiff(input: Uint8Array): number | null {
    if (input.length < RIFF_HEADER_BYTES) return null
    const family = ascii(input, 0)
    if ((family !== 'RIFF' && family !== 'RF64') || ascii(input, 8) !== 'WAVE') {
      throw new WavError(`this is not a WAV file: it begins with ${describeMagic(input)}`)
    }
    this.#step = 'chunk'
    return RIFF_HEADER_BYTES
  }

  #readChunkHeader(input: Uint8Array): number | null {
    if (input.length < CHUNK_HEADER_BYTES) return null
    const name = ascii(input, 0)
    const sizeBytes = new DataView(input.buffer, input.byteOffset).getUint32(4, true)
    this.#chunkBytes = sizeBytes
    if (name === 'data') this.#beginData(sizeBytes)
    else if (name === 'fmt ') this.#beginFormat(sizeBytes)
    else if (name === 'ds64' && sizeBytes >= DS64_MIN_BYTES && sizeBytes <= FORMAT_CHUNK_MAX_BYTES)
      this.#step = 'sizes'
    else this.#beginSkip(sizeBytes)
    return CHUNK_HEADER_BYTES
  }

  #beginFormat(sizeBytes: number): void {
    if (sizeBytes < FORMAT_CHUNK_MIN_BYTES || sizeBytes > FORMAT_CHUNK_MAX_BYTES) {
      throw new WavError(`the fmt chunk says ${sizeBytes} bytes; 16, 18 or 40 belong there`)
    }
    this.#step = 'format'
  }

  #beginData(sizeBytes: number): void {
    if (this.#format === null) throw new WavError('the WAV file has no fmt chunk before its data')
    const placeholder = sizeBytes === 0 || sizeBytes >= PLACEHOLDER_SIZE
    this.#dataBytes = placeholder ? this.#data64Bytes : sizeBytes
    this.#chunkBytes = this.#dataBytes
    this.#step = 'data'
  }

  #beginSkip(sizeBytes: number): void {
    this.#chunkBytes = sizeBytes + (sizeBytes % 2)
    this.#step = 'skip'
  }

  #readKept(input: Uint8Array): number | null {
    const sizeBytes = this.#chunkBytes ?? 0
    if (input.length < sizeBytes) return null
    const content = input.subarray(0, sizeBytes)
    if (this.#step === 'format') this.#format = readWavFormat(content)
    else {
      const view = new DataView(content.buffer, content.byteOffset)
      this.#data64Bytes = Number(view.getBigUint64(DS64_DATA_SIZE_OFFSET, true))
    }
    this.#chunkBytes = sizeBytes % 2
    this.#step = 'skip'
    return sizeBytes
  }

  #skip(input: Uint8Array): number | null {
    const leftBytes = this.#chunkBytes ?? 0
    if (leftBytes > 0 && input.length === 0) return null
    const usedBytes = Math.min(leftBytes, input.length)
    this.#chunkBytes = leftBytes - usedBytes
    if (this.#chunkBytes === 0) this.#step = 'chunk'
    return usedBytes
  }

  #readData(input: Uint8Array): Uint8Array {
    const { format } = this
    if (format === null) return EMPTY
    const available = this.#chunkBytes === null ? input.length : Math.min(this.#chunkBytes, input.length)
    const wholeBytes = available - (available % format.frameBytes)
    if (this.#chunkBytes !== null) this.#chunkBytes -= wholeBytes
    if (this.#chunkBytes !== null && this.#chunkBytes < format.frameBytes) this.#step = 'tail'
    else this.#carry = Uint8Array.from(input.subarray(wholeBytes, available))
    return convertTo16Bit(input.subarray(0, wholeBytes), format)
  }
}

/** Whole samples to 16-bit little-endian; a view of the input where they are that already. */
export function convertTo16Bit(
  samples: Uint8Array,
  format: Pick<WavFormat, 'encoding' | 'bitsPerSample'>,
): Uint8Array {
  const { encoding, bitsPerSample } = format
  if (encoding === 'integer' && bitsPerSample === 16) return samples
  const sampleBytes = bitsPerSample / 8
  const count = Math.floor(samples.length / sampleBytes)
  const input = new DataView(samples.buffer, samples.byteOffset, samples.byteLength)
  const output = new DataView(new ArrayBuffer(count * 2))
  for (let index = 0; index < count; index += 1) {
    output.setInt16(index * 2, readSample(input, index * sampleBytes, encoding, bitsPerSample), true)
  }
  return new Uint8Array(output.buffer)
}

function readSample(
  input: DataView,
  offset: number,
  encoding: WavFormat['encoding'],
  bitsPerSample: number,
): number {
  if (encoding === 'float') {
    const value = bitsPerSample === 32 ? input.getFloat32(offset, true) : input.getFloat64(offset, true)
    // NaN has no place on a scale; as 0 it is silence.
    return Number.isNaN(value) ? 0 : Math.round(Math.max(-1, Math.min(1, value)) * 32_767)
  }
  // 8-bit WAV samples are unsigned with 128 as zero; wider ones are signed and keep their upper 16 bits.
  if (bitsPerSample === 8) return (input.getUint8(offset) - 128) << 8
  return input.getInt16(offset + (bitsPerSample === 24 ? 1 : 2), true)
}

function ascii(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + 4))
}

const MAGIC: readonly (readonly [prefix: string, name: string])[] = [
  ['OggS', 'an Ogg stream'],
  ['fLaC', 'a FLAC stream'],
  ['ID3', 'an MP3 file'],
  ['RIFX', 'a big-endian RIFX file'],
  ['FORM', 'an AIFF file'],
  ['.snd', 'a Sun AU file'],
  ['\x1aE\xdf\xa3', 'a WebM or Matroska file'],
]

/** What the first bytes of a file say, for an error message. */
export function describeMagic(bytes: Uint8Array): string {
  const known = findMagic(bytes)
  if (known !== null) return known
  const hex = Buffer.from(bytes.subarray(0, 4)).toString('hex')
  return hex === '' ? 'nothing' : `0x${hex}`
}

/** Name of a well-known container that is not PCM, `null` when the bytes may be samples. */
export function findMagic(bytes: Uint8Array): string | null {
  const start = Buffer.from(bytes.subarray(0, 4)).toString('latin1')
  const found = MAGIC.find(([prefix]) => start.startsWith(prefix))
  if (found !== undefined) return found[1]
  return Buffer.from(bytes.subarray(4, 8)).toString('latin1') === 'ftyp' ? 'an MP4 file' : null
}
