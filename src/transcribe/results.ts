/**
 * The payload of a TranscriptEvent of the standard operation, read defensively.
 *
 * The shape is the service's own, names included, so that it can be passed on as it came. Only `Transcript.Results` may be
 * relied on: a member that does not apply is missing or `null`. A known member of a wrong type is read as `null`, an entry of
 * a list that is no object is left out, and members nobody here knows are kept. Times are seconds since the start of
 * this upstream stream.
 *
 * Source: API Reference, "TranscriptEvent" and the types below it; observations of the live service where noted.
 */

export interface TranscribeItem {
  readonly StartTime?: number | null
  readonly EndTime?: number | null
  /** `pronunciation`, `punctuation`, or what the service may add. */
  readonly Type?: string | null
  readonly Content?: string | null
  readonly VocabularyFilterMatch?: boolean | null
  /** Opaque. Seen as a bare number, on words of final results only; counted anew on every stream and channel. */
  readonly Speaker?: string | null
  /** 0 to 1, in final results only. */
  readonly Confidence?: number | null
  /** With stabilization: `true` once the word will not change any more. */
  readonly Stable?: boolean | null
}

/** Personal data that was found, in final results only. */
export interface TranscribeEntity {
  readonly StartTime?: number | null
  readonly EndTime?: number | null
  readonly Category?: string | null
  readonly Type?: string | null
  /** The words themselves with identification, a tag with redaction. */
  readonly Content?: string | null
  readonly Confidence?: number | null
}

export interface TranscribeAlternative {
  readonly Transcript?: string | null
  readonly Items?: readonly TranscribeItem[] | null
  readonly Entities?: readonly TranscribeEntity[] | null
}

export interface LanguageScore {
  readonly LanguageCode?: string | null
  /** 0 to 1. */
  readonly Score?: number | null
}

export interface TranscribeResult {
  /** Key of the segment: a final normally has the id of the partials it replaces. */
  readonly ResultId?: string | null
  readonly StartTime?: number | null
  readonly EndTime?: number | null
  /** `true`: will be replaced. `false`: final. */
  readonly IsPartial?: boolean | null
  /** One entry in practice. */
  readonly Alternatives?: readonly TranscribeAlternative[] | null
  /** `ch_0` or `ch_1`, with channel identification. */
  readonly ChannelId?: string | null
  /** With language identification. */
  readonly LanguageCode?: string | null
  readonly LanguageIdentification?: readonly LanguageScore[] | null
}

export interface TranscriptEvent {
  readonly Transcript: {
    /** Often empty; one entry a channel and segment. */
    readonly Results: readonly TranscribeResult[]
  }
}

export type TranscriptEventDefect = 'not_utf8' | 'not_json' | 'no_results'

/** The payload is no TranscriptEvent. Carries nothing of the payload, which may hold speech. */
export class TranscriptEventError extends Error {
  override readonly name = 'TranscriptEventError'
  readonly defect: TranscriptEventDefect

  constructor(defect: TranscriptEventDefect) {
    super(DEFECT_MESSAGES[defect])
    this.defect = defect
  }
}

const DEFECT_MESSAGES: Readonly<Record<TranscriptEventDefect, string>> = {
  not_utf8: 'The payload of a TranscriptEvent is not UTF-8.',
  not_json: 'The payload of a TranscriptEvent is not JSON.',
  no_results: 'The payload of a TranscriptEvent has no list Transcript.Results.',
}

/** What a known member must be, or else it becomes `null`; a nested table is the shape of a list's entries. */
type MemberType = 'string' | 'number' | 'boolean' | MemberTable
interface MemberTable {
  readonly [member: string]: MemberType
}

const SPAN = { StartTime: 'number', EndTime: 'number' } as const

const RESULT_MEMBERS: MemberTable = {
  ...SPAN,
  ResultId: 'string',
  IsPartial: 'boolean',
  ChannelId: 'string',
  LanguageCode: 'string',
  LanguageIdentification: { LanguageCode: 'string', Score: 'number' },
  Alternatives: {
    Transcript: 'string',
    Items: {
      ...SPAN,
      Type: 'string',
      Content: 'string',
      VocabularyFilterMatch: 'boolean',
      Speaker: 'string',
      Confidence: 'number',
      Stable: 'boolean',
    },
    Entities: { ...SPAN, Category: 'string', Type: 'string', Content: 'string', Confidence: 'number' },
  },
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

/** Throws TranscriptEventError. `payload` is the JSON of one event, as bytes or text. */
export function parseTranscriptEvent(payload: Uint8Array | string): TranscriptEvent {
  const event = parseJson(typeof payload === 'string' ? payload : decodeUtf8(payload))
  const transcript = isObject(event) ? event['Transcript'] : null
  const results = isObject(transcript) ? transcript['Results'] : null
  if (!isObject(event) || !isObject(transcript) || !Array.isArray(results)) {
    throw new TranscriptEventError('no_results')
  }
  // The rest of the event stays as it came, for clients that want the service's own JSON.
  transcript['Results'] = readEntries(results, RESULT_MEMBERS)
  return event as unknown as TranscriptEvent
}

function decodeUtf8(payload: Uint8Array): string {
  try {
    return utf8.decode(payload)
  } catch {
    throw new TranscriptEventError('not_utf8')
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, so it is not passed on as the cause.
    throw new TranscriptEventError('not_json')
  }
}

function readEntries(entries: readonly unknown[], members: MemberTable): Record<string, unknown>[] {
  const objects = entries.filter(isObject)
  for (const object of objects) readMembers(object, members)
  return objects
}

/** In place: the object was just parsed and belongs to nobody else. */
function readMembers(object: Record<string, unknown>, members: MemberTable): void {
  for (const member in members) {
    const value = object[member]
    const type = members[member]
    if (value === undefined || value === null || type === undefined) continue
    if (typeof type === 'object') object[member] = Array.isArray(value) ? readEntries(value, type) : null
    else if (
      typeof value !== type ||
      value === Number.POSITIVE_INFINITY ||
      value === Number.NEGATIVE_INFINITY
    )
      object[member] = null
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
