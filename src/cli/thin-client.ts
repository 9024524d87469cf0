/**
 * A client of the relay: one plain WebSocket, PCM out, JSON in. It knows nothing of AWS and nothing of the relay's code.
 *
 * It uses the package `ws`, which belongs to `upstream/` and `emulator/` elsewhere: this client stands on the far side of
 * the relay, like any other client, and shares no socket and no setting with them.
 *
 * Audio is paced by the clock, not by pauses: message N is due when its last sample would have left a microphone that
 * started with the first message. Waits that are a little long therefore never add up.
 *
 * With `resume` a connection that breaks is followed by another one, on which the relay goes on where it was; the clock
 * of the audio goes on meanwhile, as a microphone does.
 */
import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { RawData } from 'ws'
import type { Clock, Timer } from '../clock.ts'
import {
  CONNECTION_FAILURES,
  describeBreak,
  describeClose,
  describeRefusal,
  LOCAL,
} from './connection-failure.ts'
import { Resumption } from './resumption.ts'
import { SilenceWatch } from './silence-watch.ts'
import { parseJson, readFailure, readResults, readServerMessage } from './server-message.ts'
import type { RelayFailure, ServerMessage } from './server-message.ts'
import { countResult, createStatistics } from './statistics.ts'
import type { StreamStatistics } from './statistics.ts'

export interface StreamInput {
  /** `ws:` or `wss:`, query included. */
  readonly url: string
  readonly token: string | null
  /** PCM, already cut into messages. */
  readonly chunks: AsyncIterable<Uint8Array>
  readonly bytesPerSecond: number
  /** 1: real time; `Infinity`: as fast as the socket takes it. */
  readonly speed: number
  readonly connectTimeoutMs: number
  /** Longest wait for `End` after the last audio. */
  readonly endTimeoutMs: number
  /** Come back when the connection breaks; `resume=true` is in the URL. `random`: in [0, 1). */
  readonly resume?: { readonly random: () => number }
  /** Aborted: no more audio, ask for the last results. */
  readonly stop?: AbortSignal
}

export interface StreamListener {
  /** Every message of the relay, in order, as it came and parsed. */
  onMessage(message: ServerMessage, text: string): void
  onAudioSent(sentSeconds: number): void
  /** The connection broke, and another one is tried after `waitMs`. */
  onReconnect?(waitMs: number): void
  /** `resume` was asked for, but the relay keeps no sessions: the stream goes on without. */
  onResumeRefused?(): void
}

export type StreamOutcome =
  | { readonly kind: 'done'; readonly statistics: StreamStatistics; readonly end: ServerMessage }
  | {
      readonly kind: 'failed'
      readonly statistics: StreamStatistics
      readonly failure: RelayFailure
      /** Of the refused upgrade; `null` when it was accepted or never answered. */
      readonly httpStatus: number | null
      /** `null` before the upgrade. */
      readonly closeCode: number | null
    }

/** Ours: audio that may wait in the socket before the next message is held back. */
const MAX_BUFFERED_BYTES = 262_144
/** Ours: the most that is read of the body of a refusal. */
const MAX_REFUSAL_BYTES = 16_384
/** Ours: the largest message taken from a relay. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
const CLOSE_STREAM = '{"type":"CloseStream"}'
const CLOSE_NORMAL = 1000
const END_TIMEOUT = 'end_timeout'
/** Of the relay's catalogue: another process has the session. */
const RESUME_ELSEWHERE = 'resume_elsewhere'

/** Streams all of `chunks`. Rejects only when the audio itself cannot be read; all else is in the outcome. */
export function streamAudio(
  input: StreamInput,
  listener: StreamListener,
  clock: Clock,
): Promise<StreamOutcome> {
  return new Promise((resolve, reject) => {
    new ThinClient(input, listener, clock, resolve, reject).start()
  })
}

class ThinClient {
  readonly #input: StreamInput
  readonly #listener: StreamListener
  readonly #clock: Clock
  readonly #resolve: (outcome: StreamOutcome) => void
  readonly #reject: (error: unknown) => void
  readonly #statistics = createStatistics()
  /** `null`: not asked for, or not to be had. */
  #resumption: Resumption | null
  /** Only while there is something to come back to. */
  readonly #watch: SilenceWatch
  #socket: WebSocket
  #retryTimer: Timer | null = null
  /** Wakes the pump out of whatever it waits for. */
  #wake: () => void = ignore
  /** Wakes it when there is room for more audio that is not acknowledged. */
  #makeRoom: () => void = ignore
  #endTimer: Timer | null = null
  #startedAtMs: number | null = null
  /** `sending` until the last audio, then `ending` until the close. */
  #state: 'sending' | 'ending' | 'settled' = 'sending'
  #failure: RelayFailure | null = null
  #end: ServerMessage | null = null

  constructor(
    input: StreamInput,
    listener: StreamListener,
    clock: Clock,
    resolve: (outcome: StreamOutcome) => void,
    reject: (error: unknown) => void,
  ) {
    this.#input = input
    this.#listener = listener
    this.#clock = clock
    this.#resolve = resolve
    this.#reject = reject
    this.#resumption = input.resume === undefined ? null : new Resumption(input.resume.random)
    this.#watch = new SilenceWatch(clock, {
      watchOnSilence: () => this.#socket.ping(ignore),
      watchOnLost: () => this.#socket.terminate(),
    })
    this.#socket = this.#connect(input.url)
  }

  start(): void {
    this.#input.stop?.addEventListener('abort', this.#onStop, { once: true })
    if (this.#input.stop?.aborted === true) this.#onStop()
  }

  #connect(url: string): WebSocket {
    const { token, connectTimeoutMs } = this.#input
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      handshakeTimeout: connectTimeoutMs,
      maxPayload: MAX_MESSAGE_BYTES,
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
    })
    socket.on('open', () => this.#socketOnOpen())
    socket.on('message', (data, isBinary) => this.#socketOnMessage(data, isBinary))
    for (const sign of ['message', 'ping', 'pong'] as const) socket.on(sign, () => this.#watch.heard())
    socket.on('unexpected-response', (_request, response) => this.#socketOnRefusal(socket, response))
    socket.on('error', error => this.#socketOnError(socket, error))
    socket.on('close', (code, reason) => this.#socketOnClose(socket, code, reason.toString('utf8')))
    return socket
  }

  readonly #onStop = (): void => {
    if (this.#socket.readyState === WebSocket.OPEN || this.#isAway) this.#finish()
    else
      this.#fail(
        { code: 'stopped', message: 'Stopped before the stream was open.', retryable: true },
        null,
        null,
      )
  }

  get #isAway(): boolean {
    return this.#resumption?.isAway === true
  }

  #socketOnOpen(): void {
    // The second time `Resumed` says where the audio goes on.
    if (this.#startedAtMs !== null) return this.#watch.start()
    this.#pump().catch((error: unknown) => this.#inputOnError(error))
  }

  #socketOnMessage(data: RawData, isBinary: boolean): void {
    const text = isBinary ? '' : textOf(data)
    const message = isBinary ? null : readServerMessage(text)
    // What is no message of the protocol is nothing to stop for; the relay may be of another version.
    if (message === null || this.#state === 'settled') return
    if (this.#resumption?.read(message) === false) return
    if (this.#resumption?.isPossible === true) this.#watch.start()
    else if (message.type === 'Begin' && this.#resumption !== null) this.#goOnWithoutResume()
    if (message.type === 'Ack' || message.type === 'Resumed') this.#makeRoom()
    if (message.type === 'Resumed') this.#sendAgain()
    this.#count(message)
    this.#listener.onMessage(message, text)
  }

  /** Nobody will acknowledge what is kept: without an end to it the audio would stop once that is full. */
  #goOnWithoutResume(): void {
    this.#resumption = null
    this.#makeRoom()
    this.#listener.onResumeRefused?.()
  }

  #sendAgain(): void {
    this.#statistics.reconnects += 1
    for (const chunk of this.#resumption?.resumed() ?? []) this.#socket.send(chunk, ignore)
    if (this.#state === 'ending') this.#socket.send(CLOSE_STREAM, ignore)
  }

  #socketOnRefusal(socket: WebSocket, response: IncomingMessage): void {
    const parts: Buffer[] = []
    let bytes = 0
    response.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= MAX_REFUSAL_BYTES) parts.push(part)
      else response.destroy()
    })
    response.once('close', () => {
      const status = response.statusCode ?? 0
      const body = parseJson(Buffer.concat(parts).toString('utf8'))
      const failure = typeof body === 'object' && body !== null ? readFailure({ ...body }) : null
      this.#failure = failure ?? describeRefusal(status)
      if (!this.#comeBack(this.#failure)) this.#fail(this.#failure, status, null)
      socket.terminate()
    })
  }

  #socketOnError(socket: WebSocket, error: Error): void {
    if (this.#state === 'settled' || socket !== this.#socket) return
    this.#failure ??= describeBreak(error, this.#startedAtMs !== null)
  }

  #socketOnClose(socket: WebSocket, closeCode: number, reason: string): void {
    // The one before may end after its successor began.
    if (socket !== this.#socket) return
    this.#watch.stop()
    const opened = this.#startedAtMs !== null
    const failure = this.#failure ?? describeClose(closeCode, reason)
    // Without `End` the code may be that of something between, and results may be missing.
    const end = closeCode === CLOSE_NORMAL ? this.#end : null
    if (end === null && this.#comeBack(failure)) return
    if (end !== null && this.#failure === null) this.#settle(end)
    else this.#fail(failure, null, opened ? closeCode : null)
  }

  /** Another connection, if the relay offered it and the failure is one of the connection; false: it is the end. */
  #comeBack(failure: RelayFailure): boolean {
    const resumption = this.#resumption
    if (resumption?.isPossible !== true || this.#state === 'settled') return false
    // What ended the session is an `Error` message of it; afterwards there is nothing to come back to.
    const isOfConnection = CONNECTION_FAILURES.has(failure.code) || this.#isAway
    if (!isOfConnection || !failure.retryable || failure.code === END_TIMEOUT) return false
    if (this.#retryTimer !== null) return true
    const nowMs = this.#clock.monotonicMs()
    const leastMs = failure.retryAfterMs ?? 0
    const waitMs =
      failure.code === RESUME_ELSEWHERE
        ? resumption.elsewhereWaitMs(nowMs, leastMs)
        : resumption.nextWaitMs(nowMs, leastMs)
    if (waitMs === null) return false
    this.#listener.onReconnect?.(waitMs)
    this.#retryTimer = this.#clock.setTimer(waitMs, () => {
      this.#retryTimer = null
      this.#failure = null
      this.#socket = this.#connect(resumption.urlOf(this.#input.url))
    })
    return true
  }

  #inputOnError(error: unknown): void {
    if (this.#state === 'settled') return
    this.#socket.close(CLOSE_NORMAL)
    this.#release()
    this.#reject(error)
  }

  async #pump(): Promise<void> {
    const { chunks, bytesPerSecond, speed } = this.#input
    const startedAtMs = this.#clock.monotonicMs()
    this.#startedAtMs = startedAtMs
    for await (const chunk of chunks) {
      const dueSeconds = (this.#statistics.audioBytes + chunk.length) / bytesPerSecond
      await this.#waitUntil(startedAtMs + (dueSeconds * 1000) / speed)
      if (this.#state !== 'sending') return
      const whenTaken = this.#send(chunk)
      this.#statistics.audioBytes += chunk.length
      this.#statistics.audioSeconds = dueSeconds
      this.#statistics.frames += 1
      this.#listener.onAudioSent(dueSeconds)
      if (this.#socket.bufferedAmount > MAX_BUFFERED_BYTES) await whenTaken
      while (this.#resumption?.isFull === true && this.#state === 'sending') await this.#whenRoom()
    }
    this.#finish()
  }

  /** Resolves when the kernel has the message, or the socket is gone. */
  #send(chunk: Uint8Array): Promise<void> {
    this.#resumption?.keep(chunk)
    if (this.#isAway) return Promise.resolve()
    return new Promise(resolve => {
      // An error reaches `socketOnClose` as well; here it only ends the wait.
      this.#socket.send(chunk, () => resolve())
    })
  }

  #waitUntil(dueAtMs: number): Promise<void> {
    const delayMs = dueAtMs - this.#clock.monotonicMs()
    if (!(delayMs > 0)) return Promise.resolve()
    return new Promise(resolve => {
      const timer = this.#clock.setTimer(delayMs, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  #whenRoom(): Promise<void> {
    return new Promise(resolve => {
      this.#makeRoom = resolve
    })
  }

  /** No more audio: asks for the last results. */
  #finish(): void {
    if (this.#state !== 'sending') return
    this.#state = 'ending'
    this.#wake()
    this.#makeRoom()
    if (!this.#isAway) this.#socket.send(CLOSE_STREAM, ignore)
    const { endTimeoutMs } = this.#input
    this.#endTimer = this.#clock.setTimer(endTimeoutMs, () => {
      const message = `The relay did not end the stream in ${endTimeoutMs} ms.`
      this.#failure ??= { ...LOCAL, code: END_TIMEOUT, message }
      if (this.#isAway) this.#fail(this.#failure, null, null)
      this.#socket.terminate()
    })
  }

  #count(message: ServerMessage): void {
    const { speed } = this.#input
    const sinceStartMs = this.#clock.monotonicMs() - (this.#startedAtMs ?? this.#clock.monotonicMs())
    if (message.type === 'Transcript') {
      for (const result of readResults(message)) countResult(this.#statistics, result, sinceStartMs, speed)
    } else if (message.type === 'Warning') this.#statistics.warnings += 1
    else if (message.type === 'Rollover') this.#statistics.rollovers += 1
    else if (message.type === 'End') this.#end = message
    else if (message.type === 'Error') this.#failure = readFailure(message)
  }

  #settle(end: ServerMessage): void {
    if (this.#state === 'settled') return
    this.#release()
    this.#resolve({ kind: 'done', statistics: this.#statistics, end })
  }

  #fail(
    failure: Pick<RelayFailure, 'code' | 'message' | 'retryable'> & Partial<RelayFailure>,
    httpStatus: number | null,
    closeCode: number | null,
  ): void {
    if (this.#state === 'settled') return
    this.#release()
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#socket.terminate()
    const whole = { ...LOCAL, ...failure }
    this.#resolve({ kind: 'failed', statistics: this.#statistics, failure: whole, httpStatus, closeCode })
  }

  #release(): void {
    this.#state = 'settled'
    this.#endTimer?.cancel()
    this.#retryTimer?.cancel()
    this.#watch.stop()
    this.#input.stop?.removeEventListener('abort', this.#onStop)
    this.#wake()
    this.#makeRoom()
  }
}

function textOf(data: RawData): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString('utf8')
  return (Buffer.isBuffer(data) ? data : Buffer.from(data)).toString('utf8')
}

function ignore(): void {
  // A send that fails is followed by the close of the socket, which is where it is handled.
}
