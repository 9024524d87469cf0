/**
 * What the emulated service can answer instead of a transcript: names and texts as clients of Amazon Transcribe see
 * them. Where no text of the service is published, the text is the emulator's own and says the rule.
 *
 * Sources: Amazon Transcribe Developer Guide, "Setting up a WebSocket stream"; API Reference, "Common Errors"; texts as
 * quoted by users in public issues.
 */

/** Ends a stream from within: an exception message after `101`. `name` is its `:exception-type`. */
export interface StreamException {
  readonly name: string
  readonly message: string
}

/** Refuses a handshake: an HTTP answer instead of `101`. `name` goes into `x-amzn-ErrorType`. */
export interface HandshakeRefusal {
  readonly status: number
  readonly name: string
  readonly message: string
}

export const exceptions = {
  badParameters: (message: string) => bad(message),
  idle: (idleTimeoutMs: number) =>
    bad(
      `Your request timed out because no new audio was received for ${Math.round(idleTimeoutMs / 1000)} seconds.`,
    ),
  tooBig: () => bad('Your stream is too big. Reduce the frame size and try your request again.'),
  unexpectedFrame: () => bad('Unexpected WebSocket frame received.'),
  undecodable: () =>
    bad(
      'Could not decode the audio stream that you provided. Check that the audio stream is valid and try your request again.',
    ),
  missingEndFrame: () => bad('A complete signal was sent without the preceding empty frame.'),
  unsignedChunk: () => bad('Every message must have the headers :date and :chunk-signature.'),
  chunkSignatureExpired: () => bad('Signature expired: a message was signed more than 5 minutes from now.'),
  audioAfterEnd: () => bad('Audio was received after the empty frame that ended the stream.'),
  concurrentStreams: (limit: number) =>
    limitExceeded(`You have reached your limit of concurrent streams, ${limit}. Try again later.`),
  startRate: (limit: number) =>
    limitExceeded(`You have reached your limit of new streams in one second, ${limit}. Try again later.`),
  maxDuration: (maxStreamMs: number) =>
    limitExceeded(
      `Your stream has reached the maximum duration of ${Math.round(maxStreamMs / 1000)} seconds.`,
    ),
  sameSession: () => ({
    name: 'ConflictException',
    message: 'A new stream started with the same session ID. The current stream has been terminated.',
  }),
  internal: (message: string) => ({ name: 'InternalFailureException', message }),
} satisfies Record<string, (...values: never[]) => StreamException>

/** The texts of exceptions that only a fault script raises without one of its own. */
export const DEFAULT_EXCEPTION_MESSAGES: Readonly<Record<string, string>> = {
  BadRequestException: 'Could not decode the audio stream that you provided.',
  LimitExceededException: 'You have reached your limit of concurrent streams, 25. Try again later.',
  InternalFailureException: 'A problem occurred while processing the audio. Try your request again.',
  ServiceUnavailableException: 'The service is currently unavailable. Try your request later.',
  ConflictException: 'A new stream started with the same session ID. The current stream has been terminated.',
  ExpiredTokenException: 'The security token included in the request is expired',
  UnrecognizedClientException: 'The security token included in the request is invalid.',
  ThrottlingException: 'Rate exceeded',
}

function bad(message: string): StreamException {
  return { name: 'BadRequestException', message }
}

function limitExceeded(message: string): StreamException {
  return { name: 'LimitExceededException', message }
}
