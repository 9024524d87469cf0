/** Regions that are full, do not answer or are emptied, with real sockets: two emulators are two regions. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { createEmulator, createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import type { Emulator, EmulatorOptions } from '../../src/emulator/index.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { fetchText } from '../support/metric-values.ts'
import { bearer, knock } from '../support/knock.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { readSpeech, SPEECH_FOLDER } from '../support/speech.ts'
import type { Closing, RunningRelay } from '../support/world.ts'
import { ANY_SPEED, NO_QUOTAS, startRelay } from '../support/world.ts'

const EAST = 'us-east-1'
const WEST = 'us-west-2'
const AUDIO = Buffer.alloc(3200)
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

interface Regions extends RunningRelay {
  readonly east: Emulator
  readonly west: Emulator
}

async function startRegion(
  t: Closing,
  options: EmulatorOptions,
): Promise<{ emulator: Emulator; url: string }> {
  const emulator = createEmulator({ ...NO_QUOTAS, engine, ...options })
  t.teardown(() => emulator.close())
  return { emulator, url: (await emulator.start()).url }
}

async function startRegions(
  t: Closing,
  {
    east = {},
    west = {},
    relay = {},
  }: { east?: EmulatorOptions; west?: EmulatorOptions; relay?: object } = {},
): Promise<Regions> {
  const [first, second] = [
    await startRegion(t, { region: EAST, ...east }),
    await startRegion(t, { region: WEST, ...west }),
  ]
  const options: Partial<RelayOptions> = {
    ...ANY_SPEED,
    tickMs: 10,
    rolloverBackoffMs: 0,
    dialBackoffMs: 10,
    regions: [
      { region: EAST, endpoint: first.url },
      { region: WEST, endpoint: second.url },
    ],
    ...relay,
  }
  const running = await startRelay(t, { region: null, ...options })
  return { ...running, east: first.emulator, west: second.emulator }
}

async function begin(world: RunningRelay, query = ''): Promise<RelayClient> {
  const client = await world.connect(query)
  await client.waitFor('Begin')
  return client
}

async function post(url: string, headers: Record<string, string> = {}): Promise<number> {
  return (await fetch(url, { method: 'POST', headers })).status
}

t.test('a region that answers 429 spills to the next one', async t => {
  const world = await startRegions(t)
  world.east.setFaults({ rules: [{ action: { do: 'httpStatus', status: 429, body: '{}' } }] })
  const client = await begin(world)
  t.equal(client.of('Begin')[0]?.['region'], WEST)
  client.send(AUDIO)
  t.equal((await client.finish()).code, 1000)
  const figures = await world.scrape()
  t.equal(figures.get(`region_spills_total{reason="throttled",region="${EAST}"}`), 1)
  t.equal(figures.get(`region_streams_opened_total{region="${WEST}"}`), 1)
})

t.test(
  'LimitExceededException in the stream moves the session to the next region, with its audio',
  async t => {
    const world = await startRegions(t, { east: { concurrentStreams: 1 } })
    const first = await begin(world)
    t.equal(first.of('Begin')[0]?.['region'], EAST)
    const second = await world.connect()
    for (let count = 0; count < 10; count += 1) second.send(AUDIO)
    await second.waitFor('Rollover')
    t.match(second.of('Rollover')[0], { reason: 'upstream_throttled', region: WEST, lost_seconds: 0 })
    t.equal((await second.finish()).code, 1000)
    const [stream] = world.west.streams
    t.equal(stream?.audioBytes, 10 * AUDIO.length, 'every byte is there')
    const third = await begin(world)
    t.equal(third.of('Begin')[0]?.['region'], WEST, 'the first region is known to be full')
  },
)

t.test('when both are full, sessions wait, and are told after a bounded time', async t => {
  const world = await startRegions(t, {
    relay: { regionStreams: 1, startQueueMs: 300, startQueueLength: 1, handoverStreams: 0 },
  })
  const clients = [await begin(world), await begin(world)]
  t.strictSame(
    clients.map(client => client.of('Begin')[0]?.['region']),
    [EAST, WEST],
  )
  const waiting = await world.connect()
  while ((await world.scrape()).get('start_queue_length') !== 1) t.pass('it is on its way to the queue')
  const refused = await knock(t, world.port)
  t.strictSame([refused.answer.status, refused.code], [503, 'overloaded'])
  t.ok(Number(refused.answer.headers.get('retry-after')) > 0)
  t.match(await waiting.waitFor('Error'), {
    code: 'upstream_throttled',
    retryable: true,
    retry_after_ms: 2000,
  })
  t.equal((await waiting.closed).code, 4529)
  const next = await world.connect()
  await clients[0]?.finish()
  t.equal((await next.waitFor('Begin'))['region'], EAST, 'whoever waits gets what becomes free')
})

t.test(
  'UP-20 a third of the connections fails: the rest does not notice, the breaker opens and closes, nobody storms',
  async t => {
    const region = await startRegion(t, { region: EAST })
    region.emulator.setFaults({ seed: 5, rules: [{ match: { probability: 0.3 }, action: { do: 'refuse' } }] })
    const relay = await startRelay(t, {
      ...ANY_SPEED,
      endpoint: region.url,
      dialBackoffMs: 10,
      breakerFailures: 2,
      breakerOpenMs: 100,
    })
    const sessions = 200
    const codes: number[] = []
    const work = async (): Promise<void> => {
      while (codes.length < sessions) {
        const client = await relay.connect()
        await client.until(() => client.of('Begin').length > 0)
        client.send(AUDIO)
        codes.push((await client.finish()).code)
      }
    }
    await Promise.all([work(), work(), work(), work(), work()])
    const good = codes.filter(code => code === 1000).length
    t.ok(good >= codes.length * 0.93, `${good} of ${codes.length} sessions were good`)
    const tried = region.emulator.connectionCount
    t.ok(tried <= 2 * codes.length, `${tried} connections for ${codes.length} sessions`)
    const opened = relay.log.of('region left alone').length
    const closed = relay.log.of('region answers again').length
    t.ok(opened > 0, `the breaker opened ${opened} times`)
    t.ok(closed > 0 && opened - closed <= 1, 'and closed again')
  },
)

t.test('a client may say which regions, and its token which it may use', async t => {
  const key = 'canary-key-of-the-clinic'
  const sha256 = createHash('sha256').update(key).digest('hex')
  const world = await startRegions(t)
  const pinned = await begin(world, `regions=${WEST}`)
  t.equal(pinned.of('Begin')[0]?.['region'], WEST)
  const both = await begin(world, `regions=${WEST},${EAST}`)
  t.equal(both.of('Begin')[0]?.['region'], EAST, 'in the order of the relay')
  const unknown = await knock(t, world.port, { path: '/v1/stream?regions=eu-west-1' })
  t.equal(unknown.code, 'invalid_request')
  t.match(unknown.answer.body, `regions must be one or more of ${EAST}, ${WEST}`)
  world.west.setFaults({ rules: [{ action: { do: 'refuse' } }] })
  const stuck = await world.connect(`regions=${WEST}`)
  t.match(await stuck.waitFor('Error'), { code: 'upstream_unavailable' }, 'it goes nowhere else')
  const folder = t.testdir({
    'keys.json': JSON.stringify({ keys: [{ name: 'clinic', sha256, grants: { regions: [WEST] } }] }),
  })
  const guarded = await startRegions(t, {
    relay: { auth: ['keys'], apiKeysFile: `${folder}/keys.json` },
  })
  t.equal((await knock(t, guarded.port, bearer(key))).answer.status, 101)
  t.equal((await guarded.west.nextStream()).connection, 1)
  const elsewhere = await knock(t, guarded.port, { path: `/v1/stream?regions=${EAST}`, ...bearer(key) })
  t.strictSame([elsewhere.answer.status, elsewhere.code], [403, 'forbidden'])
  t.equal(guarded.east.connectionCount, 0)
})

t.test('an operator drains a region: sessions change over without a gap, new ones go elsewhere', async t => {
  const [speech] = readSpeech()
  if (speech === undefined) throw new Error('the recordings are missing')
  const world = await startRegions(t, { relay: { handoverLeadMs: 1000 } })
  const client = await begin(world)
  const half = Math.floor(speech.pcm.length / 2 / 3200) * 3200
  client.sendCut(speech.pcm.subarray(0, half), 3200)
  await client.waitFor('Transcript')
  t.equal(await post(`${world.opsUrl}/regions/${EAST}/drain`), 202)
  await client.waitFor('Rollover')
  t.match(client.of('Rollover')[0], { reason: 'region_draining', region: WEST, gap_ms: 0, lost_seconds: 0 })
  client.sendCut(speech.pcm.subarray(half), 3200)
  t.equal((await client.finish()).code, 1000)
  t.strictSame(client.words(), speech.words)
  t.equal((await begin(world)).of('Begin')[0]?.['region'], WEST)
  t.match(JSON.parse(await fetchText(`${world.opsUrl}/regions`)), {
    regions: [
      { region: EAST, draining: true, breaker: 'closed', streams: 0 },
      { region: WEST, draining: false, streams: 1 },
    ],
  })
  t.equal(await post(`${world.opsUrl}/regions/${EAST}/resume`), 202)
  t.equal((await begin(world)).of('Begin')[0]?.['region'], EAST)
  t.equal(await post(`${world.opsUrl}/regions/eu-west-1/drain`), 404)
  t.equal(await post(`${world.opsUrl}/regions/${EAST}/drain`, { origin: 'http://localhost' }), 403)
  t.equal((await fetch(`${world.opsUrl}/regions/${EAST}/drain`)).status, 405)
})

t.test(
  'CR-08 a role without the permission: one refresh a session, then the region is left alone',
  async t => {
    const region = await startRegion(t, { region: EAST })
    region.emulator.setFaults({ rules: [{ action: { do: 'httpStatus', status: 403, body: '{}' } }] })
    const relay = await startRelay(t, {
      ...ANY_SPEED,
      endpoint: region.url,
      breakerFailures: 4,
      breakerOpenMs: 60_000,
      startQueueMs: 0,
    })
    for (const expected of [
      'upstream_auth',
      'upstream_auth',
      'upstream_unavailable',
      'upstream_unavailable',
    ]) {
      const client = await relay.connect()
      t.match(await client.waitFor('Error'), { code: expected, retryable: true })
    }
    t.equal(region.emulator.connectionCount, 4, 'two for each of the first two sessions, none for the others')
    t.equal((await relay.scrape()).get(`region_breaker_state{region="${EAST}",state="open"}`), 1)
  },
)
