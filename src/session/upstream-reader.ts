/**
 * Reads what one upstream stream sends: event-stream messages, of which TranscriptEvents go to the client and exceptions end
 * the stream. Events that are not known are counted and ignored, so that the service may grow.
 */
import { ERRORS, RelayError } from '../errors.ts'
import { decodeMessages, type DecodedMessage } from '../eventstream/decode.ts'
import { EventStreamError } from '../eventstream/errors.ts'
import { stringHeader } from '../eventstream/headers.ts'
import { TranscriptEventError } from '../transcribe/results.ts'
import { classifyException, readException, safeDetail } from '../transcribe/exceptions.ts'
import type { SessionMetrics } from './ports.ts'
import type { ResultForwarder, StreamResults } from './result-forwarder.ts'

export class UpstreamReader {
  readonly #forwarder: ResultForwarder
  readonly #stream: StreamResults
  readonly #metrics: SessionMetrics
  readonly #onMessage = (message: DecodedMessage): void => this.#readMessage(message)
  #nowMs = 0
  #error: RelayError | null = null

  constructor(forwarder: ResultForwarder, stream: StreamResults, metrics: SessionMetrics) {
    this.#forwarder = forwarder
    this.#stream = stream
    this.#metrics = metrics
  }

  /**
   * Reads one WebSocket message (a view, valid during the call). Returns what it ended the stream with, or `null`.
   * Throws what is not the upstream's doing: a bug.
   */
  read(bytes: Uint8Array, nowMs: number): RelayError | null {
    this.#nowMs = nowMs
    try {
      decodeMessages(bytes, this.#onMessage)
    } catch (error) {
      if (error instanceof EventStreamError) {
        this.#metrics.countDecodeError(error.code)
        return new RelayError('upstream_protocol', { detail: error.code, cause: error })
      }
      if (error instanceof TranscriptEventError) {
        return new RelayError('upstream_protocol', { detail: error.defect, cause: error })
      }
      throw error
    }
    return this.#error
  }

  #readMessage({ headers, payload }: DecodedMessage): void {
    if (this.#error !== null) return
    const type = stringHeader(headers, ':message-type')
    if (type === 'event') {
      if (stringHeader(headers, ':event-type') !== 'TranscriptEvent') this.#metrics.unknownEvents += 1
      else this.#forwarder.forward(payload, this.#stream, this.#nowMs)
      return
    }
    if (type !== 'exception' && type !== 'error') {
      this.#error = new RelayError('upstream_protocol', { detail: 'message-type' })
      return
    }
    const { name, message } = readException(header => stringHeader(headers, header) ?? undefined, payload)
    this.#metrics.countUpstreamException(name)
    const code = classifyException(name, message)
    this.#error = new RelayError(code, {
      message: `${ERRORS[code].message} (${safeDetail(name, message)})`,
      detail: name,
    })
  }
}
