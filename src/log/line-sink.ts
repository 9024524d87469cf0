/**
 * Writes log lines to a file descriptor, and never lets the log stop the relay.
 *
 * A pipe without a reader, a full disk or a reader that stalls costs lines, which are counted, and nothing else: no
 * exception, no blocked event loop, no growing memory. pino's own destination was tried first: with a full disk its
 * flush at exit repeats the failing write for ever, so that the process never ends.
 */
import fs from 'node:fs'
import type { Clock } from '../clock.ts'

export interface LineSinkOptions {
  readonly clock: Clock
  /** Most bytes that wait for the descriptor; lines beyond are lost. */
  readonly maxBufferedBytes?: number
  /**
   * Most bytes that one write takes, in whole lines; a longer line is a write of its own. For a pipe that other processes
   * write to as well: what is not above `PIPE_BUF` arrives in one piece (pipe(7)). Default: no limit.
   */
  readonly maxWriteBytes?: number
}

/** `PIPE_BUF` of Linux. */
export const ATOMIC_WRITE_BYTES = 4096

const DEFAULT_MAX_BUFFERED_BYTES = 1024 * 1024
/** A full pipe is tried again after this long. */
const RETRY_MS = 20

export class LineSink {
  readonly #fd: number
  readonly #clock: Clock
  readonly #maxBufferedBytes: number
  readonly #maxWriteBytes: number
  #lines: Buffer[] = []
  #bufferedBytes = 0
  #batch: { readonly bytes: Buffer; readonly lines: number; written: number } | null = null
  #isBroken = false
  #isMidLine = false
  #idleWaiters: (() => void)[] = []
  /** Lines that could not be written. */
  lostLines = 0

  constructor(fd: number, options: LineSinkOptions) {
    const { clock, maxBufferedBytes = DEFAULT_MAX_BUFFERED_BYTES, maxWriteBytes = Infinity } = options
    this.#fd = fd
    this.#clock = clock
    this.#maxBufferedBytes = maxBufferedBytes
    this.#maxWriteBytes = maxWriteBytes
  }

  /** One line, its end included. */
  write(line: string): void {
    const bytes = Buffer.from(line)
    if (this.#isBroken || this.#bufferedBytes + bytes.length > this.#maxBufferedBytes) {
      this.lostLines += 1
      return
    }
    this.#lines.push(bytes)
    this.#bufferedBytes += bytes.length
    if (this.#batch === null) this.#writeLines()
  }

  /** Nothing is on its way to the descriptor. */
  get isIdle(): boolean {
    return this.#batch === null
  }

  /** Resolves when every line is written or lost, at the latest after `timeoutMs`. Never rejects. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#batch === null) return
    await new Promise<void>(resolve => {
      const timer = this.#clock.setTimer(timeoutMs, resolve)
      this.#idleWaiters.push(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #writeLines(): void {
    if (this.#lines.length === 0) {
      this.#batch = null
      for (const resolve of this.#idleWaiters.splice(0)) resolve()
      return
    }
    // The rest of a line that was cut off by an error is ended, so that the next one can be read.
    const lines = this.#takeLines()
    const parts = this.#isMidLine ? [Buffer.from('\n'), ...lines] : lines
    this.#batch = { bytes: Buffer.concat(parts), lines: lines.length, written: 0 }
    this.#writeBatch()
  }

  /** As many as one write takes, at least one. */
  #takeLines(): Buffer[] {
    let count = 0
    let sizeBytes = this.#isMidLine ? 1 : 0
    for (const { length } of this.#lines) {
      sizeBytes += length
      if (count > 0 && sizeBytes > this.#maxWriteBytes) break
      count += 1
    }
    return this.#lines.splice(0, count)
  }

  #writeBatch(): void {
    if (this.#batch === null) return
    const { bytes, written } = this.#batch
    fs.write(this.#fd, bytes, written, bytes.length - written, null, (error, count) =>
      this.#fdOnWritten(error, count),
    )
  }

  #fdOnWritten(error: NodeJS.ErrnoException | null, count: number): void {
    const batch = this.#batch
    if (batch === null) return
    if (error?.code === 'EAGAIN') {
      this.#clock.setTimer(RETRY_MS, () => this.#writeBatch())
      return
    }
    if (error === null) {
      batch.written += count
      this.#isMidLine = batch.written < batch.bytes.length
      if (this.#isMidLine) return this.#writeBatch()
    } else {
      this.#lose(error, batch)
    }
    this.#bufferedBytes = this.#lines.reduce((sum, line) => sum + line.length, 0)
    this.#writeLines()
  }

  /** A reader that is gone does not come back; a full disk may be emptied, so the next lines are tried. */
  #lose(error: NodeJS.ErrnoException, batch: { readonly lines: number }): void {
    this.lostLines += batch.lines
    if (error.code !== 'EPIPE') return
    this.#isBroken = true
    this.lostLines += this.#lines.length
    this.#lines = []
  }
}
