/**
 * Speech through the whole relay, faster than real time and cut at random: every byte arrives once and in order, and
 * what the service says comes back in the form that the client asked for.
 */
import t, { type Test } from 'tap'
import {
  createPocketsphinxEngine,
  createScriptedEngine,
  detectPocketsphinx,
  loadRecordings,
} from '../../src/emulator/index.ts'
import { createRandom } from '../support/random.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { wordsOf } from '../support/relay-client.ts'
import { halveRate, interleave, readSpeech, sha256, SPEECH_FOLDER, type Speech } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000)
const random = createRandom(seed)
const speeches = readSpeech()
const [longest, shortest] = [speeches[0], speeches[1]]
if (longest === undefined || shortest === undefined) throw new Error('the recordings are missing')
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

/** From single bytes to a quarter of a second: odd cuts too. */
const anyCut = (): number => 1 + Math.floor(random() ** 2 * 8000)

async function transcribe(world: World, pcm: Buffer, query = ''): Promise<RelayClient> {
  const client = await world.connect(query)
  client.sendCut(pcm, anyCut)
  await client.finish()
  return client
}

async function checkDelivery(t: Test, world: World, client: RelayClient, pcm: Buffer): Promise<void> {
  const stream = await world.streamOf(client)
  t.match(await client.closed, { code: 1000, reason: 'normal' })
  t.equal(client.messages[0]?.type, 'Begin')
  t.equal(client.messages.at(-1)?.type, 'End')
  t.strictSame(
    { bytes: stream.audioBytes, sha256: stream.sha256, isEnded: stream.isEnded, cause: stream.closeCause },
    { bytes: pcm.length, sha256: sha256(pcm), isEnded: true, cause: 'completed' },
  )
}

async function checkSpeech(t: Test, world: World, { name, pcm, words }: Speech): Promise<void> {
  const client = await transcribe(world, pcm)
  await checkDelivery(t, world, client, pcm)
  t.strictSame(client.words(), words, name)
}

t.comment(`seed ${seed}`)

t.test('five recordings one after another arrive whole, and every word comes back', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  for (const speech of speeches) await checkSpeech(t, world, speech)
  t.equal(world.emulator.connectionCount, speeches.length)
})

t.test('five recordings at once do not get into each other', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  await Promise.all(speeches.map(speech => checkSpeech(t, world, speech)))
})

t.test('simple results carry one timeline, word times on request, and no partials on request', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const client = await transcribe(world, shortest.pcm, 'words=true')
  const transcripts = client.of('Transcript')
  t.strictSame(
    transcripts.map(({ seq }) => seq),
    transcripts.map((_, index) => index + 1),
  )
  t.ok(transcripts.length > client.finals.length, 'partials come before finals')
  const times = client.finals.flatMap(({ words }) => words as { text: string; start: number; end: number }[])
  t.strictSame(
    times.flatMap(({ text }) => wordsOf(text)),
    shortest.words,
  )
  const seconds = shortest.pcm.length / 32_000
  t.ok(
    times.every(
      ({ start, end }, index) => start <= end && end <= seconds && start >= (times[index - 1]?.start ?? 0),
    ),
  )
  t.match(client.of('End')[0], {
    audio_seconds: Math.round(seconds * 1000) / 1000,
    billed_seconds: 15,
    finals: client.finals.length,
  })

  const finalsOnly = await transcribe(world, shortest.pcm, 'partials=false')
  t.strictSame(finalsOnly.of('Transcript'), finalsOnly.finals)
  t.strictSame(finalsOnly.words(), shortest.words)
})

t.test('the format of AWS is the JSON of the service with a type', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const client = await transcribe(world, shortest.pcm, 'format=aws')
  type AwsMessage = {
    Transcript: { Results: { IsPartial: boolean; Alternatives: { Transcript: string }[] }[] }
  }
  const results = (client.of('Transcript') as unknown as AwsMessage[]).flatMap(
    ({ Transcript }) => Transcript.Results,
  )
  const finals = results.filter(({ IsPartial }) => !IsPartial)
  t.strictSame(
    finals.flatMap(({ Alternatives }) => wordsOf(Alternatives[0]?.Transcript ?? '')),
    shortest.words,
  )
  await checkDelivery(t, world, client, shortest.pcm)
})

t.test('two channels are transcribed apart', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const stereo = interleave(longest.pcm, shortest.pcm)
  const client = await transcribe(world, stereo, 'enable-channel-identification=true&number-of-channels=2')
  await checkDelivery(t, world, client, stereo)
  t.strictSame(client.words('ch_0'), longest.words)
  t.strictSame(client.words('ch_1'), shortest.words)
  t.strictSame(new Set(client.finals.map(({ channel }) => channel)), new Set(['ch_0', 'ch_1']))
})

t.test('8 kHz is declared upstream and cut into chunks of its own', async t => {
  const world = await startWorld(t, { emulator: {} })
  const pcm = halveRate(longest.pcm)
  const client = await transcribe(world, pcm, 'sample-rate=8000')
  await checkDelivery(t, world, client, pcm)
  const stream = await world.streamOf(client)
  t.equal(stream.parameters['sample-rate'], '8000')
  t.ok((stream.maxFrameBytes ?? 0) <= 3200, 'no chunk is longer than 200 ms')
  t.match(client.finals.at(-1)?.['text'], `sha256 ${sha256(pcm)}`)
})

t.test('Configure gives the parameters, and nothing is dialled before it', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const client = await world.connect('configure=true&words=true')
  t.equal(world.emulator.connectionCount, 0)
  client.say({ type: 'Configure', 'language-code': 'en-GB', 'sample-rate': 16_000, partials: false })
  client.sendCut(shortest.pcm, anyCut)
  await client.finish()
  await checkDelivery(t, world, client, shortest.pcm)
  t.match(client.of('Begin')[0], { parameters: { 'language-code': 'en-GB', 'sample-rate': '16000' } })
  t.equal((await world.streamOf(client)).parameters['language-code'], 'en-GB')
  t.strictSame(client.of('Transcript'), client.finals)

  const wrong = await world.connect('configure=true')
  wrong.say({ type: 'Configure', 'sample-rate': 4000 })
  t.match(await wrong.closed, { code: 4400, reason: 'invalid_request' })
  t.match(wrong.of('Error')[0], { message: /sample-rate.*4000/, retryable: false })
  t.equal(world.emulator.connectionCount, 1, 'nothing is dialled for it')
})

t.test('KeepAlive holds a quiet session, with silence that is told apart from audio', async t => {
  const world = await startWorld(t, { emulator: { engine }, relay: { audioTimeoutMs: 1000, silence: 'end' } })
  const [held, left] = await Promise.all([world.connect(), world.connect()])
  const beforeBytes = 6400
  for (const client of [held, left]) client.sendCut(shortest.pcm.subarray(0, beforeBytes), anyCut)
  const keeper = setInterval(() => held.say({ type: 'KeepAlive' }), 200)
  t.teardown(() => clearInterval(keeper))
  t.match(await left.closed, { code: 4408, reason: 'audio_timeout' })
  t.match(left.of('Error')[0], { retryable: true })
  held.sendCut(shortest.pcm.subarray(beforeBytes), anyCut)
  t.match(await held.finish(), { code: 1000 })
  t.strictSame(held.words(), shortest.words)
  const { audioBytes } = await world.streamOf(held)
  t.ok(audioBytes > shortest.pcm.length, 'silence was sent')
  t.match(held.of('End')[0], { audio_seconds: Math.round(shortest.pcm.length / 32) / 1000 })
})

t.test('every way to say that the audio is over delivers the finals', async t => {
  const world = await startWorld(t, { emulator: { engine } })
  const aliases = [
    '{"type":"CloseStream"}',
    '{"type":"Terminate"}',
    '{"eof":1}',
    'END_OF_STREAM',
    Buffer.alloc(0),
  ]
  for (const alias of aliases) {
    const client = await world.connect()
    client.sendCut(shortest.pcm, anyCut)
    client.webSocket.send(alias)
    await client.closed
    await checkDelivery(t, world, client, shortest.pcm)
    t.strictSame(client.words(), shortest.words, String(alias))
  }
})

t.test('a real recogniser understands at least half of the words', async t => {
  const program = await detectPocketsphinx()
  if (program === null) {
    t.comment('pocketsphinx is not installed here: recognition is not tested')
    t.pass('the recogniser is not installed')
    return
  }
  const world = await startWorld(t, {
    emulator: { engine: createPocketsphinxEngine({ program }) },
    relay: { flushTimeoutMs: 120_000 },
  })
  await Promise.all(
    speeches.map(async ({ name, pcm, words }) => {
      const client = await transcribe(world, pcm)
      await checkDelivery(t, world, client, pcm)
      const found = countFound(words, client.words())
      t.comment(`${name}: ${found} of ${words.length} words`)
      t.ok(found * 2 >= words.length, `${name}: half of the words`)
    }),
  )
})

/** How many of the words were heard, each as often as it was heard at most. */
function countFound(words: readonly string[], heard: readonly string[]): number {
  const left = [...heard]
  return words.filter(word => {
    const index = left.indexOf(word)
    if (index !== -1) left.splice(index, 1)
    return index !== -1
  }).length
}
