/** What a test does with `t.teardown`, for a program. */
import type { Closing } from './world.ts'

export class Cleanup implements Closing {
  readonly #actions: (() => unknown)[] = []

  teardown(action: () => unknown): void {
    this.#actions.push(action)
  }

  /** The latest first. */
  async run(): Promise<void> {
    for (const action of this.#actions.splice(0).toReversed()) await action()
  }
}
