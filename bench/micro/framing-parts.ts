/** The parts of the codec, each beside what was not chosen: the measured reason of a line in src/eventstream/. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type * as AudioEvent from '../../src/eventstream/audio-event.ts'
import type * as Crc32 from '../../src/eventstream/crc32.ts'
import type * as HeadersMemo from '../../src/eventstream/headers-memo.ts'
import type * as Headers from '../../src/eventstream/headers.ts'
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
    'Allocate, copy and CRC, with memory from different places; frames above 4 KiB do not fit Node’s pool. Chosen is Node’s pool: the slab of ' +
      '8 KiB that a waiting frame keeps alive has one to three neighbours, one of 64 KiB has nineteen.',
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

export const partGroups: readonly MicroGroup[] = [allocation, heads, memo, checksums]
