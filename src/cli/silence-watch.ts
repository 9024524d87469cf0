/**
 * Notices a connection that is dead although nobody closed it: a phone that left its network, a proxy that vanished. Asks
 * for a sign of life in every turn in which there was none, and after a few turns without an answer calls it lost. Turns
 * and not the time are counted: a machine that slept is no proof against the other side.
 */
import type { Clock, Timer } from '../clock.ts'

/** Ours. */
export const TURN_MS = 5_000
/** Ours: 15 to 20 s, as a turn has begun when the last sign comes. A relay acknowledges audio at least every 10 s. */
export const MAX_SILENT_TURNS = 3

export interface SilenceListener {
  /** Nothing was heard for a turn: time to send something that has to be answered. */
  watchOnSilence(): void
  watchOnLost(): void
}

export class SilenceWatch {
  readonly #clock: Clock
  readonly #listener: SilenceListener
  #ticker: Timer | null = null
  #silentTurns = 0

  constructor(clock: Clock, listener: SilenceListener) {
    this.#clock = clock
    this.#listener = listener
  }

  /** Begins, or goes on. */
  start(): void {
    this.#ticker ??= this.#clock.setTicker(TURN_MS, () => this.#tickerOnTurn())
  }

  heard(): void {
    this.#silentTurns = 0
  }

  stop(): void {
    this.#ticker?.cancel()
    this.#ticker = null
    this.#silentTurns = 0
  }

  #tickerOnTurn(): void {
    if (this.#silentTurns === MAX_SILENT_TURNS) {
      this.stop()
      this.#listener.watchOnLost()
      return
    }
    if (this.#silentTurns > 0) this.#listener.watchOnSilence()
    this.#silentTurns += 1
  }
}
