/**
 * The one connection of a process to Redis. It opens itself again for ever, with growing waits; what is asked while it is
 * not there fails at once, what is not answered in time fails then. Nothing is asked twice.
 *
 * The library is loaded by the first start: a relay without Redis does without it.
 */
import { createHash } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Clock } from '../clock.ts'
import type { RedisFailures } from './failures.ts'

export interface RedisConnectionOptions {
  /** With user and password, which appear nowhere else. */
  readonly url: string
  /** For one answer, and for one attempt to connect. */
  readonly timeoutMs: number
  readonly clock: Clock
  readonly failures: RedisFailures
  /** Each time that it can be asked again. */
  readonly onReady: () => void
}

const MIN_RECONNECT_MS = 50
const MAX_RECONNECT_MS = 2000
/** Times the time for one answer. */
const SILENT_ANSWERS = 2
/** To connect, to say who it is, to hear that Redis has its data. Times the time for one answer. */
const START_ANSWERS = 3

/** A script, and the name under which Redis keeps it. */
export class RedisScript {
  readonly text: string
  readonly sha: string
  readonly keys: number

  constructor(text: string, keys: number) {
    this.text = text
    this.sha = createHash('sha1').update(text).digest('hex')
    this.keys = keys
  }
}

export class RedisConnection {
  readonly #options: RedisConnectionOptions
  #client: Redis | null = null
  #wasReady = true

  constructor(options: RedisConnectionOptions) {
    this.#options = options
  }

  get isReady(): boolean {
    return this.#client?.status === 'ready'
  }

  /**
   * Resolves when it is connected, or the first attempt has failed or takes longer than `START_ANSWERS`; what follows goes
   * on behind.
   */
  async start(): Promise<void> {
    const { Redis: Client } = await import('ioredis')
    const { clock, failures, timeoutMs, url } = this.#options
    const client = new Client(url, {
      lazyConnect: true,
      connectionName: 'transcribe-relay',
      disableClientInfo: true,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      // A connection on which nothing comes back is given up: TCP would take a quarter of an hour to notice.
      socketTimeout: SILENT_ANSWERS * timeoutMs,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      // It says how long loading will take, and is often wrong.
      maxLoadingRetryTime: MAX_RECONNECT_MS,
      retryStrategy: times => Math.min(MAX_RECONNECT_MS, MIN_RECONNECT_MS * 2 ** Math.min(times, 10)),
      // After a failover the old primary takes no writes.
      reconnectOnError: error => error.message.startsWith('READONLY'),
    })
    this.#client = client
    client.on('error', error => failures.note('connect', error))
    client.on('close', () => {
      this.#wasReady = false
    })
    client.on('ready', () => this.#clientOnReady())
    await new Promise<void>(resolve => {
      const timer = clock.setTimer(START_ANSWERS * timeoutMs, () => {
        this.#wasReady = false
        failures.note('connect', new NotLoadedError())
        resolve()
      })
      void client
        .connect()
        .catch(ignoreTold)
        .then(() => {
          timer.cancel()
          return resolve()
        })
    })
  }

  close(): void {
    this.#client?.disconnect()
    this.#client = null
  }

  async run(script: RedisScript, args: readonly (string | number)[]): Promise<unknown> {
    const client = this.#open()
    try {
      return await client.evalsha(script.sha, script.keys, ...args)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
      return await client.eval(script.text, script.keys, ...args)
    }
  }

  /** Says whether the key was not there before. */
  async setOnce(key: string, value: string, lifetimeMs: number): Promise<boolean> {
    return (await this.#open().set(key, value, 'PX', lifetimeMs, 'NX')) === 'OK'
  }

  #open(): Redis {
    if (this.#client === null) throw new Error('closed')
    return this.#client
  }

  #clientOnReady(): void {
    if (!this.#wasReady) this.#options.failures.settle()
    this.#wasReady = true
    this.#options.onReady()
  }
}

/** Each step has a time of its own, and this is longer than all of them: it answers, and says that its data is not there yet. */
class NotLoadedError extends Error {
  override readonly name = 'loading'
}

/** The event `error` has told it. */
function ignoreTold(): void {}
