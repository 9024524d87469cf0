/**
 * A real browser in front of the relay: what it sends arrives whole, the microphone page is understood, and a page of
 * another origin gets nothing.
 */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { Browser } from 'playwright-core'
import t from 'tap'
import {
  createPocketsphinxEngine,
  createScriptedEngine,
  detectPocketsphinx,
  loadRecordings,
} from '../../src/emulator/index.ts'
import { hasBrowser, MICROPHONE_PAGE, servePage, startBrowser } from '../support/browser.ts'
import { wordsOf } from '../support/relay-client.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const KEY = 'a-key-for-a-page-and-for-tests-only'
const PAGE = '<!doctype html><title>page</title>'
const CHUNK_BYTES = 3200
const speech = readSpeech().at(-1)
if (speech === undefined) throw new Error('the recordings are missing')

interface Heard {
  readonly protocol: string
  readonly messages: readonly { readonly type: string; readonly code?: string }[]
  readonly closeCode: number
}

/** Streams from a page of this origin, by the browser's own WebSocket. `sandboxed`: from a frame without an origin. */
async function streamFrom(
  browser: Browser,
  origin: string,
  plan: { url: string; protocols: string[]; pcm: Buffer; isSandboxed?: boolean },
): Promise<Heard> {
  const page = await browser.newPage()
  await page.goto(origin)
  let frame = page.mainFrame()
  if (plan.isSandboxed === true) {
    await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<title>sandboxed</title>"></iframe>')
    const inner = await page.waitForSelector('iframe')
    const content = await inner.contentFrame()
    if (content === null) throw new Error('the frame has no content')
    frame = content
  }
  const task = { url: plan.url, protocols: plan.protocols, base64: plan.pcm.toString('base64'), CHUNK_BYTES }
  const heard = await frame.evaluate(streamInPage, task)
  await page.close()
  return heard
}

/** Runs in the browser, so it sees nothing of this module. */
function streamInPage(task: {
  url: string
  protocols: string[]
  base64: string
  CHUNK_BYTES: number
}): Promise<Heard> {
  const pcm = Uint8Array.from(atob(task.base64), character => character.charCodeAt(0))
  const messages: { type: string; code?: string }[] = []
  const socket = new WebSocket(task.url, task.protocols)
  socket.addEventListener('open', () => {
    for (let offset = 0; offset < pcm.length; offset += task.CHUNK_BYTES)
      socket.send(pcm.subarray(offset, offset + task.CHUNK_BYTES))
    socket.send('{"type":"CloseStream"}')
  })
  socket.addEventListener('message', event =>
    messages.push(JSON.parse(String(event.data)) as { type: string }),
  )
  return new Promise(done => {
    socket.addEventListener('close', event =>
      done({ protocol: socket.protocol, messages, closeCode: event.code }),
    )
  })
}

if (hasBrowser(t)) {
  t.test("a browser's WebSocket delivers every byte and hears every word (PC-20)", async t => {
    const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })
    const world = await startWorld(t, { emulator: { engine } })
    const browser = await startBrowser(t, resolve(SPEECH_FOLDER, speech.name))
    const origin = await servePage(t, PAGE)
    const heard = await streamFrom(browser, origin, { url: world.url, protocols: [], pcm: speech.pcm })
    const record = await world.emulator.waitForStream(({ isLive }) => !isLive)
    t.equal(record.sha256, sha256(speech.pcm))
    t.equal(heard.closeCode, 1000)
    t.equal(heard.messages[0]?.type, 'Begin')
    t.equal(heard.messages.at(-1)?.type, 'End')
  })

  t.test(
    'a page of another origin, or of none, gets no WebSocket, and one with a key gets its words (AU-15)',
    async t => {
      const origin = await servePage(t, PAGE)
      const stranger = await servePage(t, PAGE)
      const digest = createHash('sha256').update(KEY).digest('hex')
      const world = await startWorld(t, {
        relay: { auth: ['keys'], apiKeys: [`page:${digest}`], allowedOrigins: [origin] },
      })
      const browser = await startBrowser(t, resolve(SPEECH_FOLDER, speech.name))
      const plan = { url: world.url, protocols: ['transcribe-relay.v1', 'bearer', KEY], pcm: speech.pcm }
      for (const [from, isSandboxed] of [
        [stranger, false],
        [origin, true],
      ] as const) {
        const heard = await streamFrom(browser, from, { ...plan, isSandboxed })
        t.strictSame(heard.messages, [])
        t.equal(heard.closeCode, 1006, 'refused by HTTP')
      }
      t.equal(world.emulator.connectionCount, 0, 'nothing was dialled')
      const heard = await streamFrom(browser, origin, plan)
      t.equal(heard.protocol, 'transcribe-relay.v1', 'the token is not echoed')
      t.equal(heard.closeCode, 1000)
    },
  )

  t.test('the microphone page of the examples is understood', async t => {
    const program = await detectPocketsphinx()
    if (program === null) {
      t.not(process.env['CI'], 'true', 'CI installs pocketsphinx')
      t.comment('left out: pocketsphinx is not installed, and nothing else understands a microphone')
      return
    }
    const world = await startWorld(t, { emulator: { engine: createPocketsphinxEngine({ program }) } })
    const browser = await startBrowser(t, resolve(SPEECH_FOLDER, speech.name))
    const origin = await servePage(t, MICROPHONE_PAGE)
    const page = await browser.newPage()
    const problems: Error[] = []
    page.on('pageerror', error => problems.push(error))
    await page.goto(`${origin}/?url=${encodeURIComponent(world.url)}`)
    await page.click('#start')
    // The microphone falls silent after the recording, so the utterance ends while it is still open.
    await page.waitForFunction("document.getElementById('finals').textContent !== ''")
    await page.click('#stop')
    await page.waitForSelector('#start:enabled')
    const heard = wordsOf((await page.textContent('#finals')) ?? '')
    const understood = speech.words.filter(word => heard.includes(word))
    t.ok(understood.length * 2 >= speech.words.length, `${heard.join(' ')} for ${speech.words.join(' ')}`)
    t.equal(await page.textContent('#problem'), '')
    t.strictSame(problems, [])
    const record = await world.emulator.waitForStream(({ isLive }) => !isLive)
    t.equal(record.closeCause, 'completed')
  })
}
