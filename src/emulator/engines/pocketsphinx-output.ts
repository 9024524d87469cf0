/**
 * Reads what `pocketsphinx_continuous -time yes` prints: for each utterance the text in one line, then a line
 * `word start end confidence` for every word, silence and noise, from `<s>` to `</s>`. Times are seconds from the start
 * of the input.
 */
import type { HeardWord } from './result-builder.ts'

const WORD_LINE = /^(\S+) (\d+\.\d+) (\d+\.\d+) (\d+\.\d+)$/
/** Which of several pronunciations was heard: `to(3)`. */
const PRONUNCIATION = /\(\d+\)$/
/** `<sil>`, `[SPEECH]`, `++NOISE++` and the like are no words. */
const FILLER = /^(<.*>|\[.*\]|\+\+.*\+\+)$/
const END_OF_UTTERANCE = '</s>'
/** Longer than any line the program prints. */
const MAX_LINE_CHARACTERS = 65_536

export class PocketsphinxOutput {
  readonly #onUtterance: (words: readonly HeardWord[]) => void
  #line = ''
  #words: HeardWord[] = []

  constructor(onUtterance: (words: readonly HeardWord[]) => void) {
    this.#onUtterance = onUtterance
  }

  /** Any cut of the output. */
  write(text: string): void {
    const lines = `${this.#line}${text}`.split('\n')
    this.#line = (lines.pop() ?? '').slice(0, MAX_LINE_CHARACTERS)
    for (const line of lines) this.#readLine(line.trim())
  }

  #readLine(line: string): void {
    const [, word, start, end, confidence] = WORD_LINE.exec(line) ?? []
    if (word === undefined) return
    if (word === END_OF_UTTERANCE) {
      const words = this.#words
      this.#words = []
      if (words.length > 0) this.#onUtterance(words)
    } else if (!FILLER.test(word)) {
      this.#words.push({
        content: word.replace(PRONUNCIATION, ''),
        startSeconds: Number(start),
        endSeconds: Number(end),
        confidence: Math.min(1, Number(confidence)),
      })
    }
  }
}
