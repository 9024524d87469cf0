/**
 * Looks at the first bytes of a session's audio: wrong bytes give empty transcripts and no error, so they are found
 * here. A WAV header in front of PCM is checked and taken off; a container where PCM was declared, or PCM where a
 * container was declared, is refused. Later audio passes untouched.
 */
import type { StreamParameters } from '../transcribe/parameters.ts'

export type ProbeResult =
  /** Go on with `audio` (a view of the input, or of what was kept back). */
  | { readonly kind: 'audio'; readonly audio: Uint8Array; readonly removedHeader: boolean }
  /** Too few bytes to tell. They are kept. */
  | { readonly kind: 'more' }
  /** `rule` is a sentence for the client. */
  | { readonly kind: 'refused'; readonly rule: string }

/** Longest WAV header: `fmt ` and `data` are usually within 44 bytes, lists of tags may stand between. */
const MAX_WAV_HEADER_BYTES = 4096

const MAGIC_BYTES = 4
const RIFF_HEADER_BYTES = 12
const CHUNK_HEADER_BYTES = 8
const WAVE_FORMAT_PCM = 1
const WAVE_FORMAT_EXTENSIBLE = 0xfffe

/** First four bytes (latin1) of what is no PCM. */
const CONTAINERS: Readonly<Record<string, string>> = {
  OggS: 'Ogg',
  fLaC: 'FLAC',
  '\x1aE\xdf\xa3': 'WebM or Matroska',
  'ID3\x03': 'MP3',
  'ID3\x04': 'MP3',
  FORM: 'AIFF',
  caff: 'CAF',
}

/** First four bytes that each compressed encoding must have. */
const EXPECTED: Readonly<Record<string, string>> = { 'ogg-opus': 'OggS', flac: 'fLaC' }

export class AudioProbe {
  readonly #parameters: StreamParameters
  #kept: Buffer = Buffer.alloc(0)

  constructor(parameters: StreamParameters) {
    this.#parameters = parameters
  }

  /** Bytes kept back so far; they are part of the next result. */
  get keptBytes(): number {
    return this.#kept.length
  }

  /** The audio has ended: what was kept back is audio after all, unless it is the start of a header. */
  release(): Buffer {
    const kept = this.#kept
    if (kept.length >= MAGIC_BYTES) return Buffer.alloc(0)
    this.#kept = Buffer.alloc(0)
    return kept
  }

  /** To be called until it answers `audio` or `refused`. */
  push(audio: Uint8Array): ProbeResult {
    const bytes =
      this.#kept.length === 0
        ? Buffer.from(audio.buffer, audio.byteOffset, audio.length)
        : Buffer.concat([this.#kept, audio])
    if (bytes.length < MAGIC_BYTES) return this.#keep(bytes)
    const magic = bytes.toString('latin1', 0, MAGIC_BYTES)
    const { encoding } = this.#parameters
    if (!this.#parameters.isPcm) {
      const expected = EXPECTED[encoding]
      return expected === undefined || expected === magic
        ? { kind: 'audio', audio: bytes, removedHeader: false }
        : refuse(`media-encoding is ${encoding}, but the audio does not begin with "${expected}".`)
    }
    const container = CONTAINERS[magic]
    if (container !== undefined) return refuse(`media-encoding is pcm, but the audio is a ${container} file.`)
    if (magic === 'RIFF') return this.#readWav(bytes)
    return { kind: 'audio', audio: bytes, removedHeader: false }
  }

  #readWav(bytes: Buffer): ProbeResult {
    let offset = RIFF_HEADER_BYTES
    let format: string | null = null
    while (bytes.length >= offset + CHUNK_HEADER_BYTES) {
      const id = bytes.toString('latin1', offset, offset + 4)
      const size = bytes.readUInt32LE(offset + 4)
      const body = offset + CHUNK_HEADER_BYTES
      if (id === 'data') {
        return format === null
          ? { kind: 'audio', audio: bytes.subarray(body), removedHeader: true }
          : refuse(format)
      }
      if (body + size > MAX_WAV_HEADER_BYTES) break
      if (id === 'fmt ') {
        if (bytes.length < body + 16) return this.#keep(bytes)
        format = this.#checkWavFormat(bytes.subarray(body))
      }
      offset = body + size + (size % 2)
    }
    if (offset + CHUNK_HEADER_BYTES > MAX_WAV_HEADER_BYTES || bytes.length >= MAX_WAV_HEADER_BYTES) {
      return refuse(`The WAV header in the audio is longer than ${MAX_WAV_HEADER_BYTES} bytes. Send raw PCM.`)
    }
    return this.#keep(bytes)
  }

  /** Returns what is wrong, or `null`. */
  #checkWavFormat(format: Buffer): string | null {
    const tag = format.readUInt16LE(0)
    const channels = format.readUInt16LE(2)
    const sampleRate = format.readUInt32LE(4)
    const bits = format.readUInt16LE(14)
    const { sampleRateHz } = this.#parameters
    if ((tag !== WAVE_FORMAT_PCM && tag !== WAVE_FORMAT_EXTENSIBLE) || bits !== 16) {
      return `The WAV header says format ${tag} with ${bits} bits; it must be PCM with 16 bits.`
    }
    if (sampleRate !== sampleRateHz) {
      return `sample-rate is ${sampleRateHz}, but the WAV header says ${sampleRate}.`
    }
    if (channels !== this.#parameters.channels) {
      return `The audio should have ${this.#parameters.channels} channel(s), but the WAV header says ${channels}.`
    }
    return null
  }

  #keep(bytes: Buffer): ProbeResult {
    this.#kept = Buffer.from(bytes)
    return { kind: 'more' }
  }
}

function refuse(rule: string): ProbeResult {
  return { kind: 'refused', rule }
}
