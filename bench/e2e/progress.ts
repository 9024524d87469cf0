/** What a bench says while it runs: one line that changes on a terminal, and lines that stay. */

const CLEAR_LINE = '\r\u001b[2K'

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream
  #isShown = false

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream
  }

  /** Replaces the line before; nothing where lines cannot be replaced. */
  show(text: string): void {
    if (!this.#stream.isTTY) return
    this.#stream.write(`${CLEAR_LINE}${text.slice(0, this.#stream.columns - 1)}`)
    this.#isShown = true
  }

  /** A line that stays. */
  say(text: string): void {
    this.#stream.write(`${this.#isShown ? CLEAR_LINE : ''}${text}\n`)
    this.#isShown = false
  }
}

/** Words in columns. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows
    .map(row =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  '),
    )
    .join('\n')
}
