/**
 * A stream as it is watched: final results scroll up, below them stands the partial result of the moment and a bar for
 * the audio. Where the output is no screen it is plain lines. Strings only; the output is handed in.
 */
import { printable } from './terminal.ts'
import type { Terminal } from './terminal.ts'

export interface ProgressState {
  readonly sentSeconds: number
  /** `null`: the end is not known. */
  readonly totalSeconds: number | null
  /** The partial result of the moment; empty: none. */
  readonly partial: string
}

export interface ResultLine {
  readonly text: string
  readonly isFinal: boolean
  readonly startSeconds: number
  readonly endSeconds: number
  readonly speaker: string | null
  readonly channel: string | null
}

const CLEAR_LINE = '\x1b[2K'
const LINE_UP = '\x1b[1A'
const DIM = '\x1b[2m'
const PLAIN = '\x1b[0m'

const BAR_CELLS = 30
/** Ours: the bar is not redrawn more often; a result always is. */
const REDRAW_INTERVAL_MS = 66

export interface ProgressOptions {
  readonly totalSeconds: number | null
  /** Partial results as lines of their own where there is no screen. */
  readonly partialLines: boolean
  readonly monotonicMs: () => number
}

export class ProgressView {
  readonly #terminal: Terminal
  readonly #options: ProgressOptions
  #state: ProgressState
  #drawnLines = 0
  #drawnAtMs = -Infinity
  #lastPartialLine = ''

  constructor(terminal: Terminal, options: ProgressOptions) {
    this.#terminal = terminal
    this.#options = options
    this.#state = { sentSeconds: 0, totalSeconds: options.totalSeconds, partial: '' }
  }

  audioSent(sentSeconds: number): void {
    this.#state = { ...this.#state, sentSeconds }
    if (this.#options.monotonicMs() - this.#drawnAtMs >= REDRAW_INTERVAL_MS) this.#draw()
  }

  result(line: ResultLine): void {
    if (line.isFinal) {
      this.#state = { ...this.#state, partial: '' }
      this.#lastPartialLine = ''
      this.note(renderResult(line))
      return
    }
    this.#state = { ...this.#state, partial: printable(line.text) }
    if (this.#terminal.interactive) this.#draw()
    else if (this.#options.partialLines) this.#printPartial(renderResult(line))
  }

  /** A line that stays. */
  note(text: string): void {
    this.#erase()
    if (text !== '') this.#terminal.print(text)
    this.#draw()
  }

  /** The partial result is void. */
  clearPartial(): void {
    this.#state = { ...this.#state, partial: '' }
    this.#draw()
  }

  /** Takes the moving lines away. */
  finish(): void {
    this.#erase()
  }

  #printPartial(line: string): void {
    if (line === this.#lastPartialLine) return
    this.#lastPartialLine = line
    this.#terminal.print(line)
  }

  #draw(): void {
    if (!this.#terminal.interactive) return
    const lines = renderProgress(this.#state, this.#terminal.columns)
    this.#erase()
    this.#terminal.write(lines.map(line => `${line}\n`).join(''))
    this.#drawnLines = lines.length
    this.#drawnAtMs = this.#options.monotonicMs()
  }

  #erase(): void {
    if (this.#drawnLines === 0) return
    this.#terminal.write(`${LINE_UP}${CLEAR_LINE}`.repeat(this.#drawnLines))
    this.#drawnLines = 0
  }
}

/** Two lines, neither wider than `columns`: the partial result and the bar. */
export function renderProgress(state: ProgressState, columns: number): readonly [string, string] {
  const partial = fitEnd(state.partial, Math.max(1, columns - 3))
  return [partial === '' ? '' : `${DIM}~ ${partial}${PLAIN}`, renderBar(state, columns)]
}

/** `[  0.40 -   3.20] speaker 0: text`, with `~` before a partial result's text. */
export function renderResult(line: ResultLine): string {
  const span = `[${line.startSeconds.toFixed(2).padStart(7)} - ${line.endSeconds.toFixed(2).padStart(7)}]`
  const channel = line.channel === null ? '' : ` ${printable(line.channel)}`
  const speaker = line.speaker === null ? '' : ` speaker ${printable(line.speaker)}:`
  return `${span}${channel}${speaker} ${line.isFinal ? '' : '~ '}${printable(line.text)}`
}

function renderBar({ sentSeconds, totalSeconds }: ProgressState, columns: number): string {
  const clock =
    totalSeconds === null
      ? formatClock(sentSeconds)
      : `${formatClock(sentSeconds)} / ${formatClock(totalSeconds)}`
  if (totalSeconds === null || totalSeconds <= 0 || columns < BAR_CELLS + clock.length + 4) return clock
  const filled = Math.round(BAR_CELLS * Math.min(1, sentSeconds / totalSeconds))
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_CELLS - filled)}] ${clock}`
}

/** `0:07.1`, `1:02:03.4` */
export function formatClock(seconds: number): string {
  const tenths = Math.floor(seconds * 10 + 1e-6)
  const wholeSeconds = Math.floor(tenths / 10)
  const minutes = Math.floor(wholeSeconds / 60)
  const hours = Math.floor(minutes / 60)
  const rest = `${String(wholeSeconds % 60).padStart(2, '0')}.${tenths % 10}`
  return hours === 0 ? `${minutes}:${rest}` : `${hours}:${String(minutes % 60).padStart(2, '0')}:${rest}`
}

/** East Asian scripts and emoji take two columns a character. */
const WIDE =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}|[\uff01-\uff60\u3000-\u303f]/u

/** The end of a text, which is what a listener looks at, in `columns`; an ellipsis stands for what is cut off. */
export function fitEnd(text: string, columns: number): string {
  const characters = Array.from(text)
  const widths = characters.map(character => (WIDE.test(character) ? 2 : 1))
  const total = widths.reduce<number>((sum, width) => sum + width, 0)
  if (total <= columns) return text
  let left = columns - 1
  let from = characters.length
  while (from > 0 && left >= (widths[from - 1] ?? 1)) {
    from -= 1
    left -= widths[from] ?? 1
  }
  return `…${characters.slice(from).join('')}`
}
