/**
 * How much of what was said was understood: the share of the expected words that came back in their order.
 */

/** Ours: what is compared grows with the square of it. */
export const MAX_COMPARED_WORDS = 1000

/** Lower case, letters, digits and apostrophes alone: services differ in case and punctuation. */
export function splitWords(text: string): readonly string[] {
  return text.toLowerCase().match(/[\p{L}\p{M}\p{N}']+/gu) ?? []
}

/**
 * Length of the longest common subsequence over the number of expected words; 0 to 1. Words that came on top cost
 * nothing: a canary asks for what is lost. Looks at the first `MAX_COMPARED_WORDS` of either side.
 */
export function wordRecall(expected: readonly string[], heard: readonly string[]): number {
  if (expected.length === 0) return 1
  const wanted = expected.slice(0, MAX_COMPARED_WORDS)
  let lengths: readonly number[] = wanted.map(() => 0)
  for (const word of heard.slice(0, MAX_COMPARED_WORDS)) {
    const next: number[] = []
    for (const [index, other] of wanted.entries()) {
      const diagonal = lengths[index - 1] ?? 0
      next.push(word === other ? diagonal + 1 : Math.max(next[index - 1] ?? 0, lengths[index] ?? 0))
    }
    lengths = next
  }
  return (lengths.at(-1) ?? 0) / wanted.length
}
