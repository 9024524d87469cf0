/** What is kept to be sent again, what of it a new stream's results repeat, and what is covered: the parts by themselves. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import {
  AUDIO_OVERHEAD_BYTES,
  AUDIO_PAYLOAD_OFFSET,
  encodeAudioEvent,
  writeAudioEvent,
} from '../../src/eventstream/audio-event.ts'
import { RecycledBuffers } from '../../src/recycled-buffers.ts'
import { decodeMessage } from '../../src/eventstream/decode.ts'
import { Coverage } from '../../src/session/coverage.ts'
import { createFrameMemory } from '../../src/session/frame-memory.ts'
import { isLoud } from '../../src/session/loudness.ts'
import { withoutRepeated } from '../../src/session/repeated-words.ts'
import { ReplayBuffer } from '../../src/session/replay-buffer.ts'
import type { TranscribeResult } from '../../src/transcribe/results.ts'
import { createRandom } from '../support/random.ts'
import { SpoiltBuffers } from '../support/spoilt-buffers.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const same = (seconds: number) => seconds

t.test(`the buffer holds what its laws say, TEST_SEED=${seed}`, async t => {
  for (let round = 0; round < 100; round += 1) {
    const random = createRandom(seed + round)
    const frameBytes = 2 * (1 + Math.floor(random() * 3))
    const sizes = { replayBytes: 6000, maxBytes: 9000, frameBytes, minBytes: 50 * frameBytes }
    const memory = new SpoiltBuffers()
    const buffer = new ReplayBuffer(sizes, memory)
    let audio = Buffer.alloc(0)
    /** The model: positions. */
    let cursor = 0
    let covered = 0
    let isAttached = false
    let sent = Buffer.alloc(0)
    let streamStart = 0
    for (let step = 0; step < 400; step += 1) {
      const luck = random()
      if (luck < 0.4) {
        const bytes = frameBytes * (1 + Math.floor(random() * 120))
        const more = Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)))
        audio = Buffer.concat([audio, more])
        buffer.append(writeAudioEvent(memory.take(AUDIO_OVERHEAD_BYTES + bytes), more), bytes)
        if (!isAttached) {
          buffer.trim()
          if (buffer.endByte - buffer.startByte > sizes.maxBytes) t.fail('too much is kept')
        }
      } else if (luck < 0.8) {
        const entry = isAttached ? buffer.next() : null
        if (entry !== null) {
          const { payload } = decodeMessage(entry.frame)
          if (entry.startByte !== cursor || payload.length !== entry.audioBytes) t.fail('a gap')
          sent = Buffer.concat([sent, payload])
          cursor += payload.length
          buffer.forgetSent()
        }
      } else if (luck < 0.92) {
        covered = Math.max(covered, Math.floor(random() * cursor))
        buffer.coverUpTo(covered)
      } else if (luck < 0.96) {
        const start = buffer.rewind(covered)
        if (start > covered && start > buffer.startByte) t.fail('it begins later than it could')
        if (start < covered - frameBytes) t.fail(`what is covered is sent again: ${start} of ${covered}`)
        isAttached = true
        cursor = start
        streamStart = start
        sent = Buffer.alloc(0)
      } else {
        isAttached = false
      }
      if (!sent.equals(audio.subarray(streamStart, streamStart + sent.length))) t.fail('other bytes')
      if (buffer.endByte !== audio.length) t.fail('the end')
      if (isAttached && buffer.cursorByte !== cursor) t.fail(`cursor ${buffer.cursorByte}, not ${cursor}`)
      if (buffer.hasUnsent !== buffer.unsentFrameBytes > 0) t.fail('unsent bytes')
    }
    buffer.clear()
    t.ok(buffer.isEmpty && !buffer.hasUnsent)
    t.equal(buffer.neverSentBytes, 0)
    t.equal(memory.ownedCount, 0, 'all memory went back, each piece once')
  }
})

t.test('a cut frame is a whole message, joined to the next when it is short', async t => {
  const buffer = new ReplayBuffer(
    { replayBytes: 10_000, maxBytes: 20_000, frameBytes: 2, minBytes: 1600 },
    createFrameMemory(),
  )
  for (let value = 1; value <= 3; value += 1) buffer.append(encodeAudioEvent(Buffer.alloc(3200, value)), 3200)
  while (buffer.next() !== null);
  t.equal(buffer.rewind(2001), 2000, 'on a sample')
  const first = buffer.next()
  t.equal(first?.audioBytes, 1200 + 3200)
  t.ok(first?.frame.subarray(AUDIO_PAYLOAD_OFFSET, AUDIO_PAYLOAD_OFFSET + 1200).equals(Buffer.alloc(1200, 1)))
  t.equal(buffer.next()?.startByte, 6400)
  t.equal(buffer.rewind(9000), 9000)
  t.equal(buffer.next()?.audioBytes, 600, 'the last one may be short')
  t.equal(buffer.next(), null)
  t.equal(buffer.rewind(9600), 9600)
  t.ok(buffer.isEmpty)
})

t.test('a time that is rounded up covers nothing that was not sent', async t => {
  const buffer = new ReplayBuffer(
    { replayBytes: 10_000, maxBytes: 20_000, frameBytes: 2, minBytes: 2 },
    createFrameMemory(),
  )
  buffer.append(encodeAudioEvent(Buffer.alloc(3200)), 3200)
  buffer.next()
  buffer.append(encodeAudioEvent(Buffer.alloc(3200)), 3200)
  t.equal(buffer.rewind(3210), 3200)
})

t.test('loud is told from quiet, on every channel', async t => {
  const tone = (amplitude: number, channels: number, channel: number) => {
    const pcm = Buffer.alloc(1600 * 2 * channels)
    for (let index = 0; index < 1600; index += 1) {
      const sample = Math.round(amplitude * Math.sin(index / 5))
      pcm.writeInt16LE(sample, (index * channels + channel) * 2)
    }
    return pcm
  }
  t.ok(isLoud(tone(3000, 1, 0)))
  t.ok(isLoud(tone(3000, 2, 0)))
  t.ok(isLoud(tone(3000, 2, 1)))
  t.notOk(isLoud(tone(60, 1, 0)), 'noise of a room')
  t.notOk(isLoud(Buffer.alloc(3200)))
  t.notOk(isLoud(Buffer.alloc(1, 255)))
})

t.test('compressed audio is gone once it is sent', async t => {
  const buffer = new ReplayBuffer(
    { replayBytes: 0, maxBytes: 1000, frameBytes: 1, minBytes: 1 },
    createFrameMemory(),
  )
  buffer.append(encodeAudioEvent(Buffer.alloc(300)), 300)
  t.equal(buffer.neverSentBytes, 300)
  buffer.next()
  t.notOk(buffer.isEmpty, 'the caller is about to send it')
  buffer.forgetSent()
  t.ok(buffer.isEmpty)
})

function resultOf(
  text: string,
  words: readonly [string, number, number][],
  extra: Partial<TranscribeResult> = {},
): TranscribeResult {
  return {
    ResultId: 'r',
    StartTime: words[0]?.[1] ?? 0,
    EndTime: words.at(-1)?.[2] ?? 0,
    IsPartial: false,
    Alternatives: [
      {
        Transcript: text,
        Items: words.map(([Content, StartTime, EndTime]) => ({
          Content,
          StartTime,
          EndTime,
          Type: /\w|\p{L}/u.test(Content) ? 'pronunciation' : 'punctuation',
        })),
      },
    ],
    ...extra,
  }
}

t.test('repeated words are taken out, by their middle', async t => {
  const result = resultOf('One, two. Three!', [
    ['One', 1, 1.4],
    [',', 1.4, 1.4],
    ['two', 1.5, 2],
    ['.', 2, 2],
    ['Three', 2.5, 3],
    ['!', 3, 3],
  ])
  t.equal(withoutRepeated(result, 1, same), result, 'nothing is repeated')
  t.equal(withoutRepeated(result, 1.1, same), result, 'the middle counts')
  t.match(withoutRepeated(result, 1.4, same), {
    StartTime: 1.5,
    Alternatives: [{ Transcript: 'two. Three!' }],
  })
  t.match(withoutRepeated(result, 2.2, same), {
    Alternatives: [{ Transcript: 'Three!', Items: [{ Content: 'Three' }, { Content: '!' }] }],
  })
  t.equal(withoutRepeated(result, 3, same), null)
  t.equal(
    withoutRepeated(result, 2.2, seconds => seconds + 10),
    result,
    'in the time of the client',
  )

  const japanese = resultOf('今日は晴れ。', [
    ['今日', 0, 1],
    ['は', 1, 1.2],
    ['晴れ', 1.2, 2],
    ['。', 2, 2],
  ])
  t.match(withoutRepeated(japanese, 1.2, same), { Alternatives: [{ Transcript: '晴れ。' }] })
  const odd = resultOf('something else altogether', [
    ['one', 0, 1],
    ['two', 1, 2],
    ['.', 2, 2],
  ])
  t.match(
    withoutRepeated(odd, 1, same),
    { Alternatives: [{ Transcript: 'two.' }] },
    'a transcript that is not its items',
  )
  const entity = resultOf('Ana Bo', [
    ['Ana', 0, 1],
    ['Bo', 1, 2],
  ])
  Object.assign(entity.Alternatives?.[0] ?? {}, {
    Entities: [
      { Content: 'Ana', StartTime: 0, EndTime: 1 },
      { Content: 'Bo', StartTime: 1, EndTime: 2 },
    ],
  })
  t.match(withoutRepeated(entity, 1, same)?.Alternatives?.[0]?.Entities, [{ Content: 'Bo' }])

  const wordless: TranscribeResult = { StartTime: 0, EndTime: 2, IsPartial: true }
  t.equal(withoutRepeated(wordless, 0.9, same), wordless)
  t.equal(withoutRepeated(wordless, 1, same), null)
  t.equal(withoutRepeated({}, 1, same), null)
})

t.test('audio is covered up to the last word of a final, on every channel', async t => {
  const coverage = new Coverage(2)
  coverage.add(
    resultOf(
      'a .',
      [
        ['a', 0, 1],
        ['.', 1, 1.5],
      ],
      { ChannelId: 'ch_0', EndTime: 2 },
    ),
    same,
  )
  t.equal(coverage.coveredSeconds, 0, 'nothing is known of the other channel')
  coverage.add({ ChannelId: 'ch_1', IsPartial: false, EndTime: 0.5 }, same)
  t.equal(coverage.coveredSeconds, 0.5, 'without words, the end of the result')
  t.notOk(coverage.hasOpenSegment)
  coverage.add({ ChannelId: 'ch_1', IsPartial: true, StartTime: 3 }, same)
  t.ok(coverage.hasOpenSegment)
  coverage.addQuiet(100)
  t.equal(coverage.restart(4), 3, 'ch_0 was not heard after 1; ch_1 not after 3')
  t.notOk(coverage.hasOpenSegment)
  t.strictSame(Object.fromEntries(coverage.snapshot()), { ch_0: 4, ch_1: 4 })
  coverage.addQuiet(30)
  t.equal(coverage.restart(25), 5, 'up to ten seconds before, the service had nothing to say')
  t.equal(coverage.restart(25), 0)
  coverage.add({ IsPartial: false }, same)
  t.equal(new Coverage(1).restart(7), 7)
})

t.test('audio that is covered is given up at once, not when its place is needed', async t => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: unknown = runInNewContext('gc')
  if (typeof collectGarbage !== 'function') throw new Error('no garbage collector to call')
  const sizes = { replayBytes: 960_000, maxBytes: 960_000, frameBytes: 2, minBytes: 100 }
  const buffer = new ReplayBuffer(sizes, new RecycledBuffers({ maxFreeBytes: 0, maxLengths: 1 }))
  const frames: WeakRef<Buffer>[] = []
  const sendOne = () => {
    const frame = encodeAudioEvent(Buffer.alloc(3200))
    buffer.append(frame, 3200)
    buffer.next()
    return new WeakRef(frame)
  }
  for (let index = 0; index < 100; index += 1) frames.push(sendOne())
  buffer.coverUpTo(95 * 3200)
  // A WeakRef holds its object until the turn in which it was made is over.
  await new Promise(resolve => setImmediate(resolve))
  collectGarbage()
  t.equal(frames.filter(frame => frame.deref() !== undefined).length, 5)
  t.equal(buffer.endByte - buffer.startByte, 5 * 3200)
})
