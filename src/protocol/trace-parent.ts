/**
 * The header by which a client makes a session a part of its own trace (W3C Trace Context, `traceparent`). One that is not
 * valid is left out, as the specification wants: the session begins a trace of its own.
 */

export interface TraceParent {
  /** 32 hex digits, lower case, not all zero. */
  readonly traceId: string
  /** 16 hex digits, lower case, not all zero. */
  readonly spanId: string
  /** The client records its side. */
  readonly isSampled: boolean
}

/** Version, trace id, parent id, flags; a version above 00 may have more behind them. */
const PATTERN = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/
const CURRENT_VERSION = '00'
const INVALID_VERSION = 'ff'
const SAMPLED_FLAG = 1
const HEX = 16

export function readTraceParent(header: string | undefined): TraceParent | null {
  const match = PATTERN.exec(header ?? '')
  if (match === null) return null
  const [, version, traceId = '', spanId = '', flags = '', more] = match
  if (version === INVALID_VERSION || (version === CURRENT_VERSION && more !== undefined)) return null
  if (/^0+$/.test(traceId) || /^0+$/.test(spanId)) return null
  return { traceId, spanId, isSampled: (Number.parseInt(flags, HEX) & SAMPLED_FLAG) !== 0 }
}
