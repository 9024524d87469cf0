/**
 * No word is lost: whatever happens to the streams of a session, its client reads what it would have read without it,
 * once, on one timeline.
 */
import t, { type Test } from 'tap'
import { FakeRecogniser, rulerOf, wordsWithin, type Word } from '../support/fake-recogniser.ts'
import { createRandom } from '../support/random.ts'
import { BYTES_PER_MS, startSession, type Harness } from '../support/session-harness.ts'
import { RelayError } from '../../src/errors.ts'
import type { SessionLimits } from '../../src/session/limits.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const CLOSE = '{"type":"CloseStream"}'
/** Failures come thicker here than the defaults allow. */
const PATIENT = { rolloverAttempts: 1000, rolloverGapMs: 600_000 } as const

interface Play {
  readonly harness: Harness
  readonly service: FakeRecogniser
  readonly ruler: Buffer
  readonly words: readonly Word[]
  /** Client audio sent so far, bytes. */
  sentBytes: number
}

function startPlay(seconds: number, random: () => number, limits: Partial<SessionLimits>): Play {
  const harness = startSession('words=true', { ...PATIENT, ...limits })
  const ruler = rulerOf(seconds)
  const words = wordsWithin(seconds - 1, random)
  const options = { latencyMs: 50 + random() * 1500, maxSegmentSeconds: 2 + random() * 12 }
  return {
    harness,
    service: new FakeRecogniser(harness.dialer, ruler, words, options),
    ruler,
    words,
    sentBytes: 0,
  }
}

/** Lets time go by: dials open after a while, the service hears and speaks. */
function pass(play: Play, ms: number, onDial: (play: Play) => void): void {
  const { harness, service } = play
  for (let leftMs = ms; leftMs > 0; leftMs -= 50) {
    harness.clock.advance(Math.min(50, leftMs))
    onDial(play)
    service.hear(harness.clock.monotonicMs())
  }
}

function say(play: Play, ms: number): void {
  const end = Math.min(play.sentBytes + Math.round(ms * BYTES_PER_MS), play.ruler.length)
  play.harness.session.clientOnAudio(play.ruler.subarray(play.sentBytes, end))
  play.sentBytes = end
}

/** Opens what is dialled, sometimes late and sometimes never. */
function opener(random: () => number): (play: Play) => void {
  const due = new Map<object, number>()
  return ({ harness, service }) => {
    const nowMs = harness.clock.monotonicMs()
    for (const dial of harness.dialer.dials) {
      if (dial.isCanceled || due.get(dial) === Infinity) continue
      const dueMs = due.get(dial) ?? nowMs + random() * 800
      due.set(dial, dueMs)
      if (nowMs < dueMs) continue
      due.set(dial, Infinity)
      if (dial !== harness.dialer.dials[0] && random() < 0.15)
        dial.fail(new RelayError('upstream_unavailable'))
      else service.open(dial)
    }
  }
}

const KILLS: readonly ((play: Play, random: () => number) => void)[] = [
  ({ service }) => service.live?.dial.close(1000, 'done'),
  ({ service }) => service.live?.dial.close(1011),
  ({ service }) =>
    service.live?.dial.close(1006, '', new RelayError('upstream_closed', { detail: 'ECONNRESET' })),
  ({ service }) =>
    service.live?.dial.close(1006, '', new RelayError('upstream_timeout', { detail: 'ETIMEDOUT' })),
  ({ service }) => service.fail('InternalFailureException'),
  ({ service }) => service.fail('ServiceUnavailableException'),
  ({ service }) => service.fail('LimitExceededException', 'The maximum stream duration is reached.'),
  ({ service }) =>
    service.fail('ExpiredTokenException', 'The security token included in the request is expired'),
  ({ service }) =>
    service.fail(
      'BadRequestException',
      'Your request timed out because no new audio was received for 15 seconds.',
    ),
  ({ service }) => {
    if (service.live !== undefined) service.live.isStuck = true
  },
]

function checkWords(t: Test, { harness, words, service }: Play, name: string): void {
  const finals = harness.client.ofType('Transcript').filter(message => message['is_final'] === true)
  const said = finals.flatMap(final => String(final['text']).split(' '))
  const wrong = said.findIndex((word, index) => word !== words[index]?.text)
  if (wrong !== -1 || said.length !== words.length) {
    t.fail(
      `${name}: ${said.length} of ${words.length} words; from ${wrong}: ${said.slice(wrong, wrong + 5).join(' ')}`,
    )
  }
  const heard = finals.flatMap(final => final['words'] as { text: string; start: number; end: number }[])
  for (const [index, { text: word, start, end }] of heard.entries()) {
    const place = words[index]
    if (
      Math.abs(start - (place?.startSeconds ?? 0)) > 0.003 ||
      Math.abs(end - (place?.endSeconds ?? 0)) > 0.003
    ) {
      t.fail(`${name}: ${word} is at ${start}–${end} instead of ${JSON.stringify(place)}`)
    }
  }
  let before = 0
  for (const { start, end } of finals) {
    if ((start as number) < before - 0.002 || (end as number) < (start as number))
      t.fail(`${name}: time goes back to ${String(start)}`)
    before = start as number
  }
  t.strictSame(service.violations, [], `${name}: every stream got the client's bytes`)
}

t.test(`streams die at random, and every word comes once, TEST_SEED=${seed}`, async t => {
  let rollovers = 0
  let replayed = 0
  let words = 0
  for (let round = 0; round < 60; round += 1) {
    const random = createRandom(seed + round)
    const name = `round ${round}`
    const limits = random() < 0.5 ? { maxStreamMs: 20_000, handoverLeadMs: 8000 } : {}
    const play = startPlay(30 + random() * 60, random, { ...limits, replaySeconds: 60 })
    const { harness, ruler, service } = play
    const onDial = opener(random)
    const killRate = random() * 0.02
    while (play.sentBytes < ruler.length && harness.client.closed === null) {
      const ms = 20 + random() * 300
      pass(play, ms, onDial)
      say(play, ms)
      if (random() < killRate) KILLS[Math.floor(random() * KILLS.length)]?.(play, random)
      if (random() < 0.004) harness.session.clientOnText('{"type":"Pause"}')
      if (random() < 0.002) pass(play, random() * 30_000, onDial)
    }
    // One that is stuck is noticed while there is audio; what comes of it at the end is a test of its own.
    while (service.live?.isStuck === true) pass(play, 100, onDial)
    harness.session.clientOnText(CLOSE)
    for (let waits = 0; harness.client.closed === null && waits < 2000; waits += 1) {
      pass(play, 50, onDial)
      if (waits < 200 && random() < killRate) KILLS[1 + Math.floor(random() * 5)]?.(play, random)
    }
    if (harness.client.closed?.code !== 1000) t.match(harness.client.last, { type: 'End' }, name)
    checkWords(t, play, name)
    const { missing, repeated } = service.coverage()
    t.equal(missing, 0, `${name}: no byte is missing`)
    const end: Readonly<Record<string, unknown>> = harness.client.last ?? {}
    t.ok(Math.abs(Number(end['audio_seconds']) - ruler.length / 32_000) < 0.001, name)
    t.equal(end['rollovers'], harness.client.ofType('Rollover').length)
    t.equal(end['rollovers'], harness.metrics.rollovers.length)
    t.ok(
      Math.abs(harness.metrics.replayedSeconds - repeated / 32_000) < 0.01,
      `${name}: ${harness.metrics.replayedSeconds} s replayed, ${repeated / 32_000}`,
    )
    t.ok(harness.metrics.rolloverLostSeconds === 0, `${name}: ${harness.metrics.rolloverLostSeconds} s lost`)
    t.equal(harness.metrics.upstreamStreamsActive, 0)
    t.equal(harness.metrics.audioDroppedBytes, 0)
    t.equal(harness.session.upstreamBufferedBytes, 0)
    rollovers += harness.metrics.rollovers.length
    replayed += harness.metrics.replayedSeconds
    words += play.words.length
  }
  t.comment(`${words} words, ${rollovers} rollovers, ${replayed.toFixed(0)} s replayed`)
  t.ok(rollovers > 60)
})
