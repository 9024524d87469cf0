/**
 * `decodeHeaders` that remembers. A peer sends the same few header blocks again and again (every TranscriptEvent has
 * the same), so the map of a block seen before is handed out instead of decoded anew. The result is the same either
 * way: the whole block is compared, and a decoded map cannot be changed.
 *
 * Worth it: comparing 85 bytes costs about a twentieth of decoding three headers; see bench/micro/framing.ts.
 */
import { decodeHeaders, type MessageHeaders } from './headers.ts'

/** Blocks share slots by their length, so memory is bounded and a lookup is one comparison. */
const SLOT_COUNT = 16
/** Longer blocks are rare (error texts, signatures) and are not kept. */
const MAX_KEPT_BYTES = 256

interface Slot {
  readonly block: Buffer
  readonly headers: MessageHeaders
}

const slots: (Slot | undefined)[] = Array.from({ length: SLOT_COUNT })

/** As `decodeHeaders` of the bytes from `startOffset` to `endOffset` of `message`, and with its errors. */
export function decodeHeadersAt(message: Buffer, startOffset: number, endOffset: number): MessageHeaders {
  const lengthBytes = endOffset - startOffset
  const slot = slots[lengthBytes % SLOT_COUNT]
  if (slot !== undefined && slot.block.compare(message, startOffset, endOffset) === 0) {
    return slot.headers
  }
  const block = message.subarray(startOffset, endOffset)
  const headers = decodeHeaders(block)
  if (lengthBytes <= MAX_KEPT_BYTES && !hasView(headers)) {
    // A copy: the receiver may use the memory of the message again.
    slots[lengthBytes % SLOT_COUNT] = { block: Buffer.from(block), headers }
  }
  return headers
}

/** A byte array is a view of its own message: it must not outlive it, nor be shared. */
function hasView(headers: MessageHeaders): boolean {
  for (const header of headers.values()) if (header.type === 'byteArray') return true
  return false
}
