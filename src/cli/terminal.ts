/**
 * Where a command's output goes: two streams and what is known of the screen. Everything that a command prints passes
 * here, so that a test can read it and nothing else writes to the console.
 */

export interface Terminal {
  /** Standard output is a screen: lines may be rewritten in place. */
  readonly interactive: boolean
  /** Width of the screen, characters; of printed pages where there is no screen. */
  readonly columns: number
  /** Standard output, as it is. */
  write(text: string): void
  /** One line on standard output. */
  print(line: string): void
  /** One line on standard error. */
  warn(line: string): void
}

/** The part of a Node stream that a terminal needs. */
export interface TextSink {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

/** Width of pages that go to a file or a pipe. */
export const PAGE_COLUMNS = 100

export function createTerminal(stdout: TextSink, stderr: TextSink): Terminal {
  return {
    interactive: stdout.isTTY === true,
    get columns() {
      // A terminal without a size, as in some containers, says 0.
      const { columns = 0 } = stdout
      return stdout.isTTY === true && columns > 0 ? columns : PAGE_COLUMNS
    },
    write(text) {
      stdout.write(text)
    },
    print(line) {
      stdout.write(`${line}\n`)
    },
    warn(line) {
      stderr.write(`${line}\n`)
    },
  }
}

/** Text of another process, made safe to show: without control characters a transcript cannot drive the terminal. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ')
}
