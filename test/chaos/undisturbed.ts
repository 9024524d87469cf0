/** What the scripted engine says to a tape that it hears in one go: what every client must be told, whatever happens. */
import { createScriptedEngine, type WireItem } from '../../src/emulator/index.ts'
import { validateParameters } from '../../src/transcribe/parameters.ts'
import type { Tape } from './tape.ts'

/** One final result. Times are seconds of the tape. */
export interface Utterance {
  readonly endSeconds: number
  readonly words: readonly WireItem[]
}

const PIECE_BYTES = 3200

export function hearUndisturbed({ pcm, recordings }: Tape): readonly Utterance[] {
  const validation = validateParameters({
    'language-code': 'en-US',
    'media-encoding': 'pcm',
    'sample-rate': '16000',
  })
  if (!validation.ok) throw new Error('the parameters are wrong')
  const utterances: Utterance[] = []
  const engine = createScriptedEngine({ recordings }).open(
    { parameters: validation.parameters, streamId: 'undisturbed' },
    {
      engineOnResults(results) {
        for (const { Alternatives: alternatives, EndTime: endSeconds, IsPartial: isPartial } of results) {
          if (!isPartial) utterances.push({ endSeconds, words: alternatives[0]?.Items ?? [] })
        }
      },
      engineOnEnd: () => undefined,
      engineOnFailure: ({ message }) => {
        throw new Error(message)
      },
    },
  )
  for (let offset = 0; offset < pcm.length; offset += PIECE_BYTES) {
    engine.write(pcm.subarray(offset, offset + PIECE_BYTES))
  }
  engine.end()
  return utterances
}
