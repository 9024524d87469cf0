/** The words of a client beside those of an undisturbed run: which are missing, which are there twice, which are elsewhere. */

export interface PlacedWord {
  readonly text: string
  /** Seconds of the client's audio. */
  readonly start: number
  readonly end: number
}

export interface Comparison {
  readonly lost: readonly PlacedWord[]
  readonly repeated: readonly PlacedWord[]
  /** Greatest distance of a word's start or end from its place. */
  readonly maxShiftSeconds: number
}

/** Words are told apart by their place: the same word never comes twice within this. */
const SAME_SECONDS = 0.15

export function compareWords(expected: readonly PlacedWord[], got: readonly PlacedWord[]): Comparison {
  const lost: PlacedWord[] = []
  const repeated: PlacedWord[] = []
  let maxShiftSeconds = 0
  let index = 0
  for (const word of expected) {
    // What comes before the next expected word, or is not it, was said once too often.
    for (
      let extra = got[index];
      extra !== undefined && !isSame(word, extra) && extra.start < word.start + SAME_SECONDS;
      extra = got[index]
    ) {
      repeated.push(extra)
      index += 1
    }
    const found = got[index]
    if (found === undefined || !isSame(word, found)) {
      lost.push(word)
      continue
    }
    maxShiftSeconds = Math.max(
      maxShiftSeconds,
      Math.abs(found.start - word.start),
      Math.abs(found.end - word.end),
    )
    index += 1
  }
  repeated.push(...got.slice(index))
  return { lost, repeated, maxShiftSeconds }
}

function isSame(word: PlacedWord, other: PlacedWord): boolean {
  return word.text === other.text && Math.abs(middleOf(word) - middleOf(other)) < SAME_SECONDS
}

function middleOf({ end, start }: PlacedWord): number {
  return (start + end) / 2
}
