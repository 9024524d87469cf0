/**
 * The results of the bench's upstream: whole event-stream messages made beforehand, in which only fixed places change
 * (end time, final or not, how long the upstream held the audio), and then the checksum.
 *
 * Shape and size are those of a real result: a line of speech with one item a word, 1.3 KiB. Its last word ends with
 * it, as of a real one: a relay that keeps audio until a final result covers it may then let go.
 */
import { crc32 } from 'node:zlib'
import { encodeMessage, type HeaderValue } from '../../src/eventstream/index.ts'

const WORDS = 'and mister john dashwood had then leisure to consider how much'.split(' ')
const END_MARK = '@@@@@@@@@'
const PARTIAL_MARK = '#####'
const HELD_MARK = '$$$$$$$$'
const CRC_BYTES = 4

/** Where a client finds how long the upstream held the audio of a result: `held 00000123 us`. */
export const HELD_PATTERN = /held (\d{8}) us/

export class ScriptedResult {
  readonly #message: Buffer
  /** Of the last word, and of the result. */
  readonly #endOffsets: readonly number[]
  readonly #partialOffset: number
  readonly #heldOffset: number

  /** `fillerBytes`: more text, to make results large. */
  constructor(fillerBytes = 0) {
    const items = WORDS.map((word, index) => ({
      Content: word,
      Confidence: 0.98,
      StartTime: index * 0.3,
      EndTime: index * 0.3 + 0.28,
      Type: 'pronunciation',
      Stable: false,
      VocabularyFilterMatch: false,
    }))
    const filler = fillerBytes > 0 ? ` ${'word '.repeat(Math.ceil(fillerBytes / 5))}` : ''
    const transcript = `held ${HELD_MARK} us ${WORDS.join(' ')}${filler}`
    const lastEnd = `"EndTime":${(WORDS.length - 1) * 0.3 + 0.28},`
    const words = JSON.stringify(items)
    const lastEndAt = words.lastIndexOf(lastEnd)
    const movingWords = `${words.slice(0, lastEndAt)}"EndTime":${END_MARK},${words.slice(lastEndAt + lastEnd.length)}`
    const payload =
      `{"Transcript":{"Results":[{"Alternatives":[{"Items":${movingWords},"Transcript":"${transcript}"}],` +
      `"EndTime":${END_MARK},"IsPartial":${PARTIAL_MARK},"ResultId":"8a1f2b3c-0000-4000-8000-benchbenchbe","StartTime":0.0}]}}`
    this.#message = encodeMessage(
      new Map([
        [':message-type', text('event')],
        [':event-type', text('TranscriptEvent')],
        [':content-type', text('application/json')],
      ]),
      Buffer.from(payload),
    )
    const wordEndOffset = this.#message.indexOf(END_MARK)
    this.#endOffsets = [wordEndOffset, this.#message.indexOf(END_MARK, wordEndOffset + END_MARK.length)]
    this.#partialOffset = this.#message.indexOf(PARTIAL_MARK)
    this.#heldOffset = this.#message.indexOf(HELD_MARK)
  }

  /** The message: valid until the next call. JSON lets numbers and names have blanks before them. */
  render(endSeconds: number, isFinal: boolean, heldMicros: number): Buffer {
    const message = this.#message
    const end = endSeconds.toFixed(3).padStart(END_MARK.length, ' ')
    for (const offset of this.#endOffsets) message.write(end, offset, 'latin1')
    message.write(isFinal ? 'false' : ' true', this.#partialOffset, 'latin1')
    const held = String(Math.min(99_999_999, Math.round(heldMicros))).padStart(HELD_MARK.length, '0')
    message.write(held, this.#heldOffset, 'latin1')
    const crcOffset = message.length - CRC_BYTES
    message.writeUInt32BE(crc32(message.subarray(0, crcOffset)), crcOffset)
    return message
  }
}

function text(value: string): HeaderValue {
  return { type: 'string', value }
}
