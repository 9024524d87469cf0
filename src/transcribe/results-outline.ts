/**
 * A TranscriptEvent without its items (the words with their times), when nobody is going to look at them.
 *
 * Items are nine tenths of a result, and most results are partial ones of which a client gets the text: reading them costs
 * four times as much as the rest, see the "outline" rows of bench/micro/hot-path.ts. So they are cut out of the JSON
 * before it is parsed.
 *
 * Where the cut is certain: in valid JSON, `"Items":[` can only be a member with its list, and the quotes of
 * `],"Transcript":` can only be those of a member, because both have quotes that no string can contain without a
 * backslash. If no other bracket lies between the two, inside of a string or not, they are the two ends of one list. In any
 * other case, and for final results, whose words say how much is covered, there is no outline.
 */
import { parseTranscriptEvent, TranscriptEventError, type TranscriptEvent } from './results.ts'

const ITEMS = '"Items":['
/** The members come in the order of the alphabet. */
const AFTER_ITEMS = '],"Transcript":'
const FINAL = '"IsPartial":false'

/**
 * The event with every `Items` empty if all of its results are partial; `null`: it is to be read as a whole. Text that is no
 * TranscriptEvent has no outline; what is wrong inside of an item is not seen.
 */
export function parseOutline(json: string): TranscriptEvent | null {
  // Only to save the work of a cut in vain: what counts is what is parsed.
  if (json.includes(FINAL)) return null
  const outline = cutItems(json)
  if (outline === null) return null
  const event = parse(outline)
  return event?.Transcript.Results.every(({ IsPartial }) => IsPartial === true) === true ? event : null
}

function parse(json: string): TranscriptEvent | null {
  try {
    return parseTranscriptEvent(json)
  } catch (error) {
    if (error instanceof TranscriptEventError) return null
    throw error
  }
}

/** `null`: not certain, or there are none. */
function cutItems(json: string): string | null {
  let kept = ''
  let from = 0
  for (let at = json.indexOf(ITEMS); at !== -1; at = json.indexOf(ITEMS, from)) {
    const open = at + ITEMS.length
    const close = json.indexOf(']', open)
    if (!json.startsWith(AFTER_ITEMS, close)) return null
    const other = json.indexOf('[', open)
    if (other !== -1 && other < close) return null
    kept += json.slice(from, open)
    from = close
  }
  return from === 0 ? null : kept + json.slice(from)
}
