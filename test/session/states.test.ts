/**
 * Every state × event cell of a session: what becomes of the state, what the client hears, how it is closed, and what
 * the upstream sees.
 */
import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { MAX_TEXT_BYTES } from '../../src/protocol/client-messages.ts'
import { mayMove, SESSION_STATES, TRANSITIONS, type SessionState } from '../../src/session/states.ts'
import {
  eventMessage,
  exceptionMessage,
  type MemoryDial,
  MemoryUpstream,
  OPENING,
  resultOf,
  transcriptMessage,
} from '../support/memory-ports.ts'
import type { SessionLimits } from '../../src/session/limits.ts'
import { audioOf, LIMITS, startSession, type Harness } from '../support/session-harness.ts'

/** Time limits that come before all others, for the event they belong to. */
const SHORT_SESSION = { maxSessionMs: 5000, sessionWarningMs: 0, configureTimeoutMs: 20_000 } as const

/** All but the first two are reached through `open`. */
const arrange: Readonly<Record<SessionState, (limits?: Partial<SessionLimits>) => Harness>> = {
  configuring: limits => startSession('configure=true', limits),
  dialling: limits => startSession('', limits),
  open: limits => startSession('', limits).opened(),
  'rolling-over'(limits) {
    const harness = begun(limits)
    harness.dial.close(1006)
    // The wait before the dial.
    harness.clock.advance(LIMITS.rolloverBackoffMs)
    return harness
  },
  parked: limits => said('{"type":"Pause"}', begun(limits)),
  finishing: limits => said('{"type":"CloseStream"}', begun(limits)),
  closed() {
    const harness = begun()
    harness.session.clientOnClose({ code: 'client_closed', closeCode: 1000 })
    return harness
  },
}

function begun(limits?: Partial<SessionLimits>): Harness {
  const harness = startSession('', limits).opened()
  harness.session.clientOnAudio(audioOf(100))
  return harness
}

function said(message: string, harness: Harness): Harness {
  harness.session.clientOnText(message)
  return harness
}

const FINAL = transcriptMessage([resultOf('hello', 0, 0.1)])

const events = {
  audio: h => h.session.clientOnAudio(audioOf(100)),
  'empty binary': h => h.session.clientOnAudio(new Uint8Array(0)),
  CloseStream: h => h.session.clientOnText('{"type":"CloseStream"}'),
  KeepAlive: h => h.session.clientOnText('{"type":"KeepAlive"}'),
  Pause: h => h.session.clientOnText('{"type":"Pause"}'),
  Resume: h => h.session.clientOnText('{"type":"Resume"}'),
  Configure: h => h.session.clientOnText('{"type":"Configure","sample-rate":8000}'),
  'wrong Configure': h => h.session.clientOnText('{"type":"Configure","sample-rate":1}'),
  'bad text': h => h.session.clientOnText('hello'),
  'audio in text': h => h.session.clientOnText('{"audio":"AAAA"}'),
  'long text': h => h.session.clientOnText('é'.repeat(MAX_TEXT_BYTES / 2 + 1)),
  oversize: h => h.session.clientOnOversize(70_000),
  'client close': h => h.session.clientOnClose({ code: 'client_closed', closeCode: 1001 }),
  'client reset': h => h.session.clientOnClose({ code: 'tcp_reset', closeCode: 1006 }),
  'client failure': h => h.session.clientOnFailure(new Error('a bug')),
  'upstream open'(h) {
    if (['dialling', 'rolling-over'].includes(h.session.state)) h.dial.open()
    else openStray(h)
  },
  'upstream final': h => upstreamOf(h)?.receive(FINAL),
  'upstream exception': h => upstreamOf(h)?.receive(exceptionMessage('InternalFailureException', 'oops')),
  'upstream garbage': h => upstreamOf(h)?.receive(Buffer.from('garbage garbage garbage')),
  'upstream unknown event': h =>
    upstreamOf(h)?.receive(eventMessage({ ':message-type': 'event', ':event-type': 'NewEvent' }, {})),
  'upstream close 1000': h => upstreamOf(h)?.close(1000),
  'upstream close 1006': h => upstreamOf(h)?.close(1006),
  'upstream error': h => upstreamOf(h)?.close(1006, '', new RelayError('upstream_timeout')),
  'late upstream': h => {
    const [first] = h.dialer.dials
    if (first === undefined || h.dialer.dials.length === 1) return
    first.receive(FINAL)
    first.close(1000)
    first.fail(new RelayError('upstream_unavailable'))
  },
  'dial failure'(h) {
    if (['dialling', 'rolling-over'].includes(h.session.state))
      h.dial.fail(new RelayError('upstream_unavailable'))
  },
  'dial refused'(h) {
    if (['dialling', 'rolling-over'].includes(h.session.state))
      h.dial.fail(new RelayError('upstream_bad_request'))
  },
  'tick past the Configure deadline': h => h.clock.advance(LIMITS.configureTimeoutMs),
  'tick past the flush deadline': h => h.clock.advance(LIMITS.flushTimeoutMs + 200),
  'tick past the audio deadline': h => h.clock.advance(LIMITS.audioTimeoutMs),
  'tick past the session deadline': h => h.clock.advance(SHORT_SESSION.maxSessionMs),
  'tick past the gap': h => h.clock.advance(LIMITS.rolloverGapMs),
  'tick of a stalled upstream'(h) {
    const upstream = upstreamOf(h)?.upstream
    if (upstream !== undefined) upstream.buffered = LIMITS.upstreamBufferBytes + 1
    h.clock.advance(100)
  },
  'drain announced': h => h.session.announceDrain(1500),
  finishWith: h => h.session.finishWith('drain_deadline'),
  abort: h => h.session.abort('drain_deadline'),
} satisfies Record<string, (harness: Harness) => void>

type EventName = keyof typeof events

/** What the upstream sees: nothing, the end of the audio, a Close frame (after that end), a cut, or a dial given up. */
type Effect = '-' | 'end' | 'end+close' | 'close' | 'terminate' | 'cancel'

/** `state`, then new messages (`Error`s and `Warning`s with their code), then the close, then the upstream. */
type Cell = `${SessionState} | ${string} | ${string} | ${Effect}`

const SAME: Readonly<Record<SessionState, Cell>> = {
  configuring: 'configuring | - | - | -',
  dialling: 'dialling | - | - | -',
  open: 'open | - | - | -',
  'rolling-over': 'rolling-over | - | - | -',
  parked: 'parked | - | - | -',
  finishing: 'finishing | - | - | -',
  closed: 'closed | - | - | -',
}

function failed(code: string, closeCode: number, effect: Effect): Cell {
  return `closed | Error ${code} | ${closeCode} ${code} | ${effect}`
}

/** Failures: the same words to the client, and in each state its own end of the upstream. */
function failures(
  code: string,
  closeCode: number,
  but: Partial<Record<SessionState, Cell>> = {},
): Partial<Record<SessionState, Cell>> {
  return {
    configuring: failed(code, closeCode, '-'),
    dialling: failed(code, closeCode, 'cancel'),
    open: failed(code, closeCode, 'end+close'),
    'rolling-over': failed(code, closeCode, 'cancel'),
    parked: failed(code, closeCode, 'close'),
    finishing: failed(code, closeCode, 'close'),
    ...but,
  }
}

const GONE = {
  configuring: 'closed | - | - | -',
  dialling: 'closed | - | - | cancel',
  open: 'closed | - | - | end+close',
  'rolling-over': 'closed | - | - | cancel',
  parked: 'closed | - | - | close',
  finishing: 'closed | - | - | close',
} as const

const ENDED = {
  configuring: 'closed | End | 1000 normal | -',
  dialling: 'closed | End | 1000 normal | cancel',
  open: 'finishing | - | - | end',
  parked: 'finishing | - | - | -',
} as const

/** Another stream takes over; the one before had this end. */
function lost(effect: Effect): Partial<Record<SessionState, Cell>> {
  const cell: Cell = `rolling-over | - | - | ${effect}`
  return { open: cell, parked: cell, finishing: cell }
}

/** What is not written is `SAME`; `closed` never is: nothing happens any more. */
const expectations: Readonly<Record<EventName, Partial<Record<SessionState, Cell>>>> = {
  audio: {
    configuring: failed('unsupported_data', 1003, '-'),
    // Its last results are not waited for: the next stream hears that audio too.
    parked: 'rolling-over | - | - | close',
    finishing: 'finishing | Warning audio_after_end | - | -',
  },
  'empty binary': ENDED,
  CloseStream: ENDED,
  KeepAlive: {},
  Pause: { open: 'parked | - | - | end' },
  Resume: { parked: 'rolling-over | - | - | close' },
  Configure: failures('bad_control_message', 4400, { configuring: 'dialling | - | - | -' }),
  'wrong Configure': failures('bad_control_message', 4400, {
    configuring: failed('invalid_request', 4400, '-'),
  }),
  'bad text': failures('bad_control_message', 4400),
  'audio in text': failures('unsupported_data', 1003),
  'long text': failures('message_too_big', 1009),
  oversize: failures('message_too_big', 1009),
  'client close': GONE,
  'client reset': GONE,
  'client failure': failures('internal', 1011),
  // One that nobody waits for is cut, which `openStray` checks.
  'upstream open': { dialling: 'open | Begin | - | -', 'rolling-over': 'open | Rollover | - | -' },
  'upstream final': {
    // Before it is open a stream says nothing.
    open: 'open | Transcript | - | -',
    parked: 'parked | Transcript | - | -',
    finishing: 'finishing | Transcript | - | -',
  },
  'upstream exception': { ...lost('close'), open: 'rolling-over | - | - | end+close' },
  'upstream garbage': { ...lost('close'), open: 'rolling-over | - | - | end+close' },
  'upstream unknown event': {},
  'upstream close 1000': {
    dialling: failed('upstream_closed', 4502, '-'),
    open: 'rolling-over | - | - | -',
    finishing: 'closed | End | 1000 normal | -',
  },
  'upstream close 1006': { dialling: failed('upstream_closed', 4502, '-'), ...lost('-') },
  'upstream error': { dialling: failed('upstream_timeout', 4504, '-'), ...lost('-') },
  'late upstream': {},
  'dial failure': { dialling: failed('upstream_unavailable', 4503, '-') },
  'dial refused': {
    dialling: failed('upstream_bad_request', 4400, '-'),
    // The reason that the stream was lost for.
    'rolling-over': failed('upstream_closed', 4502, '-'),
  },
  'tick past the Configure deadline': { configuring: failed('configure_timeout', 4408, '-') },
  'tick past the flush deadline': {
    ...lost('close'),
    configuring: failed('configure_timeout', 4408, '-'),
    open: 'parked | - | - | end',
  },
  'tick past the audio deadline': {
    ...lost('close'),
    configuring: failed('configure_timeout', 4408, '-'),
    open: 'parked | - | - | end',
  },
  'tick past the session deadline': {
    open: 'finishing | - | - | end',
    parked: 'finishing | - | - | -',
  },
  'tick past the gap': {
    ...lost('close'),
    configuring: failed('configure_timeout', 4408, '-'),
    'rolling-over': failed('upstream_closed', 4502, 'cancel'),
    // Parked without audio, and done with by itself: there was nothing to wait for.
    open: 'parked | - | - | end+close',
  },
  'tick of a stalled upstream': lost('terminate'),
  'drain announced': {
    open: 'open | Draining | - | -',
    'rolling-over': 'rolling-over | Draining | - | -',
    parked: 'parked | Draining | - | -',
    finishing: 'finishing | Draining | - | -',
  },
  finishWith: {
    configuring: failed('drain_deadline', 1012, '-'),
    dialling: failed('drain_deadline', 1012, 'cancel'),
    open: 'finishing | - | - | end',
    parked: 'finishing | - | - | -',
  },
  abort: failures('drain_deadline', 1012),
}

for (const state of SESSION_STATES) {
  for (const name of Object.keys(events) as EventName[]) {
    t.test(`${state} × ${name}`, async t => {
      const harness = arrange[state](name === 'tick past the session deadline' ? SHORT_SESSION : {})
      t.equal(harness.session.state, state)
      const before = snapshot(harness)
      events[name](harness)
      t.equal(describe(harness, before, state === 'closed'), expectations[name][state] ?? SAME[state])
      t.equal(harness.registry.activeCount, harness.session.state === 'closed' ? 0 : 1)
      t.equal(harness.log.ends.length, harness.session.state === 'closed' ? 1 : 0, 'one end record')
      t.equal(harness.metrics.ended.length, harness.log.ends.length)
    })
  }
}

t.test('the table of transitions says what the cells show', async t => {
  const seen = new Set<string>(['configuring>dialling', 'dialling>finishing', 'rolling-over>finishing'])
  for (const name of Object.keys(events) as EventName[]) {
    for (const state of SESSION_STATES) {
      const to = (expectations[name][state] ?? SAME[state]).split(' ')[0]
      if (to !== state) seen.add(`${state}>${to}`)
    }
  }
  const allowed = SESSION_STATES.flatMap(from => TRANSITIONS[from].map(to => `${from}>${to}`))
  t.strictSame([...seen].toSorted(), allowed.toSorted())
  t.strictSame(Object.keys(TRANSITIONS), SESSION_STATES)
  t.equal(mayMove('open', 'finishing'), true)
  t.equal(mayMove('closed', 'open'), false)
})

t.test('a closed session ignores everything that calls late', async t => {
  const harness = arrange.closed()
  const messages = harness.client.messages.length
  const frames = harness.metrics.upstreamFrames
  for (const event of Object.values(events)) {
    event(harness)
    t.equal(harness.session.state, 'closed')
  }
  t.equal(harness.client.messages.length, messages)
  t.equal(harness.metrics.upstreamFrames, frames)
  t.equal(harness.metrics.ended.length, 1)
  t.equal(harness.session.clientBufferedBytes, 0)
  t.equal(harness.session.upstreamBufferedBytes, 0)
})

/** A second socket for a stream that has one, or had. */
function openStray({ dialer }: Harness): void {
  const nobody = { upstreamOnOpen() {}, upstreamOnMessage() {}, upstreamOnClose() {}, upstreamOnFailure() {} }
  const stray = new MemoryUpstream(nobody)
  const listener = dialer.dials.at(-1)?.listener
  if (listener === undefined) return
  listener.upstreamOnOpen(stray, OPENING)
  if (stray.ended !== 'terminate') throw new Error('a stray upstream lives on')
}

/** The stream of the moment, if anything was dialled. */
function upstreamOf({ dialer }: Harness): MemoryDial | undefined {
  return dialer.dials.at(-1)
}

interface Snapshot {
  /** The stream of the moment. */
  readonly dial: MemoryDial | undefined
  readonly messages: number
  readonly payloads: number
  readonly ended: string | null
}

function snapshot({ client, dialer }: Harness): Snapshot {
  const dial = dialer.dials.at(-1)
  const upstream = dial?.upstream
  return {
    dial,
    messages: client.messages.length,
    payloads: upstream?.payloads.length ?? 0,
    ended: upstream?.ended ?? null,
  }
}

function describe({ client, session }: Harness, before: Snapshot, hadClosed: boolean): string {
  const messages = client.messages
    .slice(before.messages)
    .map(({ type, code }) => (typeof code === 'string' ? `${type} ${code}` : type))
  const close = client.closed === null || hadClosed ? '-' : `${client.closed.code} ${client.closed.reason}`
  return `${session.state} | ${messages.join(', ') || '-'} | ${close} | ${describeUpstream(before)}`
}

function describeUpstream(before: Snapshot): Effect {
  const { dial } = before
  if (dial === undefined || dial.upstream.isDead || before.ended !== null) return '-'
  const { ended, payloads } = dial.upstream
  const hasEnd = payloads.slice(before.payloads).some(({ length }) => length === 0)
  if (ended === 'terminate') return 'terminate'
  if (ended === 'close') return hasEnd ? 'end+close' : 'close'
  if (hasEnd) return 'end'
  return dial.isCanceled ? 'cancel' : '-'
}
