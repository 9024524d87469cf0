/** The query of a request: decoded pairs, and their canonical form for a signature. */

export type QueryPair = readonly [name: string, value: string]

/**
 * Decodes `name=value&…`. A `+` is a plus sign, as in a signed URL, and not a blank. Returns `null` when a percent
 * sequence is malformed.
 */
export function parseQuery(rawQuery: string): readonly QueryPair[] | null {
  const pairs: QueryPair[] = []
  for (const part of rawQuery.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = equals === -1 ? part : part.slice(0, equals)
    const value = equals === -1 ? '' : part.slice(equals + 1)
    try {
      pairs.push([decodeURIComponent(name), decodeURIComponent(value)])
    } catch {
      return null
    }
  }
  return pairs
}

/**
 * The canonical query of Signature Version 4: every name and value percent-encoded once, sorted by encoded name, then by
 * encoded value, in the order of the bytes.
 */
export function canonicalQuery(pairs: readonly QueryPair[]): string {
  return pairs
    .map(([name, value]) => [encodeComponent(name), encodeComponent(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** Percent-encodes everything but `A–Z a–z 0–9 - _ . ~`. */
function encodeComponent(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

// Not localeCompare: the order is that of the bytes, capitals before small letters.
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
