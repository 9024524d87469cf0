/**
 * One stream: audio in, results out, and every rule under which the service ends it.
 *
 *     streaming ──empty frame──▶ finishing ──last result──▶ closing ──▶ closed
 *         └──────── exception, fault or the client's end ──────┘
 *
 * The stream knows neither HTTP nor how WebSockets work; `StreamSocket` is what it needs of one.
 */
import type { Clock, Timer } from '../clock.ts'
import type { StreamParameters } from '../transcribe/parameters.ts'
import { AudioEventReader } from './audio-events.ts'
import type { Engine, EngineFactory, EngineListener } from './engine.ts'
import { exceptions, type StreamException } from './exceptions.ts'
import { performFault } from './fault-actions.ts'
import type { ConnectionFaults, TimedFault } from './fault-script.ts'
import { exceptionMessage, transcriptEvent } from './messages.ts'
import type { QuotaHolder } from './quotas.ts'
import { ResultOutbox, type OutboxListener } from './result-outbox.ts'
import type { CloseCause, StreamLedger } from './stream-record.ts'
import type { StreamSocket, StreamSocketListener } from './stream-socket.ts'
import type { WireResult } from './wire-results.ts'

export interface StreamSettings {
  readonly clock: Clock
  readonly engine: EngineFactory
  readonly idleTimeoutMs: number
  readonly maxStreamMs: number
  readonly maxChunkMs: number
  readonly latencyMs: number
  readonly stallHoldMs: number
}

export interface StreamListener {
  streamOnAudio(): void
  /** Once: the record is complete. */
  streamOnEnd(): void
}

/** Reason of the Close frame after a stream that ended well, as the real service writes it. */
const COMPLETED_REASON = 'Streaming completed successfully'
const NORMAL_CLOSE = 1000

export class Stream implements EngineListener, OutboxListener, QuotaHolder, StreamSocketListener {
  readonly #socket: StreamSocket
  readonly #settings: StreamSettings
  readonly #ledger: StreamLedger
  readonly #listener: StreamListener
  readonly #reader: AudioEventReader
  readonly #outbox: ResultOutbox
  readonly #faults: TimedFault[]
  readonly #parameters: StreamParameters
  #engine: Engine | null = null
  #state: 'streaming' | 'finishing' | 'closing' | 'closed' = 'streaming'
  #isMute = false
  #lastAudioMs: number
  #idleTimer: Timer | null = null
  #ageTimer: Timer | null = null
  /** Set once the stream has stopped reading. */
  #holdTimer: Timer | null = null

  constructor(
    socket: StreamSocket,
    settings: StreamSettings,
    parameters: StreamParameters,
    faults: ConnectionFaults,
    ledger: StreamLedger,
    listener: StreamListener,
  ) {
    this.#socket = socket
    this.#settings = settings
    this.#ledger = ledger
    this.#listener = listener
    this.#faults = [...faults.timed]
    this.#reader = new AudioEventReader(parameters, settings.maxChunkMs)
    this.#outbox = new ResultOutbox(settings.clock, settings.latencyMs, faults.delivery, this)
    this.#lastAudioMs = settings.clock.monotonicMs()
    this.#parameters = parameters
  }

  get accessKeyId(): string {
    return this.#ledger.accessKeyId
  }

  get sessionId(): string {
    return this.#ledger.sessionId
  }

  /** To be called once, when the handshake is out and the quotas let the stream in. */
  start(): void {
    const { clock, engine, idleTimeoutMs, maxStreamMs } = this.#settings
    this.#engine = engine.open({ parameters: this.#parameters, streamId: this.#ledger.requestId }, this)
    this.#idleTimer = clock.setTimer(idleTimeoutMs, () => this.#idleTimerOnFire())
    this.#ageTimer = clock.setTimer(maxStreamMs, () => this.endWith(exceptions.maxDuration(maxStreamMs)))
    this.#performDueFaults()
  }

  socketOnBinary(message: Uint8Array): void {
    if (this.#state !== 'streaming') {
      if (this.#state === 'finishing') this.endWith(exceptions.audioAfterEnd())
      return
    }
    const verdict = this.#reader.read(message)
    switch (verdict.kind) {
      case 'exception':
        this.endWith(verdict.exception)
        return
      case 'end':
        this.#finish()
        return
      default:
        this.#hear(verdict.audio)
    }
  }

  socketOnText(): void {
    if (this.#state === 'streaming' || this.#state === 'finishing') this.endWith(exceptions.unexpectedFrame())
  }

  socketOnEnd(): void {
    if (this.#state === 'streaming') this.#finish()
  }

  socketOnViolation(exception: StreamException): void {
    this.endWith(exception)
  }

  socketOnClose(closeCode: number): void {
    if (this.#state === 'closed') return
    this.#letGo('client_closed')
    this.#state = 'closed'
    this.#ledger.closeCode = closeCode
    this.#ledger.closedAtMs = this.#settings.clock.now()
    this.#listener.streamOnEnd()
  }

  /** Sends an exception and closes. The real service's close code is not documented; it is 1000 here. */
  endWith(exception: StreamException, closeCode = NORMAL_CLOSE): void {
    if (this.#state !== 'streaming' && this.#state !== 'finishing') return
    this.#ledger.exception = exception.name
    this.#letGo('exception')
    if (!this.#isMute) this.#socket.sendBinary(exceptionMessage(exception))
    this.#socket.close(closeCode, '')
  }

  displace(): void {
    this.endWith(exceptions.sameSession())
  }

  /** The emulator is being closed. */
  shutDown(): void {
    this.#letGo('shutdown')
    this.#socket.terminate()
  }

  engineOnResults(results: readonly WireResult[]): void {
    this.#outbox.put(results)
  }

  engineOnEnd(): void {
    this.#outbox.finish()
  }

  engineOnFailure(exception: StreamException): void {
    this.endWith(exception)
  }

  outboxOnResults(results: readonly WireResult[]): void {
    if (this.#isMute) return
    for (const result of results) {
      if (result.IsPartial) this.#ledger.partialResults++
      else this.#ledger.finalResults++
    }
    this.#socket.sendBinary(transcriptEvent(results))
  }

  outboxOnDrop(): void {
    this.#letGo('fault')
    this.#socket.reset()
  }

  outboxOnFinish(): void {
    if (this.#isMute) return
    this.#letGo('completed')
    this.#socket.close(NORMAL_CLOSE, COMPLETED_REASON)
  }

  #hear(audio: Uint8Array): void {
    this.#lastAudioMs = this.#settings.clock.monotonicMs()
    this.#ledger.addAudio(audio)
    this.#engine?.write(audio)
    this.#listener.streamOnAudio()
    this.#performDueFaults()
  }

  #finish(): void {
    this.#state = 'finishing'
    this.#ledger.isEnded = true
    this.#idleTimer?.cancel()
    this.#listener.streamOnAudio()
    this.#engine?.end()
  }

  #performDueFaults(): void {
    for (let next = this.#faults[0]; next !== undefined; next = this.#faults[0]) {
      if (next.atSeconds > this.#ledger.audioSeconds || this.#state !== 'streaming') return
      this.#faults.shift()
      this.#perform(next)
    }
  }

  #perform(fault: TimedFault): void {
    switch (fault.do) {
      case 'mute':
        this.#isMute = true
        return
      case 'stopReading':
        this.#isMute = true
        this.#idleTimer?.cancel()
        this.#socket.pause()
        // Nothing is read any more, so a client that leaves is not noticed.
        this.#holdTimer = this.#settings.clock.setTimer(this.#settings.stallHoldMs, () => {
          this.#letGo('fault')
          this.#socket.reset()
        })
        return
      default: {
        const outcome = performFault(fault, this.#socket)
        if (outcome.kind === 'exception') this.endWith(outcome.exception, outcome.closeCode)
        else if (outcome.kind === 'ended') this.#letGo('fault')
      }
    }
  }

  /** One timer for the whole stream, set anew only when it fires: audio comes ten times a second. */
  #idleTimerOnFire(): void {
    const { clock, idleTimeoutMs } = this.#settings
    const leftMs = this.#lastAudioMs + idleTimeoutMs - clock.monotonicMs()
    if (leftMs <= 0) this.endWith(exceptions.idle(idleTimeoutMs))
    else this.#idleTimer = clock.setTimer(leftMs, () => this.#idleTimerOnFire())
  }

  /** Stops everything that could still act; the first cause stays. */
  #letGo(cause: CloseCause): void {
    if (this.#state === 'closed' || this.#state === 'closing') return
    this.#state = 'closing'
    this.#ledger.closeCause = cause
    this.#idleTimer?.cancel()
    this.#ageTimer?.cancel()
    this.#holdTimer?.cancel()
    this.#outbox.close()
    this.#engine?.close()
  }
}
