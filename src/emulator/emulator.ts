/**
 * The emulator: Amazon Transcribe's streaming WebSocket, and on a port of its own the same service over HTTP/2.
 *
 * A request goes through faults, the judgement (path, signature, parameters), the handshake, the quotas, and then belongs
 * to a `Stream`. Everything that was opened is known here, so that `close` leaves nothing behind.
 */
import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { Timer } from '../clock.ts'
import type { Acceptance, Door } from './door.ts'
import { createScriptedEngine } from './engines/scripted.ts'
import type { HandshakeRefusal, StreamException } from './exceptions.ts'
import { FaultScript, type ConnectionFaults, type HandshakeFault } from './fault-script.ts'
import { parseFaultScript, type FaultScriptInput } from './faults.ts'
import { refusalAnswer } from './http-answer.ts'
import { Http2Listener } from './http2/http2-listener.ts'
import { exceptionMessage } from './messages.ts'
import { resolveOptions, type EmulatorOptions, type ResolvedOptions } from './options.ts'
import { Quotas } from './quotas.ts'
import { expiredToken } from './signature-rules.ts'
import { Stream } from './stream.ts'
import { StreamLog } from './stream-log.ts'
import { StreamLedger, type StreamRecord } from './stream-record.ts'
import type { StreamSocket, StreamSocketListener } from './stream-socket.ts'
import { WebSocketListener } from './web-socket-listener.ts'

export interface EmulatorEvents {
  /** A handshake was answered with an HTTP status; `name` is the `x-amzn-ErrorType`, or the fault. */
  refused: [refusal: { readonly connection: number; readonly status: number; readonly name: string }]
  /** A handshake was completed. */
  stream: [record: StreamRecord]
  end: [record: StreamRecord]
}

export interface EmulatorAddress {
  /** `ws://host:port` or `wss://host:port`, without a path. */
  readonly url: string
  readonly port: number
  /** `http://host:port` or `https://host:port` of the HTTP/2 side; `null` without it. */
  readonly http2Url: string | null
  readonly http2Port: number | null
}

/** A local Amazon Transcribe streaming service. */
export interface Emulator {
  readonly events: EventEmitter<EmulatorEvents>
  /** Records of the live streams and of the last finished ones, oldest first. */
  readonly streams: readonly StreamRecord[]
  /** Requests that asked for an upgrade or came by HTTP/2; fault scripts count by it. */
  readonly connectionCount: number
  start(): Promise<EmulatorAddress>
  /** Ends every connection at once and frees the ports. */
  close(): Promise<void>
  /** The oldest stream that this did not return before, or the next one to come. */
  nextStream(): Promise<StreamRecord>
  /** The first stream that matches now, or when it gets audio, ends its audio or is closed. */
  waitForStream(matches: (record: StreamRecord) => boolean): Promise<StreamRecord>
  /**
   * Replaces the faults for the connections to come, which keep their count. Throws `FaultScriptError` and changes
   * nothing when the script breaks a rule.
   */
  setFaults(script: FaultScriptInput): void
}

/** Throws `RangeError` for an option and `FaultScriptError` for a fault script that breaks its rule. */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  return new TranscribeEmulator(resolveOptions(options, createScriptedEngine()))
}

/** One request on its way to a stream. */
interface Arrival {
  readonly connection: number
  readonly door: Door
  /** Where streams of this transport are counted: the service lists a quota for each. */
  readonly quotas: Quotas
  readonly faults: ConnectionFaults
  readonly requestId: string
  /** Wall clock that this connection is shown. */
  readonly nowMs: number
}

class TranscribeEmulator implements Emulator {
  readonly events = new EventEmitter<EmulatorEvents>()
  readonly #options: ResolvedOptions
  readonly #webSockets: WebSocketListener
  readonly #http2: Http2Listener | null
  readonly #log: StreamLog
  readonly #liveStreams = new Set<Stream>()
  readonly #handshakeTimers = new Set<Timer>()
  #faults: FaultScript
  #connectionCount = 0

  constructor(options: ResolvedOptions) {
    this.#options = options
    this.#log = new StreamLog(options.keepStreams)
    this.#faults = new FaultScript(parseFaultScript(options.faults))
    const quotas = new Quotas(options)
    this.#webSockets = new WebSocketListener(options, door => this.#listenerOnRequest(door, quotas))
    const http2Quotas = new Quotas(options)
    this.#http2 =
      options.http2 === null
        ? null
        : new Http2Listener(options, door => this.#listenerOnRequest(door, http2Quotas))
  }

  get streams(): readonly StreamRecord[] {
    return this.#log.all()
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  async start(): Promise<EmulatorAddress> {
    const { host, http2, port: wantedPort, tls } = this.#options
    const name = host.includes(':') ? `[${host}]` : host
    const secure = tls === null ? '' : 's'
    const port = await this.#webSockets.listen(host, wantedPort)
    const http2Port = await this.#listenHttp2(host, http2?.port ?? 0)
    return {
      url: `ws${secure}://${name}:${port}`,
      port,
      http2Url: http2Port === null ? null : `http${secure}://${name}:${http2Port}`,
      http2Port,
    }
  }

  async close(): Promise<void> {
    for (const timer of this.#handshakeTimers) timer.cancel()
    for (const stream of this.#liveStreams) stream.shutDown()
    this.#log.close()
    await Promise.all([this.#webSockets.close(), this.#http2?.close()])
  }

  nextStream(): Promise<StreamRecord> {
    return this.#log.next()
  }

  waitForStream(matches: (record: StreamRecord) => boolean): Promise<StreamRecord> {
    return this.#log.waitFor(matches)
  }

  setFaults(script: FaultScriptInput): void {
    this.#faults = new FaultScript(parseFaultScript(script))
  }

  async #listenHttp2(host: string, port: number): Promise<number | null> {
    if (this.#http2 === null) return null
    try {
      return await this.#http2.listen(host, port)
    } catch (error) {
      await this.#webSockets.close()
      throw error
    }
  }

  #listenerOnRequest(door: Door, quotas: Quotas): void {
    const connection = ++this.#connectionCount
    const faults = this.#faults.faultsOf(connection)
    const skewMs = sum(faults.handshake.map(fault => (fault.do === 'clockSkew' ? fault.skewMs : 0)))
    const nowMs = this.#options.clock.now() + skewMs
    const arrival = { connection, door, quotas, faults, requestId: randomUUID(), nowMs }
    this.#performHandshakeFaults(arrival, [...faults.handshake])
  }

  #performHandshakeFaults(arrival: Arrival, faults: readonly HandshakeFault[]): void {
    const [fault, ...rest] = faults
    if (fault === undefined) {
      this.#judge(arrival)
      return
    }
    switch (fault.do) {
      case 'clockSkew':
        this.#performHandshakeFaults(arrival, rest)
        return
      case 'slowHandshake':
        this.#performLater(fault.delayMs, () => {
          if (!arrival.door.isGone) this.#performHandshakeFaults(arrival, rest)
        })
        return
      case 'stallHandshake':
        this.#note('handshake_stalled', arrival, {})
        // Nothing is read while it stalls, so a client that leaves is not noticed.
        this.#performLater(this.#options.stallHoldMs, () => arrival.door.reset())
        return
      case 'refuse':
        this.#note('connection_refused', arrival, {})
        arrival.door.reset()
        return
      case 'expiredToken':
        this.#refuse(arrival, expiredToken())
        return
      default:
        this.#report(arrival, fault.status, 'fault')
        arrival.door.answer(fault, arrival)
    }
  }

  #performLater(delayMs: number, action: () => void): void {
    const timer = this.#options.clock.setTimer(delayMs, () => {
      this.#handshakeTimers.delete(timer)
      action()
    })
    this.#handshakeTimers.add(timer)
  }

  #judge(arrival: Arrival): void {
    const verdict = arrival.door.judge(arrival.nowMs)
    if (verdict.kind === 'refused') this.#refuse(arrival, verdict.refusal)
    else arrival.door.accept(verdict, arrival, socket => this.#open(arrival, verdict, socket))
  }

  #refuse(arrival: Arrival, refusal: HandshakeRefusal): void {
    this.#report(arrival, refusal.status, refusal.name)
    arrival.door.answer(refusalAnswer(refusal), arrival)
  }

  #open(arrival: Arrival, acceptance: Acceptance, socket: StreamSocket): StreamSocketListener {
    const ledger = this.#openLedger(arrival, acceptance)
    this.#note('stream_opened', arrival, { stream: ledger.number, session_id: ledger.sessionId })
    if ('name' in acceptance.stream) return this.#refuseInStream(socket, ledger, acceptance.stream)
    const stream = new Stream(socket, this.#options, acceptance.stream, arrival.faults, ledger, {
      streamOnAudio: () => this.#log.changed(ledger),
      streamOnEnd: () => {
        arrival.quotas.leave(stream)
        this.#liveStreams.delete(stream)
        this.#finish(ledger)
      },
    })
    this.#liveStreams.add(stream)
    const exception = arrival.quotas.enter(stream, this.#options.clock.monotonicMs())
    if (exception === null) stream.start()
    else stream.endWith(exception)
    return stream
  }

  #openLedger(arrival: Arrival, { account, sessionId, query, stream }: Acceptance): StreamLedger {
    const ledger = new StreamLedger({
      number: this.#log.nextNumber(),
      connection: arrival.connection,
      sessionId,
      requestId: arrival.requestId,
      accessKeyId: account.accessKeyId,
      host: arrival.door.host,
      origin: arrival.door.origin,
      parameters: query,
      openedAtMs: this.#options.clock.now(),
      bytesPerSecond: !('name' in stream) && stream.isPcm ? stream.bytesPerSecond : 0,
      keepAudioBytes: this.#options.keepAudioBytes,
    })
    this.#log.add(ledger)
    this.events.emit('stream', ledger)
    return ledger
  }

  /** Parameters that mean no stream: there is nothing but the exception, whatever else comes. */
  #refuseInStream(
    socket: StreamSocket,
    ledger: StreamLedger,
    exception: StreamException,
  ): StreamSocketListener {
    ledger.closeCause = 'exception'
    ledger.exception = exception.name
    socket.sendBinary(exceptionMessage(exception))
    socket.close(1000, '')
    return {
      socketOnBinary: ignore,
      socketOnText: ignore,
      socketOnEnd: ignore,
      socketOnViolation: ignore,
      socketOnClose: code => {
        ledger.closeCode = code
        ledger.closedAtMs = this.#options.clock.now()
        this.#finish(ledger)
      },
    }
  }

  #finish(ledger: StreamLedger): void {
    this.#options.log.write('stream_ended', {
      stream: ledger.number,
      session_id: ledger.sessionId,
      cause: ledger.closeCause,
      exception: ledger.exception,
      close_code: ledger.closeCode,
      frames: ledger.frames,
      audio_bytes: ledger.audioBytes,
      partial_results: ledger.partialResults,
      final_results: ledger.finalResults,
    })
    this.#log.finished(ledger)
    this.events.emit('end', ledger)
  }

  #report(arrival: Arrival, status: number, name: string): void {
    this.#note('handshake_refused', arrival, { status, name })
    this.events.emit('refused', { connection: arrival.connection, status, name })
  }

  #note(event: string, arrival: Arrival, fields: Readonly<Record<string, string | number>>): void {
    const { connection, requestId } = arrival
    this.#options.log.write(event, { connection, request_id: requestId, ...fields })
  }
}

function ignore(): void {
  // Nothing can change any more.
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
