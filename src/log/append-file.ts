/**
 * A file that lines are appended to: the audit's. It may be rotated by renaming or removing it; a new one is opened within
 * seconds, and what is on its way still goes to the old one. A file that cannot be written costs lines, and nothing else
 * (`line-sink.ts`).
 */
import fs from 'node:fs'
import type { Clock, Timer } from '../clock.ts'
import { LineSink } from './line-sink.ts'

export interface AppendFileOptions {
  readonly path: string
  readonly clock: Clock
  /** Lines were lost since the last time, or the file cannot be opened again. */
  readonly onFailure: (lostLines: number, error: unknown) => void
}

/** Whether the file is still the one at the path, and whether lines were lost, is looked at so often. */
const LOOK_INTERVAL_MS = 2000
/** For what is on its way to a file that was rotated away. */
const FLUSH_MS = 10_000
/** Nobody but the relay's own user needs to read who spoke. */
const FILE_MODE = 0o640

/** A pipe without a reader is an error, and no wait. */
const APPEND = fs.constants.O_APPEND | fs.constants.O_CREAT | fs.constants.O_WRONLY | fs.constants.O_NONBLOCK

interface OpenFile {
  readonly fd: number
  readonly inode: number
  readonly sink: LineSink
}

export class AppendFile {
  readonly #options: AppendFileOptions
  #file: OpenFile
  readonly #ticker: Timer
  #lostBefore = 0
  #toldLines = 0
  #isLooking = false

  /** @throws the system's error when the file cannot be opened. */
  constructor(options: AppendFileOptions) {
    this.#options = options
    this.#file = this.#open()
    this.#ticker = options.clock.setTicker(LOOK_INTERVAL_MS, () => void this.look())
  }

  get lostLines(): number {
    return this.#lostBefore + this.#file.sink.lostLines
  }

  write(line: string): void {
    this.#file.sink.write(line)
  }

  async flush(timeoutMs: number): Promise<void> {
    await this.#file.sink.flush(timeoutMs)
  }

  /** Ends the look at the file; the lines that are on their way are written. Never rejects. */
  async close(): Promise<void> {
    this.#ticker.cancel()
    await this.#file.sink.flush(FLUSH_MS)
    this.#tellLost()
    await this.#release(this.#file)
  }

  /** Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      this.#tellLost()
      if (await this.#isRotated()) this.#replace()
    } catch (error) {
      this.#options.onFailure(0, error)
    } finally {
      this.#isLooking = false
    }
  }

  async #isRotated(): Promise<boolean> {
    try {
      return (await fs.promises.stat(this.#options.path)).ino !== this.#file.inode
    } catch {
      // Not there, or not to be seen: opening it makes it, or says why not.
      return true
    }
  }

  #replace(): void {
    const before = this.#file
    this.#file = this.#open()
    this.#lostBefore += before.sink.lostLines
    void this.#release(before)
  }

  async #release({ fd, sink }: OpenFile): Promise<void> {
    const lostBefore = sink.lostLines
    await sink.flush(FLUSH_MS)
    if (sink !== this.#file.sink) this.#lostBefore += sink.lostLines - lostBefore
    // A descriptor that is still written to must not become another file's.
    if (sink.isIdle) fs.close(fd, () => {})
  }

  #open(): OpenFile {
    const fd = fs.openSync(this.#options.path, APPEND, FILE_MODE)
    const sink = new LineSink(fd, { clock: this.#options.clock })
    return { fd, inode: fs.fstatSync(fd).ino, sink }
  }

  #tellLost(): void {
    const lost = this.lostLines - this.#toldLines
    if (lost === 0) return
    this.#toldLines += lost
    this.#options.onFailure(lost, null)
  }
}
