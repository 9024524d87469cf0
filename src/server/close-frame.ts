/**
 * What may stand in a Close frame of ours (RFC 6455 §5.5.1, §7.4). The native socket sends any number it is given, those
 * that must never be on the wire included, so the rule is kept here.
 */

/** A control frame carries 125 bytes, two of them are the code. */
export const MAX_CLOSE_REASON_BYTES = 123

/**
 * Codes a server may send: the registered ones that are not reserved (1004, 1005, 1006 and 1015 are) and not the
 * client's alone (1010), and the private range. 3000–3999 belong to registered libraries.
 */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false
  if (code >= 4000 && code <= 4999) return true
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1009) || (code >= 1011 && code <= 1014)
}

/** The longest start of `reason` that fits, cut between characters. */
export function cutCloseReason(reason: string): string {
  const bytes = Buffer.from(reason)
  if (bytes.length <= MAX_CLOSE_REASON_BYTES) return reason
  let end = MAX_CLOSE_REASON_BYTES
  while (isContinuationByte(bytes[end])) end--
  return bytes.toString('utf8', 0, end)
}

function isContinuationByte(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}
