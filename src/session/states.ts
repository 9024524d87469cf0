/**
 * The states of a session and the only ways between them.
 *
 *   configuring ──▶ dialling ──▶ open ──────────────────────▶ finishing ──▶ closed
 *                       │        │ ▲ │                          ▲ │  ▲
 *                       │        │ │ └──▶ parked ───────────────┘ │  │
 *                       │        ▼ │        │                     ▼  │
 *                       │      rolling-over ◀─────────────────────┘  │
 *                       │        └───────────────────────────────────┤   audio ended before the stream opened:
 *                       └────────────────────────────────────────────┘   to finishing in the moment it opens
 *
 * and from each of them to closed.
 *
 * configuring   waits for the Configure message
 * dialling      the first stream is being opened; audio is queued
 * open          audio flows, results flow
 * rolling-over  a stream was lost, or is needed again: another one is being opened; audio is queued
 * parked        nobody speaks: the stream was finished, its last results still flow; audio opens another
 * finishing     the end of the audio is sent; results still flow, audio is left out
 * closed        nothing happens any more, late callbacks are ignored
 */
export type SessionState =
  'configuring' | 'dialling' | 'open' | 'rolling-over' | 'parked' | 'finishing' | 'closed'

export const SESSION_STATES: readonly SessionState[] = [
  'configuring',
  'dialling',
  'open',
  'rolling-over',
  'parked',
  'finishing',
  'closed',
]

export const TRANSITIONS: Readonly<Record<SessionState, readonly SessionState[]>> = {
  configuring: ['dialling', 'closed'],
  dialling: ['open', 'finishing', 'closed'],
  open: ['rolling-over', 'parked', 'finishing', 'closed'],
  'rolling-over': ['open', 'finishing', 'closed'],
  parked: ['rolling-over', 'finishing', 'closed'],
  finishing: ['rolling-over', 'closed'],
  closed: [],
}

export function mayMove(from: SessionState, to: SessionState): boolean {
  return TRANSITIONS[from].includes(to)
}
