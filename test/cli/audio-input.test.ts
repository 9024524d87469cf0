import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { cutChunks, openAudio, openAudioFile } from '../../src/cli/audio-input.ts'
import { chunk, formatChunk, riff, wavFile } from '../support/wav-file.ts'

const RAW = { sampleRate: 16_000, channels: 1, forced: false }
const SEED = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31)

async function* pieces(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts
}

async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(Uint8Array.from(part))
  return Buffer.concat(parts)
}

function open(bytes: Uint8Array, more: Partial<typeof RAW> = {}, name = 'standard input') {
  const cut = Array.from(bytes, byte => Uint8Array.of(byte))
  return openAudio(pieces(...cut), { name, raw: { ...RAW, ...more }, fileBytes: null })
}

t.test('WAV is told from raw PCM by its first bytes', async t => {
  const samples = Buffer.from('0102030405060708090a0b0c', 'hex')
  const wav = await open(wavFile(samples, { sampleRate: 8000, channels: 2 }))
  t.match(wav, {
    sampleRate: 8000,
    channels: 2,
    totalSeconds: 3 / 8000,
    description: '16-bit integer stereo at 8000 Hz',
  })
  t.strictSame(await collect(wav.pcm), samples)
  const raw = await open(samples, { channels: 2 })
  t.match(raw, {
    sampleRate: 16_000,
    channels: 2,
    totalSeconds: null,
    description: 'raw 16-bit stereo at 16000 Hz',
  })
  t.strictSame(await collect(raw.pcm), samples)
  const empty = await open(Buffer.alloc(0))
  t.strictSame(await collect(empty.pcm), Buffer.alloc(0))
})

t.test('--raw takes the bytes as they are', async t => {
  const file = wavFile(Buffer.alloc(4))
  const raw = await open(file, { forced: true }, 'a.wav')
  t.strictSame(await collect(raw.pcm), file)
})

t.test('what cannot be sent is refused with the name of the file', async t => {
  const table: readonly [bytes: Buffer, name: string, message: RegExp][] = [
    [Buffer.from('fLaC4321432143214321'), 'a.flac', /^a\.flac: this is a FLAC stream; WAV or raw/],
    [Buffer.from('no RIFF at all.....'), 'a.WAV', /^a\.WAV: the name says WAV/],
    [wavFile(Buffer.alloc(4), { tag: 6 }), 'b.wav', /^b\.wav: the WAV file holds G\.711 A-law/],
    [riff([formatChunk()]), 'c.wav', /^c\.wav: the WAV file ends before its data/],
    [Buffer.from('RIFF1234AVI 1234'), 'd', /^d: this is not a WAV file/],
  ]
  for (const [bytes, name, message] of table)
    await t.rejects(open(bytes, {}, name), { name: 'CommandError', message })
})

t.test('files are read from the disk, errors told in words', async t => {
  const folder = t.testdir()
  writeFileSync(join(folder, 'a.raw'), Buffer.alloc(32_000))
  const raw = await openAudioFile(join(folder, 'a.raw'), RAW)
  t.match(raw, { name: 'a.raw', totalSeconds: 1 })
  t.equal((await collect(raw.pcm)).length, 32_000)
  await t.rejects(openAudioFile(join(folder, 'none.wav'), RAW), { message: 'none.wav: no such file' })
  mkdirSync(join(folder, 'dir'))
  await t.rejects(openAudioFile(join(folder, 'dir'), RAW), { message: /dir: this is a folder/ })
  const device = await openAudioFile('/dev/null', RAW)
  t.equal(device.totalSeconds, null)
  t.equal((await collect(device.pcm)).length, 0)
})

t.test('a read error in the middle, and bad data in the middle, end the audio', async t => {
  const failing = (async function* () {
    yield Buffer.alloc(20)
    throw new Error('strange')
  })()
  const input = await openAudio(failing, { name: 'x', raw: RAW, fileBytes: null })
  await t.rejects(collect(input.pcm), { name: 'CommandError', message: 'x: unknown error' })
})

t.test('the source is let go when the audio is not read to its end', async t => {
  let released = false
  const source = (async function* () {
    try {
      for (;;) yield Buffer.alloc(100)
    } finally {
      released = true
    }
  })()
  const input = await openAudio(source, { name: 'x', raw: RAW, fileBytes: null })
  for await (const part of input.pcm) {
    t.ok(part.length > 0)
    break
  }
  t.equal(released, true)
})

t.test(`chunks are equal and hold every whole frame in order (seed ${SEED})`, async t => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }),
      fc.constantFrom(2, 4),
      fc.integer({ min: 1, max: 20 }),
      async (parts, frameBytes, frames) => {
        const chunkBytes = frames * frameBytes
        const cut: Buffer[] = []
        for await (const part of cutChunks(pieces(...parts), chunkBytes, frameBytes))
          cut.push(Buffer.from(part))
        const all = Buffer.concat(parts)
        const whole = all.subarray(0, all.length - (all.length % frameBytes))
        return (
          Buffer.concat(cut).equals(whole) &&
          cut.slice(0, -1).every(part => part.length === chunkBytes) &&
          (cut.at(-1)?.length ?? chunkBytes) <= chunkBytes
        )
      },
    ),
    { seed: SEED, numRuns: 200 },
  )
  t.pass('200 inputs')
})

t.test('a WAV file may be cut off inside its header chunks', async t => {
  const file = riff([chunk('LIST', Buffer.alloc(500)), formatChunk(), chunk('data', Buffer.alloc(8))])
  await t.rejects(open(file.subarray(0, 300), {}, 'e.wav'), { message: /ends before its data/ })
})
