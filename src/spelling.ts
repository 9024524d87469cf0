/** "Did you mean": how far apart two names are, and the known name nearest to an unknown one. */

/** Names longer than this are not compared: the distance takes time with the square of the length. */
const MAX_COMPARED_CHARS = 64

/** The nearest of `known`, if it is near enough that a typing mistake is likely; else `null`. */
export function suggestName(unknown: string, known: Iterable<string>): string | null {
  if (unknown.length > MAX_COMPARED_CHARS) return null
  const wanted = unknown.toLowerCase()
  let best: string | null = null
  // A third of the name may be wrong: `chunkMilliseconds` is no typing mistake of `chunkMs`.
  let bestDistance = Math.floor(wanted.length / 3) + 1
  for (const name of known) {
    const distance = editDistance(wanted, name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Least number of inserted, removed and replaced characters (Levenshtein), in one row of memory. */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = at(row, j - 1) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, at(row, j) + 1, at(next, j - 1) + 1))
    }
    row = next
  }
  return at(row, to.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
