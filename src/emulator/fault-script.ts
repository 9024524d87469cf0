/**
 * Decides which faults a connection gets. The same script and the same order of connections give the same faults:
 * chance is drawn from the seed, one number for each rule with a probability and each connection.
 */
import type { FaultAction, FaultScriptData } from './faults.ts'

type Of<Name extends FaultAction['do']> = Extract<FaultAction, { do: Name }>

/** Decided before the handshake. */
export type HandshakeFault = Of<
  'refuse' | 'httpStatus' | 'stallHandshake' | 'slowHandshake' | 'clockSkew' | 'expiredToken'
>
/** Changes how results are delivered. */
export type DeliveryFault = Of<'dropAfterResults' | 'delayFinals'>
/** Happens once, at a position of the audio. */
export type TimedFault = Exclude<FaultAction, HandshakeFault | DeliveryFault>

export interface ConnectionFaults {
  readonly handshake: readonly HandshakeFault[]
  /** In the order of `atSeconds`. */
  readonly timed: readonly TimedFault[]
  readonly delivery: readonly DeliveryFault[]
}

export class FaultScript {
  readonly #script: FaultScriptData
  readonly #appliedCounts: number[]
  #randomState: number

  constructor(script: FaultScriptData) {
    this.#script = script
    this.#appliedCounts = script.rules.map(() => 0)
    this.#randomState = script.seed
  }

  /** The faults of the n-th connection, n from 1. To be called once for each, in order. */
  faultsOf(connection: number): ConnectionFaults {
    const handshake: HandshakeFault[] = []
    const timed: TimedFault[] = []
    const delivery: DeliveryFault[] = []
    for (const [index, { match, action }] of this.#script.rules.entries()) {
      // Drawn even when another condition fails, so that one rule does not shift the luck of the next.
      const isLucky = match.probability === undefined || this.#random() < match.probability
      const appliedCount = this.#appliedCounts[index] ?? 0
      if (!isLucky) continue
      if (match.connection !== undefined && match.connection !== connection) continue
      if (match.every !== undefined && connection % match.every !== 0) continue
      if (match.times !== undefined && appliedCount >= match.times) continue
      this.#appliedCounts[index] = appliedCount + 1
      if (isHandshakeFault(action)) handshake.push(action)
      else if (isDeliveryFault(action)) delivery.push(action)
      else timed.push(action)
    }
    timed.sort((a, b) => a.atSeconds - b.atSeconds)
    return { handshake, timed, delivery }
  }

  /** Mulberry32: small, seeded, good enough to choose connections. */
  #random(): number {
    this.#randomState = (this.#randomState + 0x6d2b79f5) >>> 0
    let mixed = this.#randomState
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const HANDSHAKE_FAULTS: ReadonlySet<string> = new Set<HandshakeFault['do']>([
  'refuse',
  'httpStatus',
  'stallHandshake',
  'slowHandshake',
  'clockSkew',
  'expiredToken',
])
const DELIVERY_FAULTS: ReadonlySet<string> = new Set<DeliveryFault['do']>(['dropAfterResults', 'delayFinals'])

function isHandshakeFault(action: FaultAction): action is HandshakeFault {
  return HANDSHAKE_FAULTS.has(action.do)
}

function isDeliveryFault(action: FaultAction): action is DeliveryFault {
  return DELIVERY_FAULTS.has(action.do)
}
