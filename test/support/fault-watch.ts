/**
 * What every fault has to leave behind: the right words and close code for the one client it hit, the right figures,
 * one log line, no socket, and a neighbour that noticed nothing.
 */
import type { Test } from 'tap'
import { ERRORS, type ErrorCode } from '../../src/errors.ts'
import type { RelayClient } from './relay-client.ts'
import { countSockets, surplusSockets } from './sockets.ts'
import { noise, sha256 } from './speech.ts'
import { growth } from './metric-values.ts'
import type { RunningRelay, World } from './world.ts'

export interface ExpectedEnd {
  readonly code: ErrorCode
  /** `detail` of the log line. */
  readonly detail?: string | RegExp
  /** Series that grow because of the fault, besides the end of the session. */
  readonly figures?: Readonly<Record<string, number>>
  /** Sockets that the far side, in this same process, keeps open. */
  readonly keptSockets?: number
}

const NEIGHBOUR_SECONDS = 1
const WATCHED = [
  'sessions_closed_total',
  'upstream_connects_total',
  'upstream_exceptions_total',
  'eventstream_decode_errors_total',
  'upstream_unknown_events_total',
  'protocol_violations_total',
  'client_forced_closes_total',
]
/** Messages of the log that say that the relay itself is broken. */
const BUGS = ['session failed', 'failure outside of a session', 'operations port failed']

/** Runs `fault`, which returns the client that it hit, and checks all that an end by `expected` means. */
export async function watchFault(
  t: Test,
  relay: RunningRelay,
  fault: () => Promise<RelayClient>,
  expected: ExpectedEnd,
): Promise<RelayClient> {
  const sockets = countSockets() + (expected.keptSockets ?? 0)
  const before = await relay.scrape()
  const victim = await fault()
  const close = await victim.closed
  checkWords(t, victim, close, expected.code)
  const after = await relay.scrape()
  t.strictSame(
    growth(before, after, WATCHED),
    { [closedSeries(expected.code)]: 1, ...expected.figures },
    'figures',
  )
  t.equal(after.get('sessions_active'), relay.relay.activeSessions, 'gauge of the sessions')
  await checkLog(t, relay, victim, expected)
  t.equal(await surplusSockets(sockets), 0, 'every socket is closed')
  return victim
}

/** Calls `action` while another client of the same relay streams, and checks that it was not disturbed. */
export async function withNeighbour<T>(t: Test, world: World, action: () => Promise<T>): Promise<T> {
  const pcm = noise(NEIGHBOUR_SECONDS, 7)
  const half = pcm.length / 2
  const neighbour = await world.connect()
  await neighbour.waitFor('Begin')
  neighbour.sendCut(pcm.subarray(0, half), 3000)
  const result = await action()
  neighbour.sendCut(pcm.subarray(half), 3000)
  t.match(await neighbour.finish(), { code: 1000 }, 'the neighbour ends well')
  const { sha256: heard } = await world.streamOf(neighbour)
  t.equal(heard, sha256(pcm), 'the neighbour arrives whole')
  return result
}

function closedSeries(code: ErrorCode): string {
  return `sessions_closed_total{class="${ERRORS[code].class}",reason="${code}"}`
}

function checkWords(
  t: Test,
  victim: RelayClient,
  close: { readonly code: number; readonly reason: string },
  code: ErrorCode,
): void {
  const { closeCode, retryable, retryAfterMs } = ERRORS[code]
  t.strictSame(close, { code: closeCode ?? 1006, reason: closeCode === null ? '' : code }, 'close frame')
  if (code === 'normal') {
    t.equal(victim.messages.at(-1)?.type, 'End')
    t.strictSame(victim.of('Error'), [])
    return
  }
  if (closeCode === null) return
  const { message, request_id: requestId, ...error } = victim.messages.at(-1) ?? { type: 'nothing' }
  t.strictSame(
    error,
    {
      type: 'Error',
      code,
      retryable,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
    },
    'error message',
  )
  t.type(message, 'string')
  t.match(requestId, /^[\da-f-]{36}$/)
  t.equal(victim.of('Error').length, 1)
}

async function checkLog(
  t: Test,
  { log }: RunningRelay,
  victim: RelayClient,
  { code, detail }: ExpectedEnd,
): Promise<void> {
  const sessionId = victim.messages
    .map(message => message['session_id'] ?? message['request_id'])
    .find(Boolean)
  const [line, ...more] = log.of('session ended', sessionId).slice(-1)
  t.strictSame(more, [])
  t.match(line, { reason: code, class: ERRORS[code].class, ...(detail === undefined ? {} : { detail }) })
  t.strictSame(
    log.lines.filter(({ message }) => BUGS.includes(message)),
    [],
    'no bug is logged',
  )
}
