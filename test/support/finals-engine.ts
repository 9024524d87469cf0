/** A recogniser that talks too much: final results of a fixed size for every piece of audio, whatever it holds. */
import type { Engine, EngineFactory } from '../../src/emulator/index.ts'

export interface FinalsOptions {
  readonly finalsPerWrite: number
  readonly textBytes: number
}

export function createFinalsEngine({ finalsPerWrite, textBytes }: FinalsOptions): EngineFactory {
  const text = 'a'.repeat(textBytes)
  return {
    name: 'finals',
    open(_stream, listener): Engine {
      let number = 0
      return {
        write() {
          for (let index = 0; index < finalsPerWrite; index++) {
            number += 1
            listener.engineOnResults([
              {
                ResultId: `final-${number}`,
                StartTime: 0,
                EndTime: 0,
                IsPartial: false,
                Alternatives: [{ Transcript: text, Items: [] }],
              },
            ])
          }
        },
        end: () => listener.engineOnEnd(),
        close: () => undefined,
      }
    },
  }
}
