/**
 * Clients that lose their connection in the middle of real speech, between real sockets: not a byte of audio and not a
 * message is lost or doubled, and Amazon Transcribe sees one stream.
 */
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { createRandom } from '../support/random.ts'
import type { RelayClient, ServerMessage } from '../support/relay-client.ts'
import { streamWithCuts, type ResumingOutcome } from '../support/resuming-client.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000)
const random = createRandom(seed)
const [speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

/** Replayed audio at once: what paces it is tested with a clock of its own. */
const FAST = { replayRate: 1000, resumeAckMs: 100, tickMs: 10 } as const

async function stream(world: World, cutsOften: number, query = ''): Promise<ResumingOutcome> {
  let isOver = false
  const outcome = await streamWithCuts({
    url: `${world.url}?resume=true${query}`,
    audio: pcm,
    cut: () => 1 + Math.floor(random() * 6400),
    mustCut: () => !isOver && random() < cutsOften,
    // Lets what the relay says overlap with what it hears.
    pause: () => setImmediate(),
  })
  isOver = true
  return outcome
}

/** What the client has of the speech: ids differ from session to session. */
function said(messages: readonly ServerMessage[]): unknown[] {
  return messages
    .filter(({ type }) => type === 'Transcript')
    .map(({ text, start, end, is_final: isFinal }) => ({ text, start, end, isFinal }))
}

function tokenOf(message: ServerMessage): string {
  return String(message['resume_token'])
}

/** Cuts the connection without a word. */
function lose({ webSocket }: RelayClient): void {
  ;(webSocket as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy()
}

async function checkUndisturbed(t: Test, world: World, outcome: ResumingOutcome): Promise<void> {
  const [begin] = outcome.messages
  const record = await world.emulator.waitForStream(
    ({ sessionId, isLive }) => sessionId === begin?.['session_id'] && !isLive,
  )
  t.match(record, { audioBytes: pcm.length, sha256: sha256(pcm), isEnded: true, closeCause: 'completed' })
  t.equal(outcome.closeCode, 1000)
  t.equal(outcome.repeated, 0)
  t.strictSame(
    outcome.messages.map(({ seq }) => seq),
    outcome.messages.map((_, index) => index + 1),
  )
  t.equal(outcome.messages.at(-1)?.type, 'End')
}

t.comment(`seed ${seed}`)

t.test('a connection cut again and again costs no byte and no message', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: FAST })
  const undisturbed = await stream(world, 0)
  await checkUndisturbed(t, world, undisturbed)
  t.ok(undisturbed.messages.some(message => message['is_final'] === false))
  for (let run = 0; run < 8; run += 1) {
    const disturbed = await stream(world, 0.08)
    t.comment(`${disturbed.cuts} cuts`)
    t.ok(disturbed.cuts > 0)
    await checkUndisturbed(t, world, disturbed)
    t.strictSame(said(disturbed.messages), said(undisturbed.messages))
    t.match(disturbed.messages.at(-1), { finals: undisturbed.messages.at(-1)?.['finals'], rollovers: 0 })
  }
  t.equal(world.emulator.connectionCount, 9, 'one stream a session')
  const metrics = await world.scrape()
  t.ok((metrics.get('client_resumes_total') ?? 0) > 0)
  t.equal(metrics.get('sessions_away'), 0)
  t.equal(world.relay.activeSessions, 0)
})

t.test('a client learns up to where it need not keep its audio', async t => {
  const world = await startWorld(t, { relay: FAST })
  const client = await world.connect('resume=true')
  await client.waitFor('Begin')
  client.send(pcm.subarray(0, 6400))
  t.match(await client.waitFor('Ack'), { audio_bytes: 6400, audio_seconds: 0.2 })
  t.notOk('seq' in (client.of('Ack')[0] ?? {}))
})

t.test('the last results wait for a client that was cut off before them', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: FAST })
  const client = await world.connect('resume=true')
  const begin = await client.waitFor('Begin')
  client.sendCut(pcm, 6400)
  client.say({ type: 'CloseStream' })
  await world.emulator.waitForStream(({ isEnded }) => isEnded)
  lose(client)
  await world.endOf(1)
  const seq = client.messages.reduce((last, message) => Math.max(last, Number(message['seq'] ?? 0)), 0)
  const back = await world.connect(`resume_token=${tokenOf(begin)}&seq=${seq}`)
  t.match(await back.closed, { code: 1000 })
  t.equal(back.messages[0]?.type, 'Resumed')
  t.equal(back.messages.at(-1)?.type, 'End')
  t.strictSame([...client.words(), ...back.words()], words)
})

t.test('the new connection takes over while the old one still seems alive', async t => {
  const world = await startWorld(t, { relay: FAST })
  const client = await world.connect('resume=true')
  const begin = await client.waitFor('Begin')
  const back = await world.connect(`resume_token=${tokenOf(begin)}&seq=1`)
  t.match(await client.closed, { code: 4409, reason: 'resume_taken' })
  t.match(client.messages.at(-1), { type: 'Error', code: 'resume_taken' })
  t.match(await back.waitFor('Resumed'), { session_id: begin['session_id'] })
  back.send(pcm.subarray(0, 32_000))
  t.match(await back.finish(), { code: 1000 })
  t.match(await world.endOf(1), { audioBytes: 32_000 })
})

t.test('who may not resume is told why, as any client is that is refused', async t => {
  const world = await startWorld(t, { relay: { ...FAST, resumeSeconds: 1, handshakeErrors: 'websocket' } })
  const refused = async (query: string) => {
    const client = await world.connect(query)
    const close = await client.closed
    return { ...close, message: client.messages[0] }
  }
  const client = await world.connect('resume=true')
  const token = tokenOf(await client.waitFor('Begin'))
  t.match(await refused(`resume_token=${token}&seq=5`), { code: 4400, message: { message: /at most 1/ } })
  t.match(await refused(`resume_token=${token}&seq=0`), { code: 4400, message: { message: /^seq must/ } })
  t.match(await refused(`resume_token=${token}`), { code: 4400, message: { code: 'invalid_request' } })
  t.match(await refused(`resume_token=&seq=1`), { code: 4400, message: { message: /^resume_token must/ } })
  t.match(await refused(`resume_token=a&resume_token=b&seq=1&seq=2`), {
    code: 4400,
    message: { message: /once/ },
  })
  t.match(await refused(`resume_token=${token}x&seq=1`), { code: 4404, reason: 'resume_not_found' })
  const away = client.closed
  lose(client)
  await away
  while (world.relay.activeSessions > 0) await setImmediate()
  t.match(
    await refused(`resume_token=${token}&seq=1`),
    { code: 4404, reason: 'resume_not_found' },
    'too late',
  )
  for (const line of world.log.lines) t.notMatch(JSON.stringify(line), token.slice(-32), 'not in the log')
})
