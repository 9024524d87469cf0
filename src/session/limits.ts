/**
 * The limits and time-outs of one session. Values, bounds and documentation are in `config/options`; a session only
 * reads them. Every one is finite.
 */
export interface SessionLimits {
  /** Target length of an AudioEvent; small client messages are joined to it, large ones cut to it. */
  readonly chunkMs: number
  /** A client message of this length range is forwarded as it is, without waiting. */
  readonly minChunkMs: number
  readonly maxChunkMs: number
  /** Audio kept while the upstream is not open. */
  readonly pendingAudioBytes: number
  /** Audio ahead of real time that a client may send at once. */
  readonly paceBurstMs: number
  /** Sustained audio seconds per second. */
  readonly paceRate: number
  readonly messagesPerSecond: number
  /** Without audio for this long the session ends (`silence: end`). The service itself gives up after 15 s. */
  readonly audioTimeoutMs: number
  /** Without audio for this long the stream is finished, and the session kept (`silence: park`). */
  readonly parkAfterMs: number
  readonly silence: 'park' | 'end' | 'fill'
  /** Most silence sent to the upstream in one session; it is billed. */
  readonly silenceFillMaxMs: number
  readonly maxSessionMs: number
  /** A stream is replaced at this age; the service ends it after 4 hours. */
  readonly maxStreamMs: number
  /** How long before that, and before the credentials end, a good moment is looked for. */
  readonly handoverLeadMs: number
  /** Audio that no final result covers yet is kept for so long. */
  readonly replaySeconds: number
  /** Times real time at which it is sent again. */
  readonly replayRate: number
  /** Failures in a row after which no other stream is tried; 0: none ever is. */
  readonly rolloverAttempts: number
  /** Longest wait before the second attempt; it doubles with each. */
  readonly rolloverBackoffMs: number
  /** Longest time without a stream. */
  readonly rolloverGapMs: number
  /** A warning comes this long before `maxSessionMs`. */
  readonly sessionWarningMs: number
  readonly configureTimeoutMs: number
  /** From the empty AudioEvent to the end of the upstream; PCM ahead of real time is added (of compressed audio nobody knows how long it is). */
  readonly flushTimeoutMs: number
  /** Bytes waiting for a slow upstream. */
  readonly upstreamBufferBytes: number
  /** An upstream that takes nothing for this long is stalled. */
  readonly upstreamStallMs: number
  /** Bytes waiting for a slow client from which partial results are left out. */
  readonly clientPartialsBufferBytes: number
  /** Bytes waiting for a slow client at which it is closed with `slow_consumer`. */
  readonly clientSoftBufferBytes: number
  readonly maxMessageBytes: number
  /** With redaction on, partial results are not redacted by the service: forward them all the same. */
  readonly allowUnredactedPartials: boolean
  /** How long a session waits for its client; 0: not at all. */
  readonly resumeSeconds: number
  /** Messages kept for a client that may come back. */
  readonly resumeBufferBytes: number
  /** Longest time in which the audio of such a client is acknowledged. */
  readonly resumeAckMs: number
}
