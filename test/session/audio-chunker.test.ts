/** The chunker against its one law: what goes in comes out, in whole samples and in sizes that the service likes. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { decodeMessage } from '../../src/eventstream/decode.ts'
import { AudioChunker, chunkSizes } from '../../src/session/audio-chunker.ts'
import { createFrameMemory } from '../../src/session/frame-memory.ts'
import { createRandom } from '../support/random.ts'

const LIMITS = { chunkMs: 100, minChunkMs: 50, maxChunkMs: 200 }
const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

t.test(`random cuts at every rate come out as they went in, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  const noise = randomBytes(65_536)
  for (let round = 0; round < 100; round += 1) {
    const frameBytes = random() < 0.5 ? 2 : 4
    const rateHz = [8000, 11_025, 16_000, 44_100, 48_000][Math.floor(random() * 5)] ?? 8000
    const sizes = chunkSizes({ isPcm: true, bytesPerSecond: rateHz * frameBytes, frameBytes }, LIMITS)
    const output: Buffer[] = []
    const chunker = new AudioChunker(sizes, createFrameMemory(), (frame, audioBytes) => {
      const { payload } = decodeMessage(frame)
      if (payload.length !== audioBytes) t.fail(`${audioBytes} said, ${payload.length} sent`)
      if (audioBytes === 0 || audioBytes % frameBytes !== 0) t.fail(`a chunk of ${audioBytes} bytes`)
      if (audioBytes > sizes.maxBytes) t.fail(`${audioBytes} of at most ${sizes.maxBytes}`)
      output.push(Buffer.from(payload))
    })
    const input: Buffer[] = []
    const maxBytes = 1 + Math.floor(random() * 30_000)
    for (let push = 0; push < 20; push += 1) {
      const from = Math.floor(random() * 30_000)
      const bytes = Buffer.from(noise.subarray(from, from + Math.floor(random() * maxBytes)))
      input.push(Buffer.from(bytes))
      chunker.push(bytes, push * 10)
      // The caller's bytes are its own again.
      bytes.fill(0)
      if (random() < 0.2) chunker.flushAfter(random() * 100, push * 10)
    }
    const broken = chunker.flush(1000)
    const whole = Buffer.concat(input)
    t.equal(broken, whole.length % frameBytes)
    t.equal(chunker.pendingBytes, broken)
    t.ok(Buffer.concat(output).equals(whole.subarray(0, whole.length - broken)))
    t.equal(chunker.flush(1000), broken, 'a second flush sends nothing')
  }
})

t.test('pieces wait a chunk long, those below the least length longer, broken samples for ever', async t => {
  const sizes = chunkSizes({ isPcm: true, bytesPerSecond: 32_000, frameBytes: 2 }, LIMITS)
  const sent: number[] = []
  const chunker = new AudioChunker(sizes, createFrameMemory(), (_frame, audioBytes) => sent.push(audioBytes))
  chunker.push(Buffer.alloc(1601), 0)
  chunker.flushAfter(100, 99)
  t.strictSame(sent, [])
  chunker.flushAfter(100, 100)
  t.strictSame(sent, [1600])
  chunker.push(Buffer.alloc(3), 1000)
  chunker.flushAfter(100, 450)
  t.strictSame(sent, [1600])
  chunker.flushAfter(100, 500)
  t.strictSame(sent, [1600, 4], 'four times as long, counted from its first byte')
  chunker.push(Buffer.alloc(1), 1000)
  chunker.flushAfter(100, 9999)
  t.strictSame(sent, [1600, 4])
})
