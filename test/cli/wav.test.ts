import * as fc from 'fast-check'
import t from 'tap'
import { convertTo16Bit, describeMagic, findMagic, WavReader } from '../../src/cli/wav.ts'
import { chunk, formatChunk, riff, wavFile } from '../support/wav-file.ts'
import type { WavShape } from '../support/wav-file.ts'

const SEED = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31)

function readAll(file: Uint8Array, cutBytes = file.length || 1) {
  const reader = new WavReader()
  const parts: Uint8Array[] = []
  for (let at = 0; at < file.length; at += cutBytes)
    parts.push(Buffer.from(reader.write(file.subarray(at, at + cutBytes))))
  return { reader, pcm: Buffer.concat(parts), end: reader.finish() }
}

function int16(...values: number[]): Buffer {
  return Buffer.from(Int16Array.from(values).buffer)
}

t.test('samples of every accepted format become 16-bit PCM', async t => {
  const float32 = Buffer.from(Float32Array.from([0, 1, -1, 0.5, 2, Number.NaN]).buffer)
  const float64 = Buffer.from(Float64Array.from([0, 1, -1, 0.5, -7, Number.NaN]).buffer)
  const table: readonly [name: string, shape: WavShape, samples: Buffer, expected: Buffer][] = [
    ['16-bit', {}, int16(0, 1, -1, 32_767, -32_768), int16(0, 1, -1, 32_767, -32_768)],
    ['16-bit stereo', { channels: 2 }, int16(1, 2, 3, 4), int16(1, 2, 3, 4)],
    ['8-bit', { bitsPerSample: 8 }, Buffer.from([128, 255, 0, 129]), int16(0, 127 << 8, -32_768, 256)],
    ['24-bit', { bitsPerSample: 24 }, Buffer.from('000000ffff7f000080', 'hex'), int16(0, 32_767, -32_768)],
    [
      '32-bit',
      { bitsPerSample: 32 },
      Buffer.from('00000000ffffff7f00000080', 'hex'),
      int16(0, 32_767, -32_768),
    ],
    ['32-bit float', { tag: 3, bitsPerSample: 32 }, float32, int16(0, 32_767, -32_767, 16_384, 32_767, 0)],
    ['64-bit float', { tag: 3, bitsPerSample: 64 }, float64, int16(0, 32_767, -32_767, 16_384, -32_767, 0)],
    ['extensible 16-bit', { subTag: 1 }, int16(5, 6), int16(5, 6)],
    [
      'extensible float',
      { subTag: 3, bitsPerSample: 32 },
      float32,
      int16(0, 32_767, -32_767, 16_384, 32_767, 0),
    ],
  ]
  for (const [name, shape, samples, expected] of table) {
    const file = wavFile(samples, { sampleRate: 44_100, ...shape })
    for (const cutBytes of [file.length, 1, 7]) {
      const { reader, pcm, end } = readAll(file, cutBytes)
      t.strictSame(pcm, expected, `${name}, cut every ${cutBytes} bytes`)
      t.match(reader.format, { sampleRate: 44_100, channels: shape.channels ?? 1 })
      t.strictSame(end, { missingBytes: 0, looseBytes: 0 })
    }
  }
})

t.test('other formats are refused by their name', async t => {
  const table: readonly [shape: WavShape, message: RegExp][] = [
    [{ tag: 2 }, /Microsoft ADPCM \(format 0x0002\)/],
    [{ tag: 6, bitsPerSample: 8 }, /G\.711 A-law/],
    [{ tag: 7, bitsPerSample: 8 }, /G\.711 mu-law/],
    [{ tag: 0x11 }, /IMA ADPCM/],
    [{ tag: 0x55 }, /MP3/],
    [{ tag: 0x1234 }, /an unknown codec \(format 0x1234\)/],
    [{ subTag: 7 }, /G\.711 mu-law/],
    [{ subTag: 1, guidTail: 'ff'.repeat(14) }, /extensible format of an unknown family/],
    [{ bitsPerSample: 12, frameBytes: 2 }, /12-bit integer samples/],
    [{ tag: 3, bitsPerSample: 16 }, /16-bit float samples/],
    [{ channels: 6 }, /6 channels; one or two/],
    [{ channels: 0 }, /0 channels/],
    [{ sampleRate: 0 }, /0 Hz/],
    [{ frameBytes: 3 }, /3 bytes a frame for 1 x 16 bits/],
  ]
  for (const [shape, message] of table) {
    t.throws(() => readAll(wavFile(int16(1, 2), shape)), { name: 'WavError', message }, String(message))
  }
  const short = riff([chunk('fmt ', Buffer.from('feff01'.padEnd(36, '0'), 'hex')), chunk('data', int16(1))])
  t.throws(() => readAll(short), { message: /extensible fmt chunk has 18 bytes/ })
})

t.test('chunks before the data are skipped, with the padding of odd ones', async t => {
  const file = riff([
    chunk('LIST', Buffer.from('odd')),
    formatChunk(),
    chunk('fact', Buffer.alloc(0)),
    chunk('bext', Buffer.alloc(70_001)),
    chunk('data', int16(1, 2, 3)),
    chunk('LIST', Buffer.from('not audio')),
  ])
  for (const cutBytes of [file.length, 1, 4096]) t.strictSame(readAll(file, cutBytes).pcm, int16(1, 2, 3))
})

t.test('a size that a streaming encoder left open means up to the end', async t => {
  for (const sizeBytes of [0, 0xffff_ffff, 0x7fff_f000, 0x7fff_ffff]) {
    const { reader, pcm, end } = readAll(riff([formatChunk(), chunk('data', int16(1, 2, 3), sizeBytes)]), 5)
    t.strictSame(pcm, int16(1, 2, 3), `size ${sizeBytes}`)
    t.equal(reader.declaredSeconds, null)
    t.strictSame(end, { missingBytes: 0, looseBytes: 0 })
  }
})

t.test('an RF64 file takes its length from the ds64 chunk', async t => {
  const sizes = Buffer.alloc(28)
  sizes.writeBigUInt64LE(6n, 8)
  const chunks = [
    chunk('ds64', sizes),
    formatChunk(),
    chunk('data', int16(1, 2, 3), 0xffff_ffff),
    chunk('LIST', Buffer.alloc(4)),
  ]
  const { reader, pcm } = readAll(riff(chunks, 'RF64'))
  t.strictSame(pcm, int16(1, 2, 3))
  t.equal(reader.declaredSeconds, 3 / 16_000)
})

t.test('a truncated file gives its whole frames and says what is missing', async t => {
  const file = wavFile(int16(1, 2, 3, 4), { channels: 2 })
  const { pcm, end } = readAll(file.subarray(0, file.length - 3))
  t.strictSame(pcm, int16(1, 2))
  t.strictSame(end, { missingBytes: 4, looseBytes: 1 })
  t.equal(new WavReader().declaredSeconds, null)
})

t.test('what is no WAV file is refused', async t => {
  const noFormat = riff([chunk('data', int16(1))])
  t.throws(() => readAll(noFormat), { message: /no fmt chunk before its data/ })
  t.throws(() => readAll(riff([formatChunk()])), { message: /ends before its data chunk/ })
  t.throws(() => readAll(Buffer.from('RIFF')), { message: /too short/ })
  t.throws(() => readAll(Buffer.from('RIFF1234AVI LIST')), { message: /not a WAV file/ })
  t.throws(() => readAll(Buffer.from('OggS123412341234')), { message: /an Ogg stream/ })
  t.throws(() => readAll(riff([chunk('fmt ', Buffer.alloc(2))])), { message: /fmt chunk says 2 bytes/ })
  t.throws(() => readAll(riff([chunk('fmt ', Buffer.alloc(8), 0x7000_0000)])), {
    message: /fmt chunk says 1879048192/,
  })
})

t.test('containers are known by their first bytes', async t => {
  t.equal(findMagic(Buffer.from('fLaC')), 'a FLAC stream')
  t.equal(findMagic(Buffer.from('\0\0\0\x20ftypM4A ')), 'an MP4 file')
  t.equal(findMagic(Buffer.from('1aIdontknow')), null)
  t.equal(findMagic(Buffer.from('1a45dfa3', 'hex')), 'a WebM or Matroska file')
  t.equal(describeMagic(Buffer.from('01020304', 'hex')), '0x01020304')
  t.equal(describeMagic(Buffer.alloc(0)), 'nothing')
})

t.test(`any cut of any file gives the same audio (seed ${SEED})`, async t => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.constantFrom<WavShape>(
        {},
        { channels: 2 },
        { bitsPerSample: 24 },
        { bitsPerSample: 8, channels: 2 },
        { tag: 3, bitsPerSample: 32 },
      ),
      fc.integer({ min: 1, max: 64 }),
      (samples, shape, cutBytes) => {
        const file = wavFile(samples, shape)
        const whole = readAll(file)
        const cut = readAll(file, cutBytes)
        const bits = shape.bitsPerSample ?? 16
        const frameBytes = (shape.channels ?? 1) * (bits / 8)
        const kept = samples.subarray(0, samples.length - (samples.length % frameBytes))
        const expected = convertTo16Bit(kept, {
          encoding: shape.tag === 3 ? 'float' : 'integer',
          bitsPerSample: bits,
        })
        // A size of 0 means up to the end, where the byte of padding is no whole frame of these formats.
        return cut.pcm.equals(whole.pcm) && (samples.length === 0 || whole.pcm.equals(Buffer.from(expected)))
      },
    ),
    { seed: SEED, numRuns: 300 },
  )
  t.pass('300 files')
})
