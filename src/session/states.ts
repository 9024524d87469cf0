/**
 * The states of a session and the only ways between them.
 *
 *   configuring ──▶ dialling ──▶ open ──▶ finishing ──▶ closed
 *        │             │          │           ▲            ▲
 *        │             └──────────┼───────────┘            │   audio ended before the upstream opened:
 *        └─────────────┴──────────┴────────────────────────┘   dialling ──▶ finishing, in the moment it opens
 *
 * configuring  waits for the Configure message
 * dialling     the upstream is being opened; audio is queued
 * open         audio flows, results flow
 * finishing    the empty AudioEvent is sent; results still flow, audio is left out
 * closed       nothing happens any more, late callbacks are ignored
 */
export type SessionState = 'configuring' | 'dialling' | 'open' | 'finishing' | 'closed'

export const SESSION_STATES: readonly SessionState[] = [
  'configuring',
  'dialling',
  'open',
  'finishing',
  'closed',
]

export const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  configuring: ['dialling', 'closed'],
  dialling: ['open', 'finishing', 'closed'],
  open: ['finishing', 'closed'],
  finishing: ['closed'],
  closed: [],
}

export function mayMove(from: SessionState, to: SessionState): boolean {
  return TRANSITIONS[from].includes(to)
}
