/**
 * The emulator: an HTTP server whose only page is Amazon Transcribe's streaming WebSocket.
 *
 * A request goes through faults, the handshake (path, signature, parameters), `101`, the quotas, and then belongs to a
 * `Stream`. Everything that was opened is known here, so that `close` leaves nothing behind.
 */
import { randomUUID } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { WebSocketServer, type RawData, type WebSocket } from 'ws'
import type { Timer } from '../clock.ts'
import { MAX_MESSAGE_BYTES } from '../eventstream/index.ts'
import { createScriptedEngine } from './engines/scripted.ts'
import type { HandshakeRefusal, StreamException } from './exceptions.ts'
import { FaultScript, type ConnectionFaults, type HandshakeFault } from './fault-script.ts'
import { parseFaultScript, type FaultScriptInput } from './faults.ts'
import { judgeHandshake, type HandshakeVerdict } from './handshake.ts'
import { refusalAnswer, writeAnswer } from './http-answer.ts'
import { exceptionMessage } from './messages.ts'
import { resolveOptions, type EmulatorOptions, type ResolvedOptions } from './options.ts'
import { Quotas } from './quotas.ts'
import { expiredToken } from './signature.ts'
import { Stream } from './stream.ts'
import { StreamLog } from './stream-log.ts'
import { StreamLedger, type StreamRecord } from './stream-record.ts'
import { resetTcp, WsStreamSocket } from './stream-socket.ts'

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
}

/** A local Amazon Transcribe streaming service. */
export interface Emulator {
  readonly events: EventEmitter<EmulatorEvents>
  /** Records of the live streams and of the last finished ones, oldest first. */
  readonly streams: readonly StreamRecord[]
  /** Requests at the server that asked for an upgrade; fault scripts count by it. */
  readonly connectionCount: number
  start(): Promise<EmulatorAddress>
  /** Ends every connection at once and frees the port. */
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

/** One upgrade request on its way to a stream. */
interface Arrival {
  readonly connection: number
  readonly request: IncomingMessage
  readonly stream: Duplex
  readonly head: Buffer
  readonly faults: ConnectionFaults
  readonly requestId: string
  /** Wall clock that this connection is shown. */
  readonly nowMs: number
}

type Acceptance = Extract<HandshakeVerdict, { kind: 'accepted' }>

class TranscribeEmulator implements Emulator {
  readonly events = new EventEmitter<EmulatorEvents>()
  readonly #options: ResolvedOptions
  readonly #server: Server
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MAX_MESSAGE_BYTES,
    clientTracking: false,
  })
  readonly #quotas: Quotas
  readonly #log: StreamLog
  readonly #tcpSockets = new Set<Socket>()
  readonly #liveStreams = new Set<Stream>()
  readonly #slowHandshakes = new Set<Timer>()
  /** Headers of the `101` under way. */
  readonly #extraHeaders = new WeakMap<IncomingMessage, readonly string[]>()
  #faults: FaultScript
  #connectionCount = 0

  constructor(options: ResolvedOptions) {
    this.#options = options
    this.#quotas = new Quotas(options)
    this.#log = new StreamLog(options.keepStreams)
    this.#faults = new FaultScript(parseFaultScript(options.faults))
    this.#server = options.tls === null ? createServer() : createTlsServer({ ...options.tls })
    this.#server.on('connection', socket => this.#serverOnConnection(socket))
    this.#server.on('request', (request, response) => this.#serverOnRequest(request, response))
    this.#server.on('upgrade', (request, stream, head) => this.#serverOnUpgrade(request, stream, head))
    this.#webSockets.on('headers', (headers, request) => {
      headers.push(...(this.#extraHeaders.get(request) ?? []))
    })
  }

  get streams(): readonly StreamRecord[] {
    return this.#log.all()
  }

  get connectionCount(): number {
    return this.#connectionCount
  }

  start(): Promise<EmulatorAddress> {
    const { host, port, tls } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject)
        const address = this.#server.address() as AddressInfo
        const name = host.includes(':') ? `[${host}]` : host
        resolve({ url: `${tls === null ? 'ws' : 'wss'}://${name}:${address.port}`, port: address.port })
      })
    })
  }

  close(): Promise<void> {
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const timer of this.#slowHandshakes) timer.cancel()
    for (const stream of this.#liveStreams) stream.shutDown()
    for (const socket of this.#tcpSockets) socket.destroy()
    this.#log.close()
    return closed
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

  #serverOnConnection(socket: Socket): void {
    this.#tcpSockets.add(socket)
    socket.once('close', () => this.#tcpSockets.delete(socket))
  }

  #serverOnRequest(_request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(426, { 'Content-Type': 'application/json', Upgrade: 'websocket', Connection: 'close' })
    response.end(JSON.stringify({ message: 'This service speaks WebSocket only.' }))
  }

  #serverOnUpgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    // Until `ws` takes over, nobody else listens for the errors of this socket; its end is all that matters.
    stream.on('error', () => stream.destroy())
    const connection = ++this.#connectionCount
    const faults = this.#faults.faultsOf(connection)
    const skewMs = sum(faults.handshake.map(fault => (fault.do === 'clockSkew' ? fault.skewMs : 0)))
    const nowMs = this.#options.clock.now() + skewMs
    const arrival = { connection, request, stream, head, faults, requestId: randomUUID(), nowMs }
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
      case 'slowHandshake': {
        const timer = this.#options.clock.setTimer(fault.delayMs, () => {
          this.#slowHandshakes.delete(timer)
          if (!arrival.stream.destroyed) this.#performHandshakeFaults(arrival, rest)
        })
        this.#slowHandshakes.add(timer)
        return
      }
      case 'stallHandshake':
        this.#note('handshake_stalled', arrival, {})
        return
      case 'refuse':
        this.#note('connection_refused', arrival, {})
        resetTcp(arrival.stream, this.#tcpSocketOf(arrival))
        return
      case 'expiredToken':
        this.#refuse(arrival, expiredToken())
        return
      default:
        this.#report(arrival, fault.status, 'fault')
        writeAnswer(arrival.stream, fault, arrival.requestId, arrival.nowMs)
    }
  }

  #judge(arrival: Arrival): void {
    const { region, accounts, badParameters } = this.#options
    const verdict = judgeHandshake({
      url: arrival.request.url ?? '',
      host: arrival.request.headers.host ?? '',
      region,
      accounts,
      nowMs: arrival.nowMs,
      badParameters,
      newSessionId: randomUUID(),
    })
    if (verdict.kind === 'refused') this.#refuse(arrival, verdict.refusal)
    else this.#accept(arrival, verdict)
  }

  #refuse(arrival: Arrival, refusal: HandshakeRefusal): void {
    this.#report(arrival, refusal.status, refusal.name)
    writeAnswer(arrival.stream, refusalAnswer(refusal), arrival.requestId, arrival.nowMs)
  }

  #accept(arrival: Arrival, acceptance: Acceptance): void {
    const { request, stream, head } = arrival
    const scheme = this.#options.tls === null ? 'ws' : 'wss'
    this.#extraHeaders.set(request, [
      `Date: ${new Date(arrival.nowMs).toUTCString()}`,
      `x-amzn-RequestId: ${arrival.requestId}`,
      `websocket-origin: ${request.headers.origin ?? ''}`,
      `websocket-location: ${scheme}://${request.headers.host ?? ''}${acceptance.location}`,
      ...(scheme === 'wss' ? ['Strict-Transport-Security: max-age=31536000'] : []),
    ])
    this.#webSockets.handleUpgrade(request, stream, head, webSocket => {
      this.#open(arrival, acceptance, webSocket)
    })
  }

  #open(arrival: Arrival, acceptance: Acceptance, webSocket: WebSocket): void {
    // An error (a frame that breaks RFC 6455, a reset) is always followed by 'close', which is where a stream ends.
    webSocket.on('error', () => undefined)
    const ledger = this.#openLedger(arrival, acceptance)
    this.#note('stream_opened', arrival, { stream: ledger.number, session_id: ledger.sessionId })
    if ('name' in acceptance.stream) {
      this.#refuseInStream(webSocket, ledger, acceptance.stream)
      return
    }
    const socket = new WsStreamSocket(webSocket, arrival.stream, this.#tcpSocketOf(arrival))
    const stream = new Stream(socket, this.#options, acceptance.stream, arrival.faults, ledger, {
      streamOnAudio: () => this.#log.changed(ledger),
      streamOnEnd: () => {
        this.#quotas.leave(stream)
        this.#liveStreams.delete(stream)
        this.#finish(ledger)
      },
    })
    this.#liveStreams.add(stream)
    webSocket.on('message', (data, isBinary) => {
      if (isBinary) stream.socketOnBinary(data as RawData & Buffer)
      else stream.socketOnText()
    })
    webSocket.on('close', code => stream.socketOnClose(code))
    const exception = this.#quotas.enter(stream, this.#options.clock.monotonicMs())
    if (exception === null) stream.start()
    else stream.endWith(exception)
  }

  #openLedger(arrival: Arrival, { account, sessionId, query, stream }: Acceptance): StreamLedger {
    const ledger = new StreamLedger({
      number: this.#log.nextNumber(),
      connection: arrival.connection,
      sessionId,
      requestId: arrival.requestId,
      accessKeyId: account.accessKeyId,
      host: arrival.request.headers.host ?? '',
      origin: arrival.request.headers.origin ?? null,
      parameters: query,
      openedAtMs: this.#options.clock.now(),
      bytesPerSecond: !('name' in stream) && stream.isPcm ? stream.bytesPerSecond : 0,
      keepAudioBytes: this.#options.keepAudioBytes,
    })
    this.#log.add(ledger)
    this.events.emit('stream', ledger)
    return ledger
  }

  /** Parameters that mean no stream: there is nothing but the exception. */
  #refuseInStream(webSocket: WebSocket, ledger: StreamLedger, exception: StreamException): void {
    ledger.closeCause = 'exception'
    ledger.exception = exception.name
    webSocket.on('close', code => {
      ledger.closeCode = code
      ledger.closedAtMs = this.#options.clock.now()
      this.#finish(ledger)
    })
    webSocket.send(exceptionMessage(exception))
    webSocket.close(1000)
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

  /** Under TLS the request only knows the TLS socket; both have the same far end. */
  #tcpSocketOf({ request }: Arrival): Socket {
    const { remoteAddress, remotePort } = request.socket
    for (const socket of this.#tcpSockets) {
      if (socket.remotePort === remotePort && socket.remoteAddress === remoteAddress) return socket
    }
    return request.socket
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
