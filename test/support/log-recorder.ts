/** A sink that keeps the lines of a log, and says when one came. */
import type { LogSink } from '../../src/log.ts'

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly message: string }

export class LogRecorder implements LogSink {
  readonly lostLines = 0
  /** As they were written. */
  readonly texts: string[] = []
  readonly lines: LogLine[] = []
  readonly #wakers = new Set<() => void>()

  write(line: string): void {
    this.texts.push(line)
    this.lines.push(JSON.parse(line) as LogLine)
    for (const wake of this.#wakers) wake()
  }

  async flush(): Promise<void> {}

  /** Lines with this message, of this session if one is given. */
  of(message: string, sessionId?: unknown): readonly LogLine[] {
    return this.lines.filter(
      line => line.message === message && (sessionId === undefined || line['session_id'] === sessionId),
    )
  }

  /** The first line with this message, of this session if one is given, as soon as it is there. */
  async waitFor(message: string, sessionId?: unknown): Promise<LogLine> {
    for (;;) {
      const [line] = this.of(message, sessionId)
      if (line !== undefined) return line
      await this.next()
    }
  }

  /** Resolves when another line is written. */
  next(): Promise<void> {
    return new Promise(resolve => {
      const wake = (): void => {
        this.#wakers.delete(wake)
        resolve()
      }
      this.#wakers.add(wake)
    })
  }
}
