/** The parts of the codec, each beside what was not chosen: the measured reason of a line in src/eventstream/. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Writable } from 'node:stream'
import { crc32 } from 'node:zlib'
import bufferUtil from 'bufferutil'
import type * as AudioEvent from '../../src/eventstream/audio-event.ts'
import type * as Crc32 from '../../src/eventstream/crc32.ts'
import type * as HeadersMemo from '../../src/eventstream/headers-memo.ts'
import type * as Headers from '../../src/eventstream/headers.ts'
import type * as FrameWriterModule from '../../src/upstream/frame-writer.ts'
import { sdkEncodeAudioEvent } from './aws-sdk.ts'
import { load } from './built.ts'
import { allocateAlone, allocateFromPool, copyAndCrc, slabAllocator, type Allocate } from './floor.ts'
import type { MicroGroup, MicroRow } from './micro-bench.ts'
import { pcmOf } from './pcm.ts'
import { EVENT_KINDS, transcriptMessage } from './transcripts.ts'

const loadAudioEvent = () => load<typeof AudioEvent>('eventstream/audio-event')
const loadCrc32 = () => load<typeof Crc32>('eventstream/crc32')

/** Encodes two lengths in turn, so that a head that is kept for one is or is not the head of the other. */
function headRow(subject: string, audioBytes: readonly [number, number]): MicroRow {
  return {
    subject,
    dimensions: { 'audio bytes': audioBytes[0] },
    async prepare() {
      const { encodeAudioEvent } = await loadAudioEvent()
      const [one, other] = [pcmOf(audioBytes[0]), pcmOf(audioBytes[1])]
      let isOne = false
      return {
        run() {
          isOne = !isOne
          return encodeAudioEvent(isOne ? one : other)
        },
        check() {
          for (const pcm of [one, other, one]) ok(encodeAudioEvent(pcm).equals(sdkEncodeAudioEvent(pcm)))
        },
      }
    },
  }
}

const heads: MicroGroup = {
  id: 'head',
  title: 'Part: the head of an AudioEvent',
  text: [
    'The 100 bytes before the audio depend on its length alone and are kept for 31 lengths with their CRC. Two lengths in turn: of one slot, or not.',
  ],
  charts: [],
  reference: 'warm head',
  // Slots are counted by the total length modulo 31.
  rows: [
    headRow('warm head', [3200, 3202]),
    headRow('cold head', [3200, 3262]),
    headRow('warm head', [640, 642]),
    headRow('cold head', [640, 702]),
  ],
}

function allocationRow(subject: string, allocate: Allocate, audioBytes: number): MicroRow {
  return {
    subject,
    dimensions: { 'audio bytes': audioBytes },
    async prepare() {
      const { AUDIO_OVERHEAD_BYTES, AUDIO_PAYLOAD_OFFSET } = await loadAudioEvent()
      const pcm = pcmOf(audioBytes)
      const totalBytes = audioBytes + AUDIO_OVERHEAD_BYTES
      const run = () => {
        const frame = allocate(totalBytes)
        frame.writeUInt32BE(copyAndCrc(frame, pcm, AUDIO_PAYLOAD_OFFSET, 0), totalBytes - 4)
        return frame
      }
      return {
        run,
        check() {
          strictEqual(run().length, totalBytes)
          strictEqual(run().readUInt32BE(totalBytes - 4), crc32(pcm))
        },
      }
    },
  }
}

const ALLOCATORS: readonly (readonly [string, Allocate])[] = [
  ['Buffer.allocUnsafe (Node’s pool)', allocateFromPool],
  ['Buffer.allocUnsafeSlow', allocateAlone],
  ['slabs of 16 KiB', slabAllocator(16 * 1024)],
  ['slabs of 64 KiB', slabAllocator(64 * 1024)],
  ['slabs of 256 KiB', slabAllocator(256 * 1024)],
]

const allocation: MicroGroup = {
  id: 'allocation',
  title: 'Part: memory for a frame',
  text: [
    'Allocate, copy and CRC, with memory from different places; frames above 4 KiB do not fit Node’s pool. Of frames that are given away, chosen is Node’s pool: the slab of ' +
      '8 KiB that a waiting frame keeps alive has one to three neighbours, one of 64 KiB has nineteen. The relay’s own frames are recycled one by one.',
  ],
  charts: [],
  reference: ALLOCATORS[0]?.[0] ?? '',
  rows: [640, 3200, 9600].flatMap(audioBytes =>
    ALLOCATORS.map(([subject, allocate]) => allocationRow(subject, allocate, audioBytes)),
  ),
}

/** Headers of a TranscriptEvent, decoded anew or remembered. */
const memo: MicroGroup = {
  id: 'memo',
  title: 'Part: the headers of a TranscriptEvent',
  text: [
    '85 bytes, three headers. A hit compares the block with the one before; a miss decodes and keeps it.',
  ],
  charts: [],
  reference: 'memo hit',
  rows: [
    { subject: 'memo hit', dimensions: { bytes: 85 }, prepare: () => prepareMemo(false) },
    { subject: 'memo miss', dimensions: { bytes: 85 }, prepare: () => prepareMemo(true) },
    {
      subject: 'decode only',
      dimensions: { bytes: 85 },
      async prepare() {
        const { decodeHeaders } = await load<typeof Headers>('eventstream/headers')
        const block = (await transcriptMessage(EVENT_KINDS[0])).subarray(12, 97)
        return { run: () => decodeHeaders(block), check: () => strictEqual(decodeHeaders(block).size, 3) }
      },
    },
  ],
}

async function prepareMemo(isMiss: boolean) {
  const { decodeHeadersAt } = await load<typeof HeadersMemo>('eventstream/headers-memo')
  const { decodeHeaders } = await load<typeof Headers>('eventstream/headers')
  const one = await transcriptMessage(EVENT_KINDS[0])
  const other = Buffer.from(one)
  // The last letter of a value: as long, and not the same.
  if (isMiss) other.write('m', 96)
  let isOne = false
  return {
    run() {
      isOne = !isOne
      return decodeHeadersAt(isOne ? one : other, 12, 97)
    },
    check() {
      for (const message of [one, other]) {
        deepStrictEqual([...decodeHeadersAt(message, 12, 97)], [...decodeHeaders(message.subarray(12, 97))])
      }
    },
  }
}

const TWO_WORDS = 'two words (prelude)'
const WHOLE_MESSAGE = '2 KB message'

const checksums: MicroGroup = {
  id: 'crc',
  title: 'Part: checksums',
  text: [
    'The CRC of the two lengths of a prelude, which are numbers by then, and the check of the CRC of a message.',
  ],
  charts: [],
  reference: 'chosen',
  rows: [
    {
      subject: 'chosen',
      dimensions: { of: TWO_WORDS, how: 'word CRC: table' },
      async prepare() {
        const { crc32OfWord } = await loadCrc32()
        const run = () => crc32OfWord(85, crc32OfWord(2101))
        return { run, check: () => strictEqual(run(), crc32(preludeBytes())) }
      },
    },
    {
      subject: 'not chosen',
      dimensions: { of: TWO_WORDS, how: 'zlib, of one DataView for all' },
      prepare() {
        const view = new DataView(new ArrayBuffer(8))
        const bytes = new Uint8Array(view.buffer)
        const run = () => {
          view.setUint32(0, 2101)
          view.setUint32(4, 85)
          return crc32(bytes)
        }
        return { run, check: () => strictEqual(run(), crc32(preludeBytes())) }
      },
    },
    {
      subject: 'not chosen',
      dimensions: { of: TWO_WORDS, how: 'zlib, of a prelude view' },
      prepare() {
        const message = Buffer.concat([preludeBytes(), pcmOf(2000)])
        const run = () => crc32(message.subarray(0, 8))
        return { run, check: () => strictEqual(run(), crc32(preludeBytes())) }
      },
    },
    {
      subject: 'chosen',
      dimensions: { of: WHOLE_MESSAGE, how: 'message CRC: of everything, its own CRC appended' },
      async prepare() {
        const { crc32OfWord } = await loadCrc32()
        const message = await transcriptMessage(EVENT_KINDS[1])
        const run = () => {
          const claimed = message.readUInt32BE(message.length - 4)
          return crc32(message) === crc32OfWord(claimed, claimed)
        }
        return { run, check: () => checkVerifier(run, message) }
      },
    },
    {
      subject: 'not chosen',
      dimensions: { of: WHOLE_MESSAGE, how: 'message CRC: of a view without its own' },
      async prepare() {
        const message = await transcriptMessage(EVENT_KINDS[1])
        const run = () =>
          crc32(message.subarray(0, message.length - 4)) === message.readUInt32BE(message.length - 4)
        return { run, check: () => checkVerifier(run, message) }
      },
    },
  ],
}

function preludeBytes(): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE(2101, 0)
  bytes.writeUInt32BE(85, 4)
  return bytes
}

function checkVerifier(isRight: () => boolean, message: Buffer): void {
  ok(isRight(), 'takes the message')
  message.writeUInt8(message.readUInt8(200) ^ 1, 200)
  ok(!isRight(), 'refuses a flipped bit')
  message.writeUInt8(message.readUInt8(200) ^ 1, 200)
}

/** A message of 100 ms as a client frame of a WebSocket. */
const FRAME_BYTES = 3304
const KEY = Buffer.from([0x37, 0xfa, 0x21, 0x3d])

function unmaskedOf(frame: Buffer): Buffer {
  const [key, payload] = [frame.subarray(4, 8), Buffer.from(frame.subarray(8))]
  bufferUtil.mask(payload, key, payload, 0, payload.length)
  return payload
}

const mask: MicroGroup = {
  id: 'mask',
  title: 'Part: the client frame of a WebSocket',
  text: [
    'Header, random key and masked payload of one message of 100 ms in one buffer. Chosen writes into recycled memory; the library allocates a frame for each message. ' +
      'Below: the masking alone, natively and in JavaScript, and the copy that would be left without it.',
  ],
  charts: [],
  reference: 'mask, chosen: recycled memory',
  rows: [
    {
      subject: 'mask, chosen: recycled memory',
      dimensions: { bytes: FRAME_BYTES },
      async prepare() {
        const { createWriteMemory, FrameWriter } =
          await load<typeof FrameWriterModule>('upstream/frame-writer')
        const message = pcmOf(FRAME_BYTES)
        let last: Buffer = Buffer.alloc(0)
        const socket = {
          write(frame: Buffer, onFlushed: () => void): boolean {
            last = frame
            onFlushed()
            return true
          },
        }
        const writer = new FrameWriter(socket as unknown as Writable, createWriteMemory())
        return {
          run: () => writer.write(message),
          check() {
            writer.write(message)
            ok(unmaskedOf(last).equals(message))
          },
        }
      },
    },
    {
      subject: 'mask, memory of its own',
      dimensions: { bytes: FRAME_BYTES },
      prepare() {
        const message = pcmOf(FRAME_BYTES)
        const run = () => {
          const frame = Buffer.allocUnsafe(8 + FRAME_BYTES)
          frame[0] = 0x82
          frame[1] = 0x80 | 126
          frame.writeUInt16BE(FRAME_BYTES, 2)
          frame.set(KEY, 4)
          bufferUtil.mask(message, KEY, frame, 8, FRAME_BYTES)
          return frame
        }
        return { run, check: () => ok(unmaskedOf(run()).equals(message)) }
      },
    },
    maskRow('masking alone, native', (message, frame) =>
      bufferUtil.mask(message, KEY, frame, 8, FRAME_BYTES),
    ),
    maskRow('masking alone, JavaScript', (message, frame) => {
      for (let index = 0; index < FRAME_BYTES; index += 1) {
        frame[8 + index] = (message[index] ?? 0) ^ (KEY[index & 3] ?? 0)
      }
    }),
    {
      subject: 'no mask: copy',
      dimensions: { bytes: FRAME_BYTES },
      prepare() {
        const message = pcmOf(FRAME_BYTES)
        const frame = Buffer.allocUnsafeSlow(8 + FRAME_BYTES)
        const run = () => frame.set(message, 8)
        return {
          run,
          check() {
            run()
            ok(frame.subarray(8).equals(message))
          },
        }
      },
    },
  ],
}

function maskRow(subject: string, write: (message: Buffer, frame: Buffer) => void): MicroRow {
  return {
    subject,
    dimensions: { bytes: FRAME_BYTES },
    prepare() {
      const message = pcmOf(FRAME_BYTES)
      const frame = Buffer.allocUnsafeSlow(8 + FRAME_BYTES)
      frame.set(KEY, 4)
      return {
        run: () => write(message, frame),
        check() {
          write(message, frame)
          ok(unmaskedOf(frame).equals(message))
        },
      }
    },
  }
}

export const partGroups: readonly MicroGroup[] = [allocation, heads, memo, checksums, mask]
