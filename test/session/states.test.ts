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
  type MemoryDialer,
  MemoryUpstream,
  OPENING,
  resultOf,
  transcriptMessage,
} from '../support/memory-ports.ts'
import { audioOf, LIMITS, startSession, type Harness } from '../support/session-harness.ts'

/** `finishing` is reached through `open`; `closed` from `open` too, so that every port existed. */
const arrange: Readonly<Record<SessionState, () => Harness>> = {
  configuring: () => startSession('configure=true'),
  dialling: () => startSession(),
  open: () => startSession().opened(),
  finishing() {
    const harness = startSession().opened()
    harness.session.clientOnAudio(audioOf(100))
    harness.session.clientOnText('{"type":"CloseStream"}')
    return harness
  },
  closed() {
    const harness = startSession().opened()
    harness.session.clientOnAudio(audioOf(100))
    harness.session.clientOnClose({ code: 'client_closed', closeCode: 1000 })
    return harness
  },
}

const FINAL = transcriptMessage([resultOf('hello', 0, 0.1)])

const events = {
  audio: h => h.session.clientOnAudio(audioOf(100)),
  'empty binary': h => h.session.clientOnAudio(new Uint8Array(0)),
  CloseStream: h => h.session.clientOnText('{"type":"CloseStream"}'),
  KeepAlive: h => h.session.clientOnText('{"type":"KeepAlive"}'),
  Configure: h => h.session.clientOnText('{"type":"Configure","sample-rate":8000}'),
  'wrong Configure': h => h.session.clientOnText('{"type":"Configure","sample-rate":1}'),
  'bad text': h => h.session.clientOnText('hello'),
  'audio in text': h => h.session.clientOnText('{"audio":"AAAA"}'),
  'long text': h => h.session.clientOnText('é'.repeat(MAX_TEXT_BYTES / 2 + 1)),
  oversize: h => h.session.clientOnOversize(70_000),
  'client drain': h => h.session.clientOnDrain(),
  'client close': h => h.session.clientOnClose({ code: 'client_closed', closeCode: 1001 }),
  'client reset': h => h.session.clientOnClose({ code: 'tcp_reset', closeCode: 1006 }),
  'client failure': h => h.session.clientOnFailure(new Error('a bug')),
  'upstream open'(h) {
    if (h.session.state === 'dialling') h.dial.open()
    else openStray(h)
  },
  'upstream final': h => h.session.upstreamOnMessage(FINAL),
  'upstream exception': h =>
    h.session.upstreamOnMessage(exceptionMessage('InternalFailureException', 'oops')),
  'upstream garbage': h => h.session.upstreamOnMessage(Buffer.from('garbage garbage garbage')),
  'upstream unknown event': h =>
    h.session.upstreamOnMessage(eventMessage({ ':message-type': 'event', ':event-type': 'NewEvent' }, {})),
  'upstream close 1000': h => closeUpstream(h, 1000, null),
  'upstream close 1006': h => closeUpstream(h, 1006, null),
  'upstream error': h => closeUpstream(h, 1006, new RelayError('upstream_timeout')),
  'dial failure': h => h.session.upstreamOnFailure(new RelayError('upstream_unavailable')),
  'tick past the Configure deadline': h => h.clock.advance(LIMITS.configureTimeoutMs),
  'tick past the flush deadline': h => h.clock.advance(LIMITS.flushTimeoutMs + 200),
  'tick past the audio deadline': h => h.clock.advance(LIMITS.audioTimeoutMs),
  'tick past the session deadline'(h) {
    h.session.tick(h.clock.monotonicMs() + LIMITS.maxSessionMs)
  },
  'tick of a stalled upstream'(h) {
    const upstream = h.dialer.dials[0]?.upstream
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
    finishing: failed(code, closeCode, 'close'),
    ...but,
  }
}

const GONE = {
  configuring: 'closed | - | - | -',
  dialling: 'closed | - | - | cancel',
  open: 'closed | - | - | end+close',
  finishing: 'closed | - | - | close',
} as const

const ENDED = {
  configuring: 'closed | End | 1000 normal | -',
  dialling: 'closed | End | 1000 normal | cancel',
  open: 'finishing | - | - | end',
} as const

/** What is not written is `SAME`; `closed` never is: nothing happens any more. */
const expectations: Readonly<Record<EventName, Partial<Record<SessionState, Cell>>>> = {
  audio: {
    configuring: failed('unsupported_data', 1003, '-'),
    finishing: 'finishing | Warning audio_after_end | - | -',
  },
  'empty binary': ENDED,
  CloseStream: ENDED,
  KeepAlive: {},
  Configure: failures('bad_control_message', 4400, { configuring: 'dialling | - | - | -' }),
  'wrong Configure': failures('bad_control_message', 4400, {
    configuring: failed('invalid_request', 4400, '-'),
  }),
  'bad text': failures('bad_control_message', 4400),
  'audio in text': failures('unsupported_data', 1003),
  'long text': failures('message_too_big', 1009),
  oversize: failures('message_too_big', 1009),
  'client drain': {},
  'client close': GONE,
  'client reset': GONE,
  'client failure': failures('internal', 1011),
  // One that nobody waits for is cut, which `openStray` checks.
  'upstream open': { dialling: 'open | Begin | - | -' },
  'upstream final': {
    // Before Begin nothing is said; the service does not speak first.
    open: 'open | Transcript | - | -',
    finishing: 'finishing | Transcript | - | -',
  },
  'upstream exception': { ...failures('upstream_error', 4502), configuring: SAME.configuring },
  'upstream garbage': { ...failures('upstream_protocol', 4502), configuring: SAME.configuring },
  'upstream unknown event': {},
  'upstream close 1000': {
    ...failures('upstream_closed', 4502, { open: failed('upstream_closed', 4502, '-') }),
    finishing: 'closed | End | 1000 normal | -',
  },
  'upstream close 1006': failures('upstream_closed', 4502, {
    open: failed('upstream_closed', 4502, '-'),
    finishing: failed('upstream_closed', 4502, '-'),
  }),
  'upstream error': failures('upstream_timeout', 4504, {
    open: failed('upstream_timeout', 4504, '-'),
    finishing: failed('upstream_timeout', 4504, '-'),
  }),
  'dial failure': failures('upstream_unavailable', 4503),
  'tick past the Configure deadline': { configuring: failed('configure_timeout', 4408, '-') },
  'tick past the flush deadline': {
    configuring: failed('configure_timeout', 4408, '-'),
    finishing: failed('flush_timeout', 4504, 'close'),
  },
  'tick past the audio deadline': {
    configuring: failed('configure_timeout', 4408, '-'),
    open: 'finishing | - | - | end',
    finishing: failed('flush_timeout', 4504, 'close'),
  },
  'tick past the session deadline': {
    configuring: failed('configure_timeout', 4408, '-'),
    open: 'finishing | - | - | end',
    finishing: failed('flush_timeout', 4504, 'close'),
  },
  'tick of a stalled upstream': {
    open: failed('upstream_stalled', 4504, 'terminate'),
    finishing: failed('upstream_stalled', 4504, 'terminate'),
  },
  'drain announced': {
    open: 'open | Draining | - | -',
    finishing: 'finishing | Draining | - | -',
  },
  finishWith: {
    configuring: failed('drain_deadline', 1012, '-'),
    dialling: failed('drain_deadline', 1012, 'cancel'),
    open: 'finishing | - | - | end',
  },
  abort: failures('drain_deadline', 1012),
}

for (const state of SESSION_STATES) {
  for (const name of Object.keys(events) as EventName[]) {
    t.test(`${state} × ${name}`, async t => {
      const harness = arrange[state]()
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
  const seen = new Set<string>(['configuring>dialling', 'dialling>finishing'])
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

function openStray({ session }: Harness): void {
  const nobody = { upstreamOnOpen() {}, upstreamOnMessage() {}, upstreamOnClose() {}, upstreamOnFailure() {} }
  const stray = new MemoryUpstream(nobody)
  session.upstreamOnOpen(stray, OPENING)
  if (stray.ended !== 'terminate') throw new Error('a stray upstream lives on')
}

function closeUpstream({ dialer, session }: Harness, closeCode: number, error: RelayError | null): void {
  const upstream = dialer.dials[0]?.upstream
  if (upstream !== undefined && session.state !== 'dialling') upstream.isDead = true
  session.upstreamOnClose({ closeCode, reason: 'done', error })
}

interface Snapshot {
  readonly messages: number
  readonly payloads: number
  readonly ended: string | null
}

function snapshot({ client, dialer }: Harness): Snapshot {
  const upstream = dialer.dials[0]?.upstream
  return {
    messages: client.messages.length,
    payloads: upstream?.payloads.length ?? 0,
    ended: upstream?.ended ?? null,
  }
}

function describe({ client, dialer, session }: Harness, before: Snapshot, hadClosed: boolean): string {
  const messages = client.messages
    .slice(before.messages)
    .map(({ type, code }) => (typeof code === 'string' ? `${type} ${code}` : type))
  const close = client.closed === null || hadClosed ? '-' : `${client.closed.code} ${client.closed.reason}`
  return `${session.state} | ${messages.join(', ') || '-'} | ${close} | ${describeUpstream(dialer, before)}`
}

function describeUpstream({ dials }: MemoryDialer, before: Snapshot): Effect {
  const dial = dials[0]
  if (dial === undefined || dial.upstream.isDead || before.ended !== null) return '-'
  const { ended, payloads } = dial.upstream
  const hasEnd = payloads.slice(before.payloads).some(({ length }) => length === 0)
  if (ended === 'terminate') return 'terminate'
  if (ended === 'close') return hasEnd ? 'end+close' : 'close'
  if (hasEnd) return 'end'
  return dial.isCanceled ? 'cancel' : '-'
}
