/**
 * Amazon Transcribe ends a stream unasked, and the client does not lose a word: real sockets, real speech, every end
 * that another stream cures, in the middle of a word.
 */
import t, { type Test } from 'tap'
import { createScriptedEngine, loadRecordings, type FaultAction } from '../../src/emulator/index.ts'
import { growth } from '../support/metric-values.ts'
import { createRandom } from '../support/random.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
const speeches = readSpeech()
const [speech] = speeches
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const CHUNK_BYTES = 3200
const BYTES_PER_SECOND = 32_000
/** Dials come at once: what takes time is tested with a clock that stands still. */
const PROMPT = { rolloverBackoffMs: 0, tickMs: 20, flushTimeoutMs: 5000 } as const
const EMULATOR = { engine, keepAudioBytes: 10_000_000 } as const
const AT = { atSeconds: 2.5 } as const

function exception(name: string, message = 'went wrong'): FaultAction {
  return { do: 'exception', name, message, closeCode: 1000, ...AT }
}

const ENDS: readonly (readonly [name: string, fault: FaultAction, reason: string])[] = [
  ['UP-10b InternalFailureException', exception('InternalFailureException'), 'upstream_error'],
  ['UP-10d ServiceUnavailableException', exception('ServiceUnavailableException'), 'upstream_unavailable'],
  ['UP-10e an exception that nobody knows', exception('BrandNewException'), 'upstream_error'],
  [
    'UP-10e a message of type error',
    { do: 'errorMessage', code: 'InternalError', message: 'oh', ...AT },
    'upstream_error',
  ],
  [
    'the maximum duration',
    exception('LimitExceededException', 'The maximum stream duration of 4 hours is reached.'),
    'session_expired',
  ],
  [
    'credentials that ended',
    exception('BadRequestException', 'The security token included in the request is expired'),
    'upstream_auth',
  ],
  [
    'idle',
    exception(
      'BadRequestException',
      'Your request timed out because no new audio was received for 15 seconds.',
    ),
    'audio_timeout',
  ],
  ['UP-11 reset', { do: 'reset', ...AT }, 'upstream_closed'],
  ['UP-11 end without a Close frame', { do: 'fin', ...AT }, 'upstream_closed'],
  ['UP-11 close 1000', { do: 'close', code: 1000, reason: 'done', ...AT }, 'upstream_closed'],
  ['UP-11 close 1011', { do: 'close', code: 1011, reason: '', ...AT }, 'upstream_closed'],
  ['UP-11 close 1009', { do: 'close', code: 1009, reason: '', ...AT }, 'upstream_closed'],
]

const WATCHED = ['rollovers_total', 'rollover_lost_seconds_total', 'sessions_closed_total']

/** Every stream got a part of the audio as it is, and all parts together are all of it. */
function checkAudio(t: Test, { emulator }: World, fromConnection: number): void {
  let coveredBytes = 0
  for (const { audio, connection } of emulator.streams) {
    if (connection < fromConnection || audio.length === 0) continue
    const start = pcm.indexOf(audio)
    if (start === -1 || start > coveredBytes)
      t.fail(`stream ${connection} begins at ${start}, not by ${coveredBytes}`)
    coveredBytes = Math.max(coveredBytes, start + audio.length)
  }
  t.equal(coveredBytes, pcm.length, 'every byte of the client arrived')
}

function checkClient(t: Test, client: RelayClient, name: string): void {
  t.strictSame(client.words(), words, `${name}: every word, once`)
  t.match(client.messages.at(-1), { type: 'End', rollovers: client.of('Rollover').length }, name)
  for (const end of ['start', 'end']) {
    const times = client.finals.map(final => Number(final[end]))
    t.strictSame(
      times,
      times.toSorted((a, b) => a - b),
      'time goes forward',
    )
  }
  const seqs = client.of('Transcript').map(({ seq }) => seq)
  t.strictSame(
    seqs,
    seqs.map((_, index) => index + 1),
  )
}

for (const [name, fault, reason] of ENDS) {
  t.test(name, async t => {
    const world = await startWorld(t, { emulator: EMULATOR, relay: PROMPT })
    const before = await world.scrape()
    const connection = world.faultNext(fault)
    const client = await world.connect('words=true')
    client.sendCut(pcm, CHUNK_BYTES)
    t.match(await client.finish(), { code: 1000, reason: 'normal' })
    checkClient(t, client, name)
    t.match(client.of('Rollover'), [{ reason, lost_seconds: 0, rollovers: 1 }])
    checkAudio(t, world, connection)
    const after = await world.scrape()
    t.strictSame(growth(before, after, WATCHED), {
      [`rollovers_total{reason="${reason}"}`]: 1,
      'sessions_closed_total{class="ok",reason="normal"}': 1,
    })
    t.equal(after.get('upstream_streams_active'), 0)
    t.ok((after.get('replayed_seconds_total') ?? 0) > 0)
    t.match(world.log.of('session ended', client.of('Begin')[0]?.['session_id']), [
      { streams: 2, rollovers: 1 },
    ])
  })
}

t.test('a service that neither reads nor closes is given up, and another one asked', async t => {
  const world = await startWorld(t, { emulator: EMULATOR, relay: { ...PROMPT, flushTimeoutMs: 500 } })
  world.faultNext({ do: 'stopReading', ...AT })
  const client = await world.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  t.match(await client.finish(), { code: 1000 })
  checkClient(t, client, 'half-open')
  t.match(client.of('Rollover'), [{ reason: 'flush_timeout' }])
})

t.test(`many ends in one session, at any place, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  const world = await startWorld(t, { emulator: EMULATOR, relay: { ...PROMPT, rolloverAttempts: 50 } })
  for (let round = 0; round < 5; round += 1) {
    const first = world.emulator.connectionCount + 1
    const rules = Array.from({ length: 4 }, (_, index) => {
      const [, fault] = ENDS[Math.floor(random() * ENDS.length)] ?? []
      if (fault === undefined) throw new Error('no fault')
      return {
        match: { connection: first + index },
        action: { ...fault, atSeconds: 0.2 + random() * 4 } as FaultAction,
      }
    })
    world.emulator.setFaults({ rules })
    const client = await world.connect()
    client.sendCut(pcm, () => 1 + Math.floor(random() * 8000))
    t.match(await client.finish(), { code: 1000 }, `round ${round}`)
    checkClient(t, client, `round ${round}`)
    checkAudio(t, world, first)
  }
})

t.test('a service that cannot be reached for a while', async t => {
  const world = await startWorld(t, {
    emulator: EMULATOR,
    relay: { ...PROMPT, rolloverBackoffMs: 20, dialAttempts: 1 },
  })
  const connection = world.emulator.connectionCount + 1
  world.emulator.setFaults({
    rules: [
      { match: { connection }, action: { do: 'reset', ...AT } },
      { match: { connection: connection + 1 }, action: { do: 'refuse' } },
      { match: { connection: connection + 2 }, action: { do: 'httpStatus', status: 503 } },
    ],
  })
  const client = await world.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  t.match(await client.finish(), { code: 1000 })
  checkClient(t, client, 'unreachable')
  t.equal(world.emulator.connectionCount, connection + 3)
})

t.test('no other stream is to be had: the finals so far, then why', async t => {
  const world = await startWorld(t, {
    emulator: EMULATOR,
    relay: { ...PROMPT, rolloverAttempts: 2, dialAttempts: 1 },
  })
  const connection = world.emulator.connectionCount + 1
  world.emulator.setFaults({
    rules: [
      { match: { connection }, action: { do: 'close', code: 1011, reason: '', ...AT } },
      { match: { connection: connection + 1 }, action: { do: 'refuse' } },
      { match: { connection: connection + 2 }, action: { do: 'refuse' } },
    ],
  })
  const client = await world.connect()
  client.sendCut(pcm, CHUNK_BYTES)
  t.match(await client.closed, { code: 4502, reason: 'upstream_closed' })
  t.equal(client.messages.at(-1)?.type, 'Error')
  t.strictSame(client.of('Rollover'), [])
})

t.test('an idle client: the service gives up within a word, and the next audio goes on', async t => {
  const world = await startWorld(t, { emulator: { ...EMULATOR, idleTimeoutMs: 400 }, relay: PROMPT })
  const client = await world.connect()
  const half = 2.5 * BYTES_PER_SECOND
  client.sendCut(pcm.subarray(0, half), CHUNK_BYTES)
  await client.waitFor('Rollover')
  client.sendCut(pcm.subarray(half), CHUNK_BYTES)
  t.match(await client.finish(), { code: 1000 })
  checkClient(t, client, 'idle')
})

t.test(
  'silence parks the stream, Pause at once; the words before, between and after are all there',
  async t => {
    const world = await startWorld(t, { emulator: EMULATOR, relay: { ...PROMPT, parkAfterMs: 500 } })
    const client = await world.connect()
    const third = Math.round(pcm.length / 6) * 2
    client.sendCut(pcm.subarray(0, third), CHUNK_BYTES)
    await world.endOf(1)
    client.sendCut(pcm.subarray(third, 2 * third), CHUNK_BYTES)
    await world.emulator.waitForStream(({ number, audioBytes }) => number === 2 && audioBytes >= third)
    client.say({ type: 'Pause' })
    await world.endOf(2)
    client.sendCut(pcm.subarray(2 * third), CHUNK_BYTES)
    t.match(await client.finish(), { code: 1000 })
    checkClient(t, client, 'parked')
    checkAudio(t, world, 1)
    t.equal(world.emulator.streams.length, 3)
    for (const { isEnded, closeCause } of world.emulator.streams) {
      t.match({ isEnded, closeCause }, { isEnded: true, closeCause: 'completed' })
    }
  },
)

t.test('streams are changed before their time is over, while somebody speaks', async t => {
  const world = await startWorld(t, {
    emulator: EMULATOR,
    relay: { ...PROMPT, maxStreamMs: 1000, handoverLeadMs: 500, replayRate: 1000 },
  })
  const client = await world.connect()
  await client.waitFor('Begin')
  let offset = 0
  await new Promise<void>(resolve => {
    const microphone = setInterval(() => {
      client.send(pcm.subarray(offset, offset + 2 * CHUNK_BYTES))
      offset += 2 * CHUNK_BYTES
      if (offset < pcm.length) return
      clearInterval(microphone)
      resolve()
    }, 50)
    t.teardown(() => clearInterval(microphone))
  })
  t.match(await client.finish(), { code: 1000 })
  checkClient(t, client, 'changed')
  checkAudio(t, world, 1)
  const reasons = new Set(client.of('Rollover').map(({ reason }) => reason))
  t.strictSame(reasons, new Set(['max_duration']))
  t.strictSame(
    new Set(client.of('Rollover').map(({ gap_ms: gapMs }) => gapMs)),
    new Set([0]),
    'without a gap',
  )
  t.comment(
    `${client.of('Rollover').length} changes in ${(pcm.length / BYTES_PER_SECOND).toFixed(1)} s of audio`,
  )
})

t.test('UP-12 a stream is dead before its first pong, at a host that answers pings', async t => {
  const relay = { ...PROMPT, upstreamPingIntervalMs: 1000 }
  const world = await startWorld(t, { emulator: EMULATOR, relay })
  const before = await world.connect()
  before.sendCut(pcm, CHUNK_BYTES)
  t.equal((await before.finish()).code, 1000)
  world.faultNext({ do: 'stopReading', atSeconds: 0 })
  const client = await world.connect()
  await client.waitFor('Begin')
  client.sendCut(pcm, CHUNK_BYTES)
  t.match(await client.waitFor('Rollover'), { reason: 'upstream_timeout', lost_seconds: 0 })
  t.match(await client.finish(), { code: 1000 })
  checkClient(t, client, 'dead from its first second')
})
