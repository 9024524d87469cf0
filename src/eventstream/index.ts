/**
 * The event-stream codec of Amazon Transcribe, as the package's `./eventstream` subpath. Pure functions: bytes in,
 * values out.
 */
export {
  AUDIO_OVERHEAD_BYTES,
  AUDIO_PAYLOAD_OFFSET,
  allocateAudioEvent,
  encodeAudioEvent,
  encodeEndOfStream,
  sealAudioEvent,
} from './audio-event.ts'
export { decodeMessage, decodeMessages, type DecodedMessage } from './decode.ts'
export { encodeMessage } from './encode.ts'
export { EVENT_STREAM_ERROR_CODES, EventStreamError, type EventStreamErrorCode } from './errors.ts'
export {
  decodeHeaders,
  encodeHeaders,
  stringHeader,
  type HeaderValue,
  type MessageHeaders,
} from './headers.ts'
export {
  MAX_HEADERS_BYTES,
  MAX_HEADER_NAME_BYTES,
  MAX_HEADER_VALUE_BYTES,
  MAX_MESSAGE_BYTES,
} from './layout.ts'
