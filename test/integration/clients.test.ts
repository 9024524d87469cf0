/**
 * The clients of docs/protocol.md, run as they are printed: only the address, the file and the pause between chunks are
 * replaced. The emulator says which bytes arrived.
 */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { readSpeech, sha256, SPEECH_FOLDER } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const run = promisify(execFile)

/** Debian's own: the package is python3-websockets. */
const PYTHON = '/usr/bin/python3'
const CLIENT_TIMEOUT_MS = 30_000

function codeBlock(language: string, marker: string): string {
  const blocks = readFileSync('docs/protocol.md', 'utf8').matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)
  const block = [...blocks].find(([, name, code = '']) => name === language && code.includes(marker))
  if (block?.[2] === undefined) throw new Error(`docs/protocol.md has no ${language} client with ${marker}`)
  return block[2]
}

async function runClient(t: Test, program: string, fileName: string, code: string) {
  const recordings = await loadRecordings(SPEECH_FOLDER)
  const world = await startWorld(t, { emulator: { engine: createScriptedEngine({ recordings }) } })
  const [speech] = readSpeech()
  if (speech === undefined) throw new Error('there is no sample speech')
  const prepared = code
    .replace('ws://localhost:8080/v1/stream', world.url)
    .replace('speech.raw', join(t.testdirName, 'speech.raw'))
    .replace('setTimeout(resolve, 100)', 'setTimeout(resolve, 1)')
    .replace('asyncio.sleep(0.1)', 'asyncio.sleep(0.001)')
  const file = join(t.testdirName, fileName)
  t.testdir({ 'speech.raw': speech.pcm, [fileName]: prepared })
  const { stdout } = await run(program, [file], { timeout: CLIENT_TIMEOUT_MS })
  const record = await world.emulator.waitForStream(({ isLive }) => !isLive)
  t.equal(record.sha256, sha256(speech.pcm), 'every byte arrived in order')
  const messages = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { type: string; is_final?: boolean; text?: string })
  t.equal(messages[0]?.type, 'Begin')
  t.equal(messages.at(-1)?.type, 'End')
  const finals = messages.filter(({ is_final }) => is_final === true).map(({ text }) => text ?? '')
  for (const word of speech.words) t.match(finals.join(' ').toLowerCase(), word)
}

t.test(
  'the Node.js client of the documentation delivers every byte and prints every result (PC-20)',
  async t => {
    await runClient(t, process.execPath, 'client.mjs', codeBlock('js', "from 'ws'"))
  },
)

t.test('the Python client of the documentation does, too (PC-20)', async t => {
  const hasLibrary = await run(PYTHON, ['-c', 'import websockets']).then(
    () => true,
    () => false,
  )
  if (!hasLibrary) {
    t.notOk(process.env['CI'], 'CI installs python3-websockets')
    t.comment('left out: the Python client needs the Debian package python3-websockets')
    return
  }
  await runClient(t, PYTHON, 'client.py', codeBlock('python', 'import asyncio, websockets'))
})
