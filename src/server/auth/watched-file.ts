/**
 * A small file that is read again when it changes: keys, secrets.
 *
 * The folder is watched and not the file, because Kubernetes and careful people replace files by renaming. A change is
 * what the digest of the content says; a slow look at the clock finds what the system did not tell. A new content that
 * is not valid is reported and leaves the old one in force.
 */
import { createHash } from 'node:crypto'
import type { FSWatcher } from 'node:fs'
import { watch } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Clock, Timer } from '../../clock.ts'

/** Changes within this time are read once. */
const DEBOUNCE_MS = 200
/** For file systems that tell nobody. */
const LOOK_INTERVAL_MS = 60_000

/** What is wrong with a file, without its content. Thrown by `load` and by the readers of contents. */
export class AuthFileError extends Error {
  override readonly name = 'AuthFileError'
  /** `keys.json: keys[2].sha256` */
  readonly path: string
  readonly rule: string

  constructor(path: string, rule: string) {
    super(`${path} ${rule}`)
    this.path = path
    this.rule = rule
  }
}

export interface WatchedFileOptions {
  readonly path: string
  readonly maxBytes: number
  readonly clock: Clock
  /** Takes the content, or throws and leaves everything as it was. `name` is the file's, without its folder. */
  readonly onContent: (text: string, name: string) => void
  /** A new content is in force. */
  readonly onReload: (name: string) => void
  /** A change that is not taken: the file cannot be read, its content is not valid. */
  readonly onFailure: (name: string, error: unknown) => void
}

export class WatchedFile {
  readonly #options: WatchedFileOptions
  readonly #name: string
  #watcher: FSWatcher | null = null
  #ticker: Timer | null = null
  #debounce: Timer | null = null
  /** Of what was seen last, valid or not, so that a bad file is reported once. */
  #seen: string | null = null
  #looking: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: WatchedFileOptions) {
    this.#options = options
    this.#name = basename(options.path)
  }

  /** Reads the file, then watches it. @throws AuthFileError */
  async start(): Promise<void> {
    const text = await this.#read()
    this.#seen = digestOf(text)
    this.#options.onContent(text, this.#name)
    // Closed while it was read.
    if (this.#isClosed) return
    this.#watch()
    this.#ticker = this.#options.clock.setTicker(LOOK_INTERVAL_MS, () => this.#lookSoon())
  }

  close(): void {
    this.#isClosed = true
    this.#watcher?.close()
    this.#ticker?.cancel()
    this.#debounce?.cancel()
  }

  #watch(): void {
    try {
      this.#watcher = watch(dirname(this.#options.path), { persistent: false }, () => this.#lookSoon())
      this.#watcher.on('error', error => this.#options.onFailure(this.#name, error))
    } catch (error) {
      // No more watches on this machine: the slow look remains.
      this.#options.onFailure(this.#name, error)
    }
  }

  #lookSoon(): void {
    if (this.#isClosed || this.#debounce !== null) return
    this.#debounce = this.#options.clock.setTimer(DEBOUNCE_MS, () => {
      this.#debounce = null
      // One after the other: an older content must not win over a newer one.
      this.#looking = this.#looking.then(() => this.#look())
    })
  }

  async #look(): Promise<void> {
    try {
      const text = await this.#read()
      const digest = digestOf(text)
      if (this.#isClosed || digest === this.#seen) return
      this.#seen = digest
      this.#options.onContent(text, this.#name)
      this.#options.onReload(this.#name)
    } catch (error) {
      if (!this.#isClosed) this.#reportOnce(error)
    }
  }

  /** A file that stays away is reported once, as its content was forgotten with the first report. */
  #reportOnce(error: unknown): void {
    const isUnreadable = error instanceof AuthFileError && error.path === this.#name
    if (isUnreadable && this.#seen === null) return
    if (isUnreadable) this.#seen = null
    this.#options.onFailure(this.#name, error)
  }

  async #read(): Promise<string> {
    const { maxBytes, path } = this.#options
    const bytes = await readStart(path, maxBytes + 1, this.#name)
    if (bytes.length <= maxBytes) return bytes.toString('utf8')
    throw new AuthFileError(this.#name, `must have at most ${maxBytes} bytes`)
  }
}

async function readStart(path: string, maxBytes: number, name: string): Promise<Buffer> {
  try {
    const handle = await open(path, 'r')
    try {
      const bytes = Buffer.alloc(maxBytes)
      let length = 0
      for (let read = -1; read !== 0 && length < maxBytes; length += read) {
        read = (await handle.read(bytes, length)).bytesRead
      }
      return bytes.subarray(0, length)
    } finally {
      await handle.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new AuthFileError(name, `must be a readable file (${code ?? 'unknown error'})`)
  }
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
