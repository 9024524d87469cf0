/**
 * What clients may say in text: JSON with a `type`, and the end-of-audio aliases of other services. Reads untrusted
 * input: never throws, never keeps more than the message.
 */
import { z } from 'zod'
import { printedAs } from '../secret.ts'
import { showText } from '../transcribe/parameter-problems.ts'

export type ClientMessage =
  /** No more audio: deliver every final result, then close with 1000. */
  | { readonly type: 'CloseStream' }
  /** Nobody is speaking: keep the session. */
  | { readonly type: 'KeepAlive' }
  /** Nobody will speak for a while: the stream may be finished, which delivers its last results and costs nothing. */
  | { readonly type: 'Pause' }
  /** Somebody will speak soon: have a stream ready. Audio says the same. */
  | { readonly type: 'Resume' }
  /** A fresh token in the place of the one that the session began with. Never to be printed. */
  | { readonly type: 'Authenticate'; readonly token: string }
  /** Parameters by wire name, as text; see `stream-request.ts`. */
  | { readonly type: 'Configure'; readonly given: ReadonlyMap<string, string> }

export type ClientMessageResult =
  | { readonly ok: true; readonly message: ClientMessage }
  /**
   * `rule` is a sentence for the client; it repeats names, never values. `unsupported_data`: audio in text, as other
   * services take it.
   */
  | { readonly ok: false; readonly code: 'bad_control_message' | 'unsupported_data'; readonly rule: string }

/** Longest text message, bytes; a Configure message with every parameter stays under 8 KiB. */
export const MAX_TEXT_BYTES = 16 * 1024

const CLOSE_STREAM: ClientMessageResult = { ok: true, message: { type: 'CloseStream' } }
const KEEP_ALIVE: ClientMessageResult = { ok: true, message: { type: 'KeepAlive' } }
const PAUSE: ClientMessageResult = { ok: true, message: { type: 'Pause' } }
const RESUME: ClientMessageResult = { ok: true, message: { type: 'Resume' } }

/** `END_OF_STREAM` is sent bare by some clients; everything else is a JSON object. */
const BARE_END_OF_STREAM = 'END_OF_STREAM'

const scalar = z.union([z.string(), z.number(), z.boolean()])
const endOfFile = z.strictObject({ eof: z.union([z.literal(1), z.literal(true)]) })
/** How other services wrap audio in JSON. */
const audioInText = z.union([
  z.looseObject({ event: z.literal('media') }),
  z.looseObject({ type: z.literal('input_audio_buffer.append') }),
  z.looseObject({ audio: z.string() }),
])
const authenticate = z.looseObject({ token: z.string().min(1) })
const typed = z.looseObject({ type: z.string().max(64) })

/** Names shown of a Configure message with values of a wrong kind. */
const MAX_SHOWN_NAMES = 8

/** Reads one text message. `type` is matched without regard to case, as other services do. */
export function readClientMessage(text: string): ClientMessageResult {
  if (text.trim() === BARE_END_OF_STREAM) return CLOSE_STREAM
  const json = parseJson(text)
  if (endOfFile.safeParse(json).success) return CLOSE_STREAM
  if (audioInText.safeParse(json).success) {
    return { ok: false, code: 'unsupported_data', rule: 'Audio must be sent in binary messages, as raw PCM.' }
  }
  const message = typed.safeParse(json)
  if (!message.success)
    return refuse('A text message must be a JSON object with a "type" of at most 64 characters.')
  switch (message.data.type.toLowerCase()) {
    case 'closestream':
    case 'terminate':
    case 'end_of_stream':
      return CLOSE_STREAM
    case 'keepalive':
      return KEEP_ALIVE
    case 'pause':
      return PAUSE
    case 'resume':
      return RESUME
    case 'authenticate':
      return readAuthenticate(json)
    case 'configure':
      return readConfigure(json)
    case 'finalize':
      return refuse('"Finalize" is not supported: Amazon Transcribe cannot end a segment on request.')
    default:
      return refuse('"type" must be one of CloseStream, KeepAlive, Pause, Resume, Authenticate, Configure.')
  }
}

function readAuthenticate(json: unknown): ClientMessageResult {
  const result = authenticate.safeParse(json)
  if (!result.success) return refuse('"token" of Authenticate must be a string that is not empty.')
  const message = { type: 'Authenticate', token: result.data.token } as const
  return { ok: true, message: printedAs(message, 'Authenticate(…redacted)') }
}

/** `json` is an object. It is read as it came: a copy could lose a member named `__proto__`. */
function readConfigure(json: unknown): ClientMessageResult {
  const given = new Map<string, string>()
  const refused: string[] = []
  for (const [name, value] of Object.entries(json as Readonly<Record<string, unknown>>)) {
    if (name === 'type') continue
    const parsed = scalar.safeParse(value)
    if (parsed.success) given.set(name, String(parsed.data))
    else refused.push(name)
  }
  if (refused.length === 0) return { ok: true, message: { type: 'Configure', given } }
  const names = refused.slice(0, MAX_SHOWN_NAMES).map(showText).join(', ')
  return refuse(`Every value of Configure must be a string, a number or a boolean; not so: ${names}.`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON: `undefined` fits no schema, so the caller answers with the rule.
    return undefined
  }
}

function refuse(rule: string): ClientMessageResult {
  return { ok: false, code: 'bad_control_message', rule }
}
