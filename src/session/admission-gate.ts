/**
 * Whether one more session may start, by how busy the process is: new ones are refused so that those that run keep
 * their quality. Pure: what is measured is handed in, and so is the time.
 *
 * Each load has a gate of its own, which closes at one level and opens at a lower one, so that it does not flap:
 *
 *     open ── value ≥ closeAt ──▶ closed        unknown: the gate stays as it is
 *       ▲                           │
 *       └───── value < openBelow ───┘
 *
 * The number of sessions has no second level: it is counted and not measured, so there is nothing to swing.
 */
import type { Clock, Timer } from '../clock.ts'

/** `sessions`: there are as many as there may be. `lag`: the event loop is late. `memory`, `files`: of what there is. */
export const ADMISSION_REASONS = ['sessions', 'lag', 'memory', 'files'] as const

export type AdmissionReason = (typeof ADMISSION_REASONS)[number]

export type LoadReason = Exclude<AdmissionReason, 'sessions'>

export const LOAD_REASONS = ['lag', 'memory', 'files'] as const satisfies readonly LoadReason[]

export interface LoadProbe {
  readonly reason: LoadReason
  readonly closeAt: number
  /** Below `closeAt`. */
  readonly openBelow: number
  /** In the unit of the levels; `null`: not known here. */
  read(nowMs: number): number | null
}

export interface GateOptions {
  readonly clock: Clock
  readonly maxSessions: number
  readonly probes: readonly LoadProbe[]
  /** A gate closed or opened. */
  onChange(reason: LoadReason, isClosed: boolean, value: number): void
}

/** How often the loads are looked at. */
export const SAMPLE_MS = 100

interface Gate {
  readonly probe: LoadProbe
  value: number | null
  isClosed: boolean
}

export class AdmissionGate {
  readonly #options: GateOptions
  readonly #gates: readonly Gate[]
  readonly #refusals = new Map<AdmissionReason, number>()
  #ticker: Timer | null

  constructor(options: GateOptions) {
    this.#options = options
    this.#gates = options.probes.map(probe => ({ probe, value: null, isClosed: false }))
    const { clock } = options
    this.#ticker =
      this.#gates.length === 0 ? null : clock.setTicker(SAMPLE_MS, () => this.sample(clock.monotonicMs()))
  }

  /** Looks at every load. */
  sample(nowMs: number): void {
    for (const gate of this.#gates) this.#judge(gate, nowMs)
  }

  /** `null`: one more session may start. Else why not, and it is counted. */
  refuse(activeSessions: number): AdmissionReason | null {
    const { maxSessions } = this.#options
    const closed = this.#gates.find(({ isClosed }) => isClosed)?.probe.reason ?? null
    const reason = activeSessions >= maxSessions ? 'sessions' : closed
    if (reason !== null) this.#refusals.set(reason, this.refusals(reason) + 1)
    return reason
  }

  refusals(reason: AdmissionReason): number {
    return this.#refusals.get(reason) ?? 0
  }

  isClosed(reason: LoadReason): boolean {
    return this.#gates.some(({ isClosed, probe }) => probe.reason === reason && isClosed)
  }

  /** The load as a part of what closes its gate; NaN while it is not known. */
  load(reason: LoadReason): number {
    const gate = this.#gates.find(({ probe }) => probe.reason === reason)
    if (gate === undefined || gate.value === null) return Number.NaN
    return gate.value / gate.probe.closeAt
  }

  /** Stops the ticker; for the end of the process. */
  close(): void {
    this.#ticker?.cancel()
    this.#ticker = null
  }

  #judge(gate: Gate, nowMs: number): void {
    const { closeAt, openBelow, reason } = gate.probe
    const value = gate.probe.read(nowMs)
    gate.value = value
    if (value === null) return
    const isClosed = gate.isClosed ? value >= openBelow : value >= closeAt
    if (isClosed === gate.isClosed) return
    gate.isClosed = isClosed
    this.#options.onChange(reason, isClosed, value)
  }
}
