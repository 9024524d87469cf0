/**
 * The `fmt ` chunk of a WAV file: which samples it holds, and whether they can become 16-bit PCM.
 *
 * Layout after RFC 2361 and Microsoft's WAVEFORMATEXTENSIBLE: u16 format tag, u16 channels, u32 sample rate, u32 bytes
 * per second, u16 bytes per frame, u16 bits per sample; an extensible one goes on with u16 extension size, u16 valid
 * bits, u32 speaker mask and a 16-byte GUID whose first two bytes are the real format tag. Little-endian.
 */

export interface WavFormat {
  readonly encoding: 'integer' | 'float'
  readonly bitsPerSample: number
  readonly channels: number
  readonly sampleRate: number
  /** One sample of every channel. */
  readonly frameBytes: number
}

/** The input is not a WAV file that can be sent. The message names what was found. */
export class WavError extends Error {
  override readonly name = 'WavError'
}

export const FORMAT_CHUNK_MIN_BYTES = 16
/** Ours: the longest `fmt ` chunk that is read; real ones have 16, 18 or 40 bytes. */
export const FORMAT_CHUNK_MAX_BYTES = 4096
const EXTENSIBLE_BYTES = 40
const SUBFORMAT_OFFSET = 24

const TAG_INTEGER = 0x0001
const TAG_FLOAT = 0x0003
const TAG_EXTENSIBLE = 0xfffe
/** Bytes 2–15 of the GUIDs that stand for a format tag (KSDATAFORMAT_SUBTYPE_…). */
const SUBFORMAT_TAIL = '000000001000800000aa00389b71'

const TAG_NAMES: Readonly<Record<number, string>> = {
  0x0002: 'Microsoft ADPCM',
  0x0006: 'G.711 A-law',
  0x0007: 'G.711 mu-law',
  0x0011: 'IMA ADPCM',
  0x0031: 'GSM 6.10',
  0x0050: 'MPEG',
  0x0055: 'MP3',
  0x00ff: 'AAC',
}

const BITS: Readonly<Record<WavFormat['encoding'], readonly number[]>> = {
  integer: [8, 16, 24, 32],
  float: [32, 64],
}

export function readWavFormat(chunk: Uint8Array): WavFormat {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  const encoding = readEncoding(chunk, view)
  const channels = view.getUint16(2, true)
  const sampleRate = view.getUint32(4, true)
  const frameBytes = view.getUint16(12, true)
  const bitsPerSample = view.getUint16(14, true)
  if (!BITS[encoding].includes(bitsPerSample)) {
    throw new WavError(
      `the WAV file holds ${bitsPerSample}-bit ${encoding} samples, which cannot be converted`,
    )
  }
  if (channels !== 1 && channels !== 2) {
    throw new WavError(`the WAV file has ${channels} channels; one or two can be transcribed`)
  }
  if (sampleRate === 0) throw new WavError('the WAV file says a sample rate of 0 Hz')
  if (frameBytes !== channels * (bitsPerSample / 8)) {
    throw new WavError(
      `the WAV file says ${frameBytes} bytes a frame for ${channels} x ${bitsPerSample} bits: it is damaged`,
    )
  }
  return { encoding, bitsPerSample, channels, sampleRate, frameBytes }
}

export function describeWavFormat(format: WavFormat): string {
  const channels = format.channels === 1 ? 'mono' : 'stereo'
  return `${format.bitsPerSample}-bit ${format.encoding} ${channels} at ${format.sampleRate} Hz`
}

function readEncoding(chunk: Uint8Array, view: DataView): WavFormat['encoding'] {
  let tag = view.getUint16(0, true)
  if (tag === TAG_EXTENSIBLE) {
    if (chunk.byteLength < EXTENSIBLE_BYTES) {
      throw new WavError(
        `the extensible fmt chunk has ${chunk.byteLength} bytes, at least ${EXTENSIBLE_BYTES} belong there`,
      )
    }
    const guidTail = Buffer.from(chunk.subarray(SUBFORMAT_OFFSET + 2, EXTENSIBLE_BYTES)).toString('hex')
    if (guidTail !== SUBFORMAT_TAIL)
      throw new WavError('the WAV file has an extensible format of an unknown family')
    tag = view.getUint16(SUBFORMAT_OFFSET, true)
  }
  if (tag === TAG_INTEGER) return 'integer'
  if (tag === TAG_FLOAT) return 'float'
  const name = TAG_NAMES[tag] ?? 'an unknown codec'
  throw new WavError(
    `the WAV file holds ${name} (format 0x${tag.toString(16).padStart(4, '0')}); PCM or float samples are needed`,
  )
}
