/** The ways to come back that others use: the example of the documentation, API keys, several workers. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { WebSocket } from 'ws'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RelayClient } from '../support/relay-client.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorkerPair } from '../support/worker-pair.ts'
import { startWorld } from '../support/world.ts'

const [speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm } = speech

interface PageClient {
  send(audio: ArrayBuffer): void
  finish(): void
  readonly state: { readonly live: boolean; readonly code: number | null }
}

/** What a page has of time. */
interface PageTime {
  readonly setTimeout: (action: () => void, delayMs: number) => unknown
  readonly Date: { now(): number }
}

/** The code block of docs/protocol.md that comes back, as a page would run it. */
function runExample(url: string, time: PageTime = { setTimeout, Date }): PageClient {
  const blocks = readFileSync('docs/protocol.md', 'utf8').match(/```js\n[\s\S]*?```/g) ?? []
  const block = blocks.find(text => text.includes('resume_token'))
  if (block === undefined) throw new Error('docs/protocol.md has no example of resuming')
  const code = block.replaceAll(/```(js)?/g, '').replace(/'ws:[^']*'/, JSON.stringify(url))
  t.ok(block.split('\n').length <= 28, 'the example is short')
  // A browser says where the page is from, and so hears why it is refused.
  const page = `let lastCode = null
    const Watched = class extends WebSocket { constructor(u) { super(u, { origin: 'http://page.test' }); this.addEventListener('error', () => {}); this.addEventListener('close', e => { lastCode = e.code }) } }
    ${code.replace('new WebSocket', 'new Watched')}
    return { send, finish: () => socket.send('{"type":"CloseStream"}'), get state() { return { live, code: lastCode } } }`
  // oxlint-disable-next-line typescript/no-implied-eval -- the example is code in a document
  const create = new Function('WebSocket', 'console', 'setTimeout', 'Date', page)
  return create(WebSocket, { log: () => undefined }, time.setTimeout, time.Date) as PageClient
}

t.test('the example of the documentation loses nothing', async t => {
  const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
  const relay = { resumeAckMs: 100, replayRate: 1000, allowedOrigins: ['*'] }
  const world = await startWorld(t, { emulator: { engine }, relay })
  const proxy = await CuttingProxy.start(t, world.port)
  const page = runExample(`ws://127.0.0.1:${proxy.port}/v1/stream?sample-rate=16000&resume=true`)
  const whenLive = async () => {
    while (!page.state.live) await setImmediate()
  }
  for (let at = 0; at < pcm.length; at += 6400) {
    // What is said before `Begin` counts as well.
    if (at === 12_800) await whenLive()
    if ((at / 6400) % 8 === 4) {
      proxy.cut()
      while (page.state.live) await setImmediate()
    }
    page.send(new Uint8Array(pcm.subarray(at, at + 6400)).buffer)
    await setImmediate()
  }
  await whenLive()
  page.finish()
  t.match(await world.endOf(1), { audioBytes: pcm.length, sha256: sha256(pcm), isEnded: true })
  while (page.state.code !== 1000) await setImmediate()
  t.ok(proxy.cuts > 2)
})

t.test('the example finds its own among the processes of a relay', async t => {
  const relay = { allowedOrigins: ['*'] }
  const { first, second, proxy } = await startWorkerPair(t, { relay })
  const clock = new ManualClock()
  let tries = 0
  const page = runExample(`ws://127.0.0.1:${proxy.port}/v1/stream?sample-rate=16000&resume=true`, {
    Date: clock,
    setTimeout: (action, delayMs) => {
      tries += 1
      if (tries > 50) proxy.leadTo(first.port)
      clock.advance(delayMs)
      action()
    },
  })
  while (!page.state.live) await setImmediate()
  proxy.leadTo(second.port)
  proxy.cut()
  while (page.state.live) await setImmediate()
  while (!page.state.live) await setImmediate()
  t.equal(tries, 51)
  t.ok(clock.monotonicMs() < 30_000)
  page.finish()
  while (page.state.code !== 1000) await setImmediate()
})

t.test('only the principal of a session comes back, and it counts once all the while', async t => {
  const keyOf = (name: string): string => `key-of-${name}`
  const entry = (name: string, grants: object) => ({
    name,
    sha256: createHash('sha256').update(keyOf(name)).digest('hex'),
    grants,
  })
  const keys = [entry('ana', { concurrent_sessions: 1 }), entry('bob', {}), entry('eve', { features: [] })]
  const folder = t.testdir({ 'keys.json': JSON.stringify({ keys }) })
  const world = await startWorld(t, { relay: { auth: ['keys'], apiKeysFile: join(folder, 'keys.json') } })
  const ask = async (name: string, query: string): Promise<number> => {
    const socket = new WebSocket(`${world.url}?${query}`, {
      headers: { authorization: `Bearer ${keyOf(name)}` },
    })
    t.teardown(() => socket.terminate())
    socket.on('error', () => undefined)
    return new Promise(resolve => {
      socket.once('open', () => resolve(101))
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0))
    })
  }
  const open = async (name: string, query: string): Promise<RelayClient> => {
    const client = new RelayClient(`${world.url}?${query}`, {
      headers: { authorization: `Bearer ${keyOf(name)}` },
    })
    t.teardown(() => client.webSocket.terminate())
    return client
  }
  const ana = await open('ana', 'resume=true')
  const begin = await ana.waitFor('Begin')
  const query = `resume_token=${String(begin['resume_token'])}&seq=1`
  t.equal(await ask('bob', query), 404)
  t.equal(await ask('nobody', query), 401)
  t.equal(await ask('eve', 'resume=true'), 403, 'to resume is a feature')
  ana.webSocket.terminate()
  await ana.closed
  t.equal(await ask('ana', ''), 429, 'it counts while the client is away')
  const back = await open('ana', query)
  await back.waitFor('Resumed')
  t.equal(await ask('ana', ''), 429, 'it counts once')
  t.match(await back.finish(), { code: 1000 })
  while (world.relay.activeSessions > 0) await setImmediate()
  t.equal(await ask('ana', ''), 101, 'and no more afterwards')
})
