/**
 * The port behind which speech becomes text. The emulator checks the protocol, the engine only hears audio.
 *
 * An engine never throws: what goes wrong is reported to the listener. After `close` it calls nothing.
 */
import type { StreamParameters } from '../transcribe/parameters.ts'
import type { StreamException } from './exceptions.ts'
import type { WireResult } from './wire-results.ts'

export interface EngineListener {
  /** Results of one event, in the order of the audio. An empty list is an event too: silence. */
  engineOnResults(results: readonly WireResult[]): void
  /** Once, after `end`: every final has been delivered. */
  engineOnEnd(): void
  /** Once, instead of `engineOnEnd`: the stream ends with this exception. */
  engineOnFailure(exception: StreamException): void
}

/** The ears of one stream. */
export interface Engine {
  /** Whole samples of all channels, interleaved. A view, valid during the call only. */
  write(audio: Uint8Array): void
  /** No more audio: delivers the remaining finals, then `engineOnEnd`. */
  end(): void
  /** Lets go of everything at once. May be called at any time, any number of times. */
  close(): void
}

export interface EngineStream {
  readonly parameters: StreamParameters
  /** Makes the `ResultId` of every result of this stream unique. */
  readonly streamId: string
}

export interface EngineFactory {
  /** For logs and records. */
  readonly name: string
  open(stream: EngineStream, listener: EngineListener): Engine
}
