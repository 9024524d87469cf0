import t from 'tap'
import { RelayError, type ErrorCode } from '../../src/errors.ts'
import type { Resumption } from '../../src/session/host.ts'
import type { ClientEnd, ClientListener, SendResult } from '../../src/session/ports.ts'
import type { SessionLimits } from '../../src/session/limits.ts'
import { LAST_READ_MS } from '../../src/session/resumable-client.ts'
import { MemoryClient, resultOf, transcriptMessage } from '../support/memory-ports.ts'
import { audioOf, openKept, SESSION_ID, type KeptHarness } from '../support/session-harness.ts'

const RESET: ClientEnd = { code: 'tcp_reset', closeCode: 1006 }

/** Reads nothing unless told: all that it is sent waits in its socket. */
class SlowClient extends MemoryClient {
  override sendText(message: string): SendResult {
    super.sendText(message)
    this.buffered += Buffer.byteLength(message)
    return 'buffered'
  }
}

/** A kept session whose stream is open. */
function opened(limits: Partial<SessionLimits> = {}, queryString = ''): KeptHarness {
  const harness = openKept(queryString, limits)
  harness.dial.open()
  return harness
}

function tokenOf(client: MemoryClient): string {
  const token = client.messages.findLast(message => 'resume_token' in message)?.['resume_token']
  if (typeof token !== 'string') throw new Error('no token')
  return token
}

function seqsOf(client: MemoryClient): unknown[] {
  return client.messages.flatMap(message => ('seq' in message ? [message['seq']] : []))
}

function find(
  { registry }: KeptHarness,
  token: string,
  seq: number,
  owner: string | null = 'key:ana',
): Resumption {
  return registry.findResumable({ token, seq, owner })
}

/** Comes back over a new socket. */
function comeBack(
  harness: KeptHarness,
  token: string,
  seq: number,
): MemoryClient & { listener: ClientListener } {
  const client = new MemoryClient()
  const listener = find(harness, token, seq).attach(client)
  // Like the real socket, tells of a close that came before there was anybody to tell.
  if (client.closed !== null) listener.clientOnClose({ code: 'client_closed', closeCode: client.closed.code })
  return Object.assign(client, { listener })
}

function say({ dial }: KeptHarness, text: string, start: number, isPartial = false): void {
  dial.receive(transcriptMessage([resultOf(text, start, start + 0.5, isPartial)]))
}

function refusalOf(action: () => unknown): ErrorCode | null {
  try {
    action()
    return null
  } catch (error) {
    if (error instanceof RelayError) return error.code
    throw error
  }
}

t.test('every message of a session that can be resumed is numbered, whatever its format', async t => {
  for (const format of ['simple', 'aws']) {
    const harness = opened({}, `format=${format}`)
    say(harness, 'one', 0)
    say(harness, 'two', 1)
    harness.registry.announceDrain()
    t.strictSame(seqsOf(harness.client), [1, 2, 3, 4], format)
    t.match(harness.client.messages[0], { type: 'Begin', resume_seconds: 30, resume_token: String })
    t.equal(harness.client.texts[1]?.match(/"seq"/g)?.length, 1, 'once')
  }
})

t.test('what was missed comes in order after Resumed, and the upstream notices nothing', async t => {
  const harness = opened()
  const { client, clock, dialer } = harness
  harness.listener.clientOnAudio(audioOf(100))
  say(harness, 'one', 0)
  harness.listener.clientOnClose(RESET)
  t.equal(harness.registry.awayCount, 1)
  t.equal(harness.registry.activeCount, 1, 'it counts')
  say(harness, 'two', 1)
  clock.advance(2000)
  say(harness, 'three', 2)
  const back = comeBack(harness, tokenOf(client), 2)
  t.strictSame(back.types, ['Resumed', 'Transcript', 'Transcript'])
  t.match(back.messages[0], {
    session_id: SESSION_ID,
    audio_bytes: 3200,
    audio_seconds: 0.1,
    resume_seconds: 30,
  })
  t.strictSame(seqsOf(back), [3, 4])
  say(harness, 'four', 3)
  back.listener.clientOnAudio(audioOf(100))
  back.listener.clientOnText('{"type":"CloseStream"}')
  t.equal(dialer.dials.length, 1)
  harness.dial.close()
  t.strictSame(seqsOf(back), [3, 4, 5, 6])
  t.match(back.last, { type: 'End', finals: 4 })
  t.strictSame(back.closed, { code: 1000, reason: 'normal' })
  t.equal(harness.dial.upstream.audio.length, 6400)
  t.match(harness.metrics, { connectionsLost: 1, connectionsResumed: 1, ended: [{ code: 'normal' }] })
  t.equal(harness.overs, 1)
})

t.test('a token is for one connection, but a Resumed that did not arrive costs nothing', async t => {
  const harness = opened()
  const first = tokenOf(harness.client)
  harness.listener.clientOnClose(RESET)
  const second = comeBack(harness, first, 1)
  second.listener.clientOnClose(RESET)
  const third = comeBack(harness, first, 1)
  t.not(tokenOf(third), first)
  t.equal(
    refusalOf(() => find(harness, tokenOf(second), 1)),
    'resume_not_found',
    'nobody heard of it',
  )
  third.listener.clientOnText('{"type":"KeepAlive"}')
  t.equal(
    refusalOf(() => find(harness, first, 1)),
    'resume_not_found',
    'used up',
  )
  t.equal(
    refusalOf(() => find(harness, tokenOf(third), 1)),
    null,
  )
})

t.test('a token that is wrong, foreign or of another place is refused', async t => {
  const harness = opened()
  const token = tokenOf(harness.client)
  t.match(token, /^test\.1\.[0-9a-f-]{36}\.[\w-]{32}$/)
  const wrong = token.slice(0, -1) + (token.endsWith('A') ? 'B' : 'A')
  const cases: [string, ErrorCode][] = [
    ['', 'resume_not_found'],
    ['nonsense', 'resume_not_found'],
    [wrong, 'resume_not_found'],
    [token.replace('test.', 'other.'), 'resume_not_found'],
    [token.replace('.1.', '.2.'), 'resume_elsewhere'],
    [token.replace(SESSION_ID, SESSION_ID.replace('1', '2')), 'resume_not_found'],
  ]
  for (const [text, code] of cases)
    t.equal(
      refusalOf(() => find(harness, text, 1)),
      code,
      text,
    )
  for (const owner of [null, 'jwt:ana', 'key:bob']) {
    t.equal(
      refusalOf(() => find(harness, token, 1, owner)),
      'resume_not_found',
      String(owner),
    )
  }
  t.throws(() => find(harness, token, 2), { code: 'invalid_request', message: /at most 1/ })
})

t.test('the window over, the session ends as it would have at once', async t => {
  const harness = opened()
  const token = tokenOf(harness.client)
  harness.listener.clientOnClose(RESET)
  harness.clock.advance(29_900)
  t.equal(harness.registry.activeCount, 1)
  harness.clock.advance(200)
  t.equal(harness.registry.activeCount, 0)
  t.match(harness.metrics.ended, [{ code: 'tcp_reset' }])
  t.equal(harness.overs, 1)
  t.equal(
    refusalOf(() => find(harness, token, 1)),
    'resume_not_found',
  )
})

t.test('who says farewell, breaks the protocol or had no Begin is not waited for', async t => {
  const ends: [ClientEnd, boolean][] = [
    [{ code: 'client_closed', closeCode: 1000 }, false],
    [{ code: 'client_closed', closeCode: 1005 }, false],
    [{ code: 'client_closed', closeCode: 4000 }, false],
    [{ code: 'client_closed', closeCode: 4999 }, false],
    [{ code: 'invalid_utf8', closeCode: 1006 }, false],
    [{ code: 'too_big_native', closeCode: 1006 }, false],
    [{ code: 'client_closed', closeCode: 1001 }, true],
    [{ code: 'client_closed', closeCode: 1012 }, true],
    [{ code: 'tcp_fin', closeCode: 1006 }, true],
    [{ code: 'tcp_reset', closeCode: 1006 }, true],
    [{ code: 'ping_timeout', closeCode: 1006 }, true],
  ]
  for (const [end, waits] of ends) {
    const harness = opened()
    harness.listener.clientOnClose(end)
    t.equal(harness.registry.awayCount, Number(waits), `${end.code} ${end.closeCode}`)
    t.equal(harness.registry.activeCount, Number(waits))
    t.equal(harness.overs, Number(!waits))
  }
  const dialling = openKept()
  dialling.listener.clientOnClose(RESET)
  t.equal(dialling.registry.activeCount, 0)
  const off = opened({ resumeSeconds: 0 })
  t.notOk('resume_token' in (off.client.messages[0] ?? {}))
  off.listener.clientOnClose(RESET)
  t.equal(off.registry.activeCount, 0, 'switched off')
})

t.test('the new socket takes over from one that seems alive', async t => {
  const harness = opened()
  const { client } = harness
  const token = tokenOf(client)
  client.listener = harness.listener
  const back = comeBack(harness, token, 1)
  t.match(client.last, { type: 'Error', code: 'resume_taken', retryable: false })
  t.strictSame(client.closed, { code: 4409, reason: 'resume_taken' })
  harness.listener.clientOnAudio(audioOf(100))
  harness.listener.clientOnText('nonsense')
  harness.listener.clientOnOversize(1e6)
  harness.listener.clientOnFailure(new Error('late'))
  harness.listener.clientOnDrain?.()
  t.equal(harness.registry.activeCount, 1, 'the old one is not heard any more')
  back.listener.clientOnText('nonsense')
  t.match(back.last, { code: 'bad_control_message' })
})

t.test('audio is acknowledged in time, and only where there is some', async t => {
  const harness = opened({ resumeAckMs: 500 })
  const { client, clock, listener } = harness
  const acks = () => client.ofType('Ack')
  clock.advance(2000)
  t.strictSame(acks(), [])
  listener.clientOnAudio(audioOf(100))
  clock.advance(500)
  t.strictSame(acks(), [{ type: 'Ack', audio_bytes: 3200, audio_seconds: 0.1 }])
  clock.advance(2000)
  t.equal(acks().length, 1)
  listener.clientOnAudio(audioOf(50))
  client.buffered = 1
  clock.advance(1000)
  t.equal(acks().length, 1, 'not to a client that is behind')
  client.buffered = 0
  clock.advance(100)
  t.match(acks()[1], { audio_bytes: 4800 })
  const compressed = opened({}, 'media-encoding=flac')
  compressed.listener.clientOnAudio(Buffer.from('fLaC00000000000000'))
  compressed.clock.advance(1000)
  t.strictSame(compressed.client.ofType('Ack'), [{ type: 'Ack', audio_bytes: 18 }])
})

t.test('what a session ends with while nobody is there is kept for one window', async t => {
  const harness = opened()
  const token = tokenOf(harness.client)
  harness.listener.clientOnAudio(audioOf(100))
  harness.listener.clientOnText('{"type":"CloseStream"}')
  harness.listener.clientOnClose(RESET)
  say(harness, 'last words', 0)
  harness.dial.close()
  t.equal(harness.registry.activeCount, 0)
  t.equal(harness.overs, 1, 'and counts no more')
  const back = comeBack(harness, token, 1)
  t.strictSame(back.types, ['Resumed', 'Transcript', 'End'])
  t.strictSame(back.closed, { code: 1000, reason: 'normal' })
  // The Close frame does not say whether it was read.
  const again = comeBack(harness, tokenOf(back), 2)
  t.strictSame(again.types, ['Resumed', 'End'])
  harness.clock.advance(30_100)
  t.equal(
    refusalOf(() => find(harness, tokenOf(again), 2)),
    'resume_not_found',
  )
  t.equal(harness.overs, 1)
})

t.test('the last words of no more sessions are kept than there may be sessions', async t => {
  const harness = openKept('', {}, 2)
  const tokens: string[] = []
  for (let index = 1; index <= 3; index += 1) {
    const { client, listener } = harness.another(String(index))
    harness.dial.open()
    tokens.push(tokenOf(client))
    listener.clientOnText('nonsense')
  }
  t.strictSame(
    tokens.map(token => refusalOf(() => find(harness, token, 1))),
    ['resume_not_found', null, null],
  )
})

t.test('a client that missed more than is kept is told so, and may go on from what is kept', async t => {
  const harness = opened({ resumeBufferBytes: 65_536 })
  const token = tokenOf(harness.client)
  harness.listener.clientOnClose(RESET)
  const long = 'word '.repeat(1000)
  for (let index = 0; index < 20; index += 1) say(harness, long, index)
  t.throws(() => find(harness, token, 1), { code: 'resume_gap', message: /oldest that is kept is (\d+)/ })
  t.equal(harness.registry.activeCount, 1)
  let seq = 2
  while (refusalOf(() => find(harness, token, seq)) === 'resume_gap') seq += 1
  const back = comeBack(harness, token, seq)
  t.equal(seqsOf(back).at(-1), 21)
  const kept = back.texts.slice(1).reduce((sum, text) => sum + text.length, 0)
  t.ok(kept <= 65_536 && kept > 50_000, `kept ${kept} bytes`)
})

t.test('partial results are left out for a client that is away for long, final results are not', async t => {
  const harness = opened({ resumeBufferBytes: 65_536 })
  harness.listener.clientOnClose(RESET)
  const long = 'word '.repeat(2000)
  for (let index = 0; index < 20; index += 1) say(harness, long, index, true)
  say(harness, 'final', 20)
  t.ok(harness.metrics.partialsDropped > 10)
  const back = comeBack(harness, tokenOf(harness.client), 1)
  t.match(back.last, { is_final: true, text: 'final' })
  t.strictSame(
    seqsOf(back),
    seqsOf(back).map((_, index) => index + 2),
    'without a gap',
  )
})

t.test('what is said again waits for a slow reader, and new messages wait behind it', async t => {
  const harness = opened()
  harness.listener.clientOnClose(RESET)
  for (let index = 0; index < 3; index += 1) say(harness, `w${index}`, index)
  const client = new MemoryClient()
  client.buffered = 65_536
  const listener = find(harness, tokenOf(harness.client), 1).attach(client)
  t.strictSame(client.types, ['Resumed'])
  say(harness, 'w3', 3)
  listener.clientOnText('{"type":"CloseStream"}')
  harness.dial.close()
  t.strictSame(client.types, ['Resumed'], 'not even the end overtakes')
  t.equal(client.closed, null)
  client.buffered = 0
  listener.clientOnDrain?.()
  t.strictSame(seqsOf(client), [2, 3, 4, 5, 6])
  t.strictSame(client.closed, { code: 1000, reason: 'normal' })
  listener.clientOnDrain?.()
})

t.test('a client that comes back and does not read ends with slow_consumer', async t => {
  const harness = opened({ resumeBufferBytes: 65_536 })
  harness.listener.clientOnClose(RESET)
  say(harness, 'one', 0)
  const client = new MemoryClient()
  client.buffered = 65_536
  find(harness, tokenOf(harness.client), 1).attach(client)
  const long = 'word '.repeat(2000)
  for (let index = 1; index < 12; index += 1) say(harness, long, index)
  t.match(harness.metrics.ended, [{ code: 'slow_consumer' }])
  t.equal(client.closed, null, 'it may still read the reason')
  harness.clock.advance(LAST_READ_MS)
  t.strictSame(client.closed, { code: 4430, reason: 'slow_consumer' })
})

t.test(
  'what was said again and is not read yet counts against no client; what comes after it was does',
  async t => {
    const harness = opened()
    const long = 'word '.repeat(2000)
    for (let index = 0; index < 6; index += 1) say(harness, long, index)
    harness.listener.clientOnClose(RESET)
    const client = new SlowClient()
    const listener = find(harness, tokenOf(harness.client), 1).attach(client)
    t.equal(seqsOf(client).at(-1), 7, 'all of it was sent')
    t.ok(client.buffered < 65_536, `${client.buffered} bytes wait`)
    for (let index = 6; index < 12; index += 1) say(harness, long, index)
    t.equal(harness.registry.activeCount, 1)
    const overshoot = client.buffered - 65_536
    t.ok(overshoot > 0 && overshoot < 11_000, `${overshoot} bytes above what may be sent ahead`)
    client.buffered = 10_000
    listener.clientOnDrain?.()
    t.strictSame(
      seqsOf(client),
      Array.from({ length: 12 }, (_, index) => index + 2),
    )
    client.buffered = 0
    listener.clientOnDrain?.()
    for (let index = 12; index < 20; index += 1) say(harness, long, index)
    t.match(harness.metrics.ended, [{ code: 'slow_consumer' }])
  },
)

t.test(
  'told to go before it has read everything, a client has nothing to wait for but its own reading',
  async t => {
    const harness = opened()
    say(harness, 'one', 0)
    harness.listener.clientOnClose(RESET)
    const client = new SlowClient()
    const listener = find(harness, tokenOf(harness.client), 1).attach(client)
    listener.clientOnText('nonsense')
    t.match(client.last, { type: 'Error', code: 'bad_control_message' })
    t.match(client.closed, { reason: 'bad_control_message' }, 'the socket itself keeps the Close frame back')
  },
)

t.test('the backlog of a client that was away may come at once, and no more than that', async t => {
  const harness = opened()
  harness.listener.clientOnAudio(audioOf(100))
  harness.listener.clientOnClose(RESET)
  harness.clock.advance(9000)
  const back = comeBack(harness, tokenOf(harness.client), 1)
  for (let index = 0; index < 130; index += 1) back.listener.clientOnAudio(audioOf(100))
  t.equal(harness.registry.activeCount, 1, '9 s away, 5 s of burst')
  const sentAtOnce = harness.dial.upstream.audio.length / 32_000
  t.ok(sentAtOnce < 2, `the stream gets it at its own pace, ${sentAtOnce} s at once`)
  harness.clock.advance(4000)
  t.equal(harness.dial.upstream.audio.length, 32 * 13_100)
  for (let index = 0; index < 200; index += 1) back.listener.clientOnAudio(audioOf(100))
  t.match(harness.metrics.ended, [{ code: 'audio_too_fast' }])
})

t.test('a backlog that is longer than what is kept of a lost stream arrives whole', async t => {
  for (const parkAfterMs of [10_000, 600_000]) {
    const harness = opened({ parkAfterMs, resumeSeconds: 300 })
    harness.listener.clientOnAudio(audioOf(100))
    harness.listener.clientOnClose(RESET)
    harness.clock.advance(11_000)
    const isParked = parkAfterMs === 10_000
    if (isParked) harness.dial.close()
    harness.clock.advance(239_000)
    const back = comeBack(harness, tokenOf(harness.client), 1)
    for (let ms = 0; ms < 250_000; ms += 100) back.listener.clientOnAudio(audioOf(100))
    if (isParked) harness.dial.open()
    for (let ms = 0; ms < 100_000; ms += 100) {
      harness.clock.advance(100)
      back.listener.clientOnAudio(audioOf(100))
    }
    t.equal(harness.registry.activeCount, 1)
    t.equal(harness.dialer.dials.length, isParked ? 2 : 1, 'no stream is given up for it')
    const { audioDroppedBytes, clientAudioBytes, replayedSeconds, upstreamAudioBytes } = harness.metrics
    t.equal(audioDroppedBytes, 0)
    t.equal(upstreamAudioBytes - replayedSeconds * 32_000, clientAudioBytes, 'all of it')
  }
})

t.test('while the client is away the session parks, ages and is limited like any other', async t => {
  const parked = opened()
  parked.listener.clientOnAudio(audioOf(100))
  parked.listener.clientOnClose(RESET)
  parked.clock.advance(10_100)
  t.ok(parked.dial.upstream.hasEnd, 'parked')
  t.equal(parked.registry.activeCount, 1)
  const timed = opened({ silence: 'end' })
  timed.listener.clientOnAudio(audioOf(100))
  timed.listener.clientOnClose(RESET)
  timed.clock.advance(14_100)
  timed.dial.close()
  t.match(timed.metrics.ended, [{ code: 'audio_timeout' }])
  const back = comeBack(timed, tokenOf(timed.client), 1)
  t.match(back.last, { type: 'Error', code: 'audio_timeout' })
  t.match(back.closed, { code: 4408 })
  const limited = openKept('', {}, 1)
  limited.dial.open()
  limited.listener.clientOnClose(RESET)
  t.match(limited.registry.admit(), { code: 'overloaded' })
})

t.test('a drain ends the sessions of clients that are away, now and later', async t => {
  const harness = opened()
  const other = harness.another('2')
  harness.dial.open()
  for (const { listener } of [harness, other]) listener.clientOnAudio(audioOf(100))
  harness.listener.clientOnClose(RESET)
  harness.registry.announceDrain()
  const [first, second] = harness.dialer.dials
  t.ok(first?.upstream.hasEnd)
  t.notOk(second?.upstream.hasEnd)
  other.listener.clientOnClose(RESET)
  t.ok(second?.upstream.hasEnd)
  first?.receive(transcriptMessage([resultOf('last', 0, 0.1)]))
  first?.close()
  second?.close()
  t.equal(harness.registry.activeCount, 0)
  const back = comeBack(harness, tokenOf(harness.client), 1)
  t.match(back.messages, [
    { type: 'Resumed' },
    { type: 'Draining' },
    { text: 'last' },
    { code: 'drain_deadline' },
  ])
  t.match(back.closed, { code: 1012 })
})
