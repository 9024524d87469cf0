/**
 * One stream at Amazon Transcribe, from the dial to its end: connection, timeline, reader, figures. A session has one
 * after another.
 *
 * It tells its owner three things: that it is open, that it ended (once), and that the relay has a bug. After `retire`
 * or `cut` it tells nothing more, whoever calls it: that is how late callbacks of an old stream are left out.
 */
import { RelayError } from '../errors.ts'
import { AUDIO_OVERHEAD_BYTES, encodeEndOfStream } from '../eventstream/audio-event.ts'
import { roundMs } from '../protocol/server-messages.ts'
import type {
  Dial,
  DialRequest,
  SessionMetrics,
  SessionTrace,
  UpstreamDialer,
  UpstreamEnd,
  UpstreamListener,
  UpstreamOpening,
  UpstreamPort,
} from './ports.ts'
import type { StreamResults, ResultForwarder } from './result-forwarder.ts'
import { StallWatch } from './stall-watch.ts'
import { StreamTimeline } from './stream-timeline.ts'
import { UpstreamReader } from './upstream-reader.ts'

export interface StreamOwner {
  streamOnOpen(stream: UpstreamStream, opening: UpstreamOpening): void
  /** `null`: it closed well after its end was asked for. Else what ended it, or why it never opened. */
  streamOnEnd(stream: UpstreamStream, error: RelayError | null): void
  streamOnBug(error: unknown): void
}

export interface StreamPorts {
  readonly owner: StreamOwner
  readonly dialer: UpstreamDialer
  readonly metrics: SessionMetrics
  readonly forwarder: ResultForwarder
  readonly stallMs: number
  readonly trace: SessionTrace | null
  nowMs(): number
}

/** The service bills each stream for at least this long. */
const MIN_BILLED_SECONDS = 15
const NORMAL_CLOSE = 1000
/** Reason of the Close frame after a stream that ended well, as the service has been seen to write it. */
const COMPLETED_REASON = 'Streaming completed successfully'

export class UpstreamStream implements UpstreamListener {
  /** 1 for the first of the session. */
  readonly number: number
  readonly #ports: StreamPorts
  readonly #results: StreamResults
  readonly #reader: UpstreamReader
  readonly #stall: StallWatch
  readonly #dial: Dial
  #port: UpstreamPort | null = null
  #openedMs: number | null = null
  #sentBytes = 0
  #sentFrames = 0
  #endIsSent = false
  #isOver = false
  #isConfirmed = false
  #opening: UpstreamOpening | null = null

  constructor(number: number, request: DialRequest, ports: StreamPorts) {
    this.number = number
    this.#ports = ports
    this.#results = { timeline: new StreamTimeline(), heard: null }
    this.#reader = new UpstreamReader(ports.forwarder, this.#results, ports.metrics)
    this.#stall = new StallWatch(ports.stallMs)
    ports.trace?.streamOnDial(number, request)
    this.#dial = ports.dialer.dial(request, this)
  }

  get timeline(): StreamTimeline {
    return this.#results.timeline
  }

  /** AudioEvents sent, the empty one included. */
  get sentFrames(): number {
    return this.#sentFrames
  }

  /** `null`: not open yet. */
  get region(): string | null {
    return this.#opening?.region ?? null
  }

  /** Connections that were tried for it. */
  get attempts(): number {
    return this.#opening?.attempts ?? 0
  }

  /** Another region can take the session. */
  get hasAlternative(): boolean {
    return this.#opening?.hasAlternative === true
  }

  /** The service said in words that it is done, and did not merely close. */
  get isConfirmed(): boolean {
    return this.#isConfirmed
  }

  /** The service works in real time: audio that was sent ahead of it takes that much longer. */
  aheadMs(nowMs: number): number {
    return this.timeline.upstreamSeconds * 1000 - this.livedMs(nowMs)
  }

  livedMs(nowMs: number): number {
    return this.#openedMs === null ? 0 : nowMs - this.#openedMs
  }

  get bufferedBytes(): number {
    return this.#port?.bufferedBytes() ?? 0
  }

  /** What Amazon bills for this stream. `resultSeconds`: of compressed audio only the results tell how long it was. */
  billedSeconds(resultSeconds: number): number {
    if (this.#openedMs === null) return 0
    // Rounded first: a sum of 200 tenths is a little more than 20.
    const wholeSeconds = Math.ceil(roundMs(Math.max(this.timeline.upstreamSeconds, resultSeconds)))
    return Math.max(MIN_BILLED_SECONDS, wholeSeconds)
  }

  /** The first audio comes from here in the client's audio; `heard` is what the client has results of. */
  startAt(clientSeconds: number, heard: ReadonlyMap<string, number> | null): void {
    this.timeline.startAt(clientSeconds)
    this.#results.heard = heard
  }

  send(frame: Buffer): void {
    const { metrics } = this.#ports
    this.#sentFrames += 1
    this.#sentBytes += frame.length
    metrics.upstreamFrames += 1
    metrics.upstreamAudioBytes += frame.length - AUDIO_OVERHEAD_BYTES
    this.#port?.send(frame)
  }

  /** No more audio; the service sends its last results and closes. */
  end(): void {
    if (this.#endIsSent) return
    this.#endIsSent = true
    if (!this.#isOver) this.#ports.trace?.streamOnFlush(this.number)
    this.send(encodeEndOfStream())
  }

  /** `bufferedBytes`: as of now. */
  isStalled(bufferedBytes: number, nowMs: number): boolean {
    return this.#stall.isStalled(this.#sentBytes, bufferedBytes, nowMs)
  }

  /** Gives the stream up politely: it hears that the audio is over and gets a Close frame; a dial is hung up. */
  retire(): void {
    if (this.#isOver) return
    this.#over()
    if (this.#port === null) return this.#dial.cancel()
    this.end()
    this.#port.close()
  }

  /** Gives the stream up at once: it would not read a Close frame either. */
  cut(): void {
    if (this.#isOver) return
    this.#over()
    if (this.#port === null) this.#dial.cancel()
    else this.#port.terminate()
  }

  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void {
    if (this.#isOver || this.#port !== null) return upstream.terminate()
    const { metrics, owner } = this.#ports
    this.#port = upstream
    this.#opening = opening
    this.#openedMs = this.#ports.nowMs()
    metrics.upstreamStreamsActive += 1
    metrics.observeUpstreamConnectSeconds(opening.connectMs / 1000)
    this.#ports.trace?.streamOnOpen(this.number, opening)
    owner.streamOnOpen(this, opening)
  }

  upstreamOnMessage(bytes: Uint8Array): void {
    if (this.#isOver || this.#port === null) return
    const { owner } = this.#ports
    try {
      const error = this.#reader.read(bytes, this.#ports.nowMs())
      // The client may have been closed in the middle of it.
      if (error === null || this.#hasEndedMeanwhile()) return
      this.retire()
      owner.streamOnEnd(this, error)
    } catch (error) {
      owner.streamOnBug(error)
    }
  }

  upstreamOnClose({ closeCode, reason, error }: UpstreamEnd): void {
    if (this.#isOver) return
    this.#over(error)
    if (error === null && closeCode === NORMAL_CLOSE && this.#endIsSent) {
      this.#isConfirmed = reason === COMPLETED_REASON
      return this.#tellEnd(null)
    }
    const detail = `close ${closeCode} ${reason}`.trim()
    this.#tellEnd(error ?? new RelayError('upstream_closed', { detail }))
  }

  upstreamOnFailure(error: RelayError): void {
    if (this.#isOver) return
    this.#over(error)
    this.#tellEnd(error)
  }

  /** Sockets and timers call this: a bug of one session must not end the process, and all others with it. */
  #tellEnd(error: RelayError | null): void {
    const { owner } = this.#ports
    try {
      owner.streamOnEnd(this, error)
    } catch (bug) {
      owner.streamOnBug(bug)
    }
  }

  #hasEndedMeanwhile(): boolean {
    return this.#isOver
  }

  #over(error: RelayError | null = null): void {
    this.#isOver = true
    this.#ports.trace?.streamOnOver(this.number, error)
    if (this.#port !== null) this.#ports.metrics.upstreamStreamsActive -= 1
  }
}
