/**
 * Figures and logs of whole sessions: what went in is what came out, each session is told in two lines, and nothing
 * secret or spoken is in either.
 */
import t from 'tap'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { countSockets } from '../support/sockets.ts'
import { fetchText, growth } from '../support/metric-values.ts'
import { interleave, noise, readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const speeches = readSpeech()
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

/** Of temporary credentials, as a relay in the cloud has them. */
const CANARY = {
  accessKeyId: 'ASIACANARYKEY0000001',
  secretAccessKey: 'canary-secret-key/with+signs',
  sessionToken: 'canary-session-token//with+signs==',
} as const
const ACCOUNT = { ...CANARY, sessionTokens: [{ token: CANARY.sessionToken }] }

async function transcribeAll(world: World): Promise<{ bytes: number; seconds: number; textBytes: number }> {
  let bytes = 0
  let textBytes = 0
  for (const { pcm } of speeches) {
    const client = await world.connect()
    client.webSocket.on('message', data => (textBytes += (data as Buffer).length))
    client.sendCut(pcm, 3200)
    await client.finish()
    bytes += pcm.length
  }
  return { bytes, seconds: bytes / 32_000, textBytes }
}

/** Of every line, and of the two of a session whose client is not asked who it is. */
const OWN_FIELDS = ['level', 'message', 'service', 'session_id', 'time', 'version']
const START_FIELDS = [...OWN_FIELDS, 'client_address', 'format', 'parameters'].toSorted()
const END_FIELDS = [
  ...OWN_FIELDS,
  'attempts',
  'audio_bytes',
  'audio_seconds',
  'billed_seconds',
  'class',
  'connect_ms',
  'duration_seconds',
  'finals',
  'frames',
  'lost_seconds',
  'parked_seconds',
  'reason',
  'region',
  'replayed_seconds',
  'request_id',
  'rollovers',
  'silence_seconds',
  'streams',
  'upstream_session_id',
].toSorted()

t.test('after sessions the figures of both sides are the same', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const before = await world.scrape()
  const { bytes, seconds, textBytes } = await transcribeAll(world)
  const after = await world.scrape()
  const streams = world.emulator.streams
  const sum = (count: (stream: (typeof streams)[number]) => number): number =>
    streams.reduce((total, stream) => total + count(stream), 0)
  const sessions = speeches.length
  const figures = growth(before, after, [
    'client_audio_bytes_total',
    'upstream_audio_bytes_total',
    'upstream_frames_total',
    'audio_dropped_bytes_total',
    'silence_filled_seconds_total',
    'client_audio_messages_total',
    'sessions_started_total',
    'sessions_closed_total',
    'handshakes_total',
    'upstream_connects_total',
    'results_total',
    'warnings_total',
    'client_sent_bytes_total',
    'upstream_exceptions_total',
    'eventstream_decode_errors_total',
    'session_duration_seconds_count',
    'handshake_duration_seconds_count',
    'upstream_connect_duration_seconds_count',
    'client_forced_closes_total',
    'protocol_violations_total',
    'log_lines_lost_total',
  ])
  t.equal(
    sum(({ audioBytes }) => audioBytes),
    bytes,
  )
  t.strictSame(figures, {
    client_audio_bytes_total: bytes,
    upstream_audio_bytes_total: bytes,
    client_audio_messages_total: sum(({ audioBytes }) => Math.ceil(audioBytes / 3200)),
    // The empty one, which ends a stream, is a frame too.
    upstream_frames_total: sum(({ frames }) => frames + 1),
    sessions_started_total: sessions,
    'sessions_closed_total{class="ok",reason="normal"}': sessions,
    'handshakes_total{outcome="accepted",reason="normal"}': sessions,
    'upstream_connects_total{outcome="ok",reason="none"}': sessions,
    'results_total{kind="partial"}': sum(({ partialResults }) => partialResults),
    'results_total{kind="final"}': sum(({ finalResults }) => finalResults),
    client_sent_bytes_total: textBytes,
    session_duration_seconds_count: sessions,
    handshake_duration_seconds_count: sessions,
    upstream_connect_duration_seconds_count: sessions,
  })
  const heard =
    (after.get('client_audio_seconds_total') ?? 0) - (before.get('client_audio_seconds_total') ?? 0)
  t.ok(Math.abs(heard - seconds) < 1e-6, 'seconds of audio')
  t.equal(after.get('sessions_active'), 0)
  t.equal(after.get('ready'), 1)
  t.equal(after.get('client_buffered_bytes{agg="sum"}'), 0)
  t.equal(after.get('upstream_buffered_bytes{agg="sum"}'), 0)
  t.strictSame(
    [...before.keys()].toSorted(),
    [...after.keys()].toSorted(),
    'every series is there from the start',
  )
})

t.test('a session is told in two lines that agree with what the client heard (OB-08)', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const [speech] = speeches
  if (speech === undefined) throw new Error('the recordings are missing')
  const client = await world.connect('words=true')
  client.sendCut(speech.pcm, 3200)
  await client.finish()
  const { session_id: sessionId } = await client.waitFor('Begin')
  const [end] = client.of('End')
  const { requestId, frames } = await world.streamOf(client)
  const lines = world.log.lines.filter(line => line['session_id'] === sessionId)
  t.strictSame(
    lines.map(({ message }) => message),
    ['session started', 'session ended'],
  )
  t.strictSame(
    lines.map(line => Object.keys(line).toSorted()),
    [START_FIELDS, END_FIELDS],
    'these fields and no other',
  )
  t.match(lines[0], { client_address: '127.0.0.1', format: 'simple', parameters: { 'sample-rate': '16000' } })
  t.match(lines[1], {
    reason: 'normal',
    class: 'ok',
    audio_bytes: speech.pcm.length,
    audio_seconds: end?.['audio_seconds'],
    billed_seconds: end?.['billed_seconds'],
    finals: client.finals.length,
    frames: frames + 1,
    region: 'us-east-1',
    request_id: requestId,
    upstream_session_id: sessionId,
    attempts: 1,
  })
})

t.test('no key, token, signature, word or audio is in a log, a figure or an error', async t => {
  const world = await startWorld(t, {
    emulator: { engine, accounts: [ACCOUNT] },
    dependencies: { credentials: CANARY },
    relay: { dialBackoffMs: 10, logLevel: 'trace' },
  })
  await transcribeAll(world)
  const stereo = interleave(noise(0.2, 1), noise(0.2, 2))
  const texts: string[] = []
  const hurt = async (query: string, act: () => void): Promise<void> => {
    act()
    const client = await world.connect(query)
    client.sendCut(query === '' ? noise(0.5, 3) : stereo, 3200)
    await client.closed
    texts.push(JSON.stringify(client.messages))
  }
  await hurt('', () =>
    world.faultNext({ do: 'exception', name: 'BadRequestException', closeCode: 1000, atSeconds: 0 }),
  )
  await hurt('', () => world.emulator.setFaults({ rules: [{ action: { do: 'expiredToken' } }] }))
  await hurt('', () => world.emulator.setFaults({ rules: [{ action: { do: 'refuse' } }] }))
  await hurt('enable-channel-identification=true&number-of-channels=2', () =>
    world.emulator.setFaults({ rules: [{ action: { do: 'reset', atSeconds: 0 } }] }),
  )
  const wrong = await world.connect().then(async client => {
    client.say('{"type":"canary-control-message"}')
    await client.closed
    return client
  })
  texts.push(JSON.stringify(wrong.messages))

  const log = world.log.texts.join('')
  const everything = [log, await fetchText(`${world.opsUrl}/metrics`), ...texts].join('\n')
  t.ok(world.log.of('session ended').length >= speeches.length + 5)
  const secrets = [
    ...Object.values(CANARY),
    ...Object.values(CANARY).map(encodeURIComponent),
    'X-Amz-',
    'Signature=',
    'canary-control-message',
  ]
  for (const secret of secrets) t.notOk(everything.includes(secret), `no ${secret}`)
  // Words that no field, code or message of the relay has.
  for (const word of ['dashwood', 'prudently', 'hearted', 'amiable', 'respectable']) {
    t.notOk(log.includes(word), `no ${word}`)
  }
  const [{ pcm } = { pcm: Buffer.alloc(0) }] = speeches
  const sample = pcm.subarray(32_000, 32_032)
  for (const encoding of ['base64', 'hex'] as const) {
    t.notOk(log.includes(sample.toString(encoding).slice(0, 20)), `no audio as ${encoding}`)
  }
})

t.test('the probes of the operations port, and no socket that stays', async t => {
  const world = await startWorld(t)
  const sockets = countSockets()
  t.match(await fetchText(`${world.opsUrl}/livez`), /alive/)
  t.strictSame(JSON.parse(await fetchText(`${world.opsUrl}/readyz`)), { ready: true, reasons: [] })
  t.ok(countSockets() <= sockets + 2)
})
