/** The benches of whole relays: each runs for a second, and their hand-made parts agree with a library. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import * as ws from 'ws'
import { ScriptedResult } from '../../bench/e2e/scripted-result.ts'
import { SCENARIOS } from '../../bench/e2e/scenarios.ts'
import { cutSpeech, readSpeech } from '../../bench/e2e/speech.ts'
import { TimerWheel } from '../../bench/e2e/timer-wheel.ts'
import { acceptOf, clientFrame, FrameReader, OPCODE, serverFrame } from '../../bench/e2e/ws-frames.ts'
import { readResults, ROOT_DIRECTORY, type ResultRow } from '../../bench/results-format.ts'
import { decodeMessage } from '../../src/eventstream/index.ts'
import { createEmulator } from '../../src/emulator/index.ts'
import { createRelay } from '../../src/index.ts'
import { createLogger } from '../../src/log.ts'
import { EXAMPLE_KEY } from '../support/transcribe-client.ts'

/** What the types of `ws` leave out. */
const { Receiver, Sender } = ws as unknown as {
  readonly Receiver: new (options: object) => Writable
  readonly Sender: { frame(data: Buffer, options: object): Buffer[] }
}

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function bench(name: string, args: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const path = join(ROOT_DIRECTORY, 'bench', 'e2e', `${name}.ts`)
    const child = spawn(process.execPath, ['--import', 'tsx', path, ...args], { cwd: ROOT_DIRECTORY })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (text: Buffer) => (stdout += text.toString()))
    child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
    child.once('error', reject)
    child.once('close', code => resolve({ code, stdout, stderr }))
  })
}

t.test('a comparison of a second measures all four relays over TLS, with results from each', async t => {
  const directory = t.testdir()
  const only = ['--only', 'frames-20ms-100', '--from', 'src']
  const run = await bench('compare', ['--smoke', ...only, '--directory', directory])
  t.equal(run.code, 0, run.stderr)
  const results = readResults(join(directory, 'compare-smoke.json'))
  t.ok(results.isSmoke)
  const [frames] = results.groups
  t.equal(frames?.rows.length, 4)
  for (const row of frames?.rows ?? []) {
    t.ok((row.figures['CPU per frame']?.median ?? 0) > 0, `${row.id} costs something`)
    t.ok((row.figures['added p50']?.median ?? 0) > 0, `${row.id} returned results`)
    t.equal(row.figures['sessions']?.median, 10, `${row.id} kept its sessions`)
  }
  t.strictSame(frames?.text, [], 'no session ended with an error')
})

t.test('scenarios can be listed, and an unknown one is refused', async t => {
  const listed = await bench('compare', ['--list'])
  t.equal(listed.stdout.trim().split('\n').length, SCENARIOS.length)
  t.match(await bench('compare', ['--only', 'nothing']), {
    code: 64,
    stderr: /--only names no scenario: nothing/,
  })
})

t.test('a load of a second on our relay writes its figures', async t => {
  const directory = t.testdir()
  const run = await bench('load', ['--smoke', '--from', 'src', '--directory', directory])
  t.equal(run.code, 0, run.stderr)
  const { figures } = onlyRow(directory, 'load-smoke')
  t.match(figures, { sessions: { median: 10 }, 'left open': { median: 0 } })
  t.ok((figures['relay CPU per frame']?.median ?? 0) > 0)
})

function onlyRow(directory: string, name: string): ResultRow {
  const row = readResults(join(directory, `${name}.json`)).groups[0]?.rows[0]
  if (row === undefined) throw new Error(`${name} has no row`)
  return row
}

async function startRelay(t: Test): Promise<string> {
  const emulator = createEmulator()
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  const relay = createRelay(
    { host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, region: 'us-east-1', endpoint },
    { credentials: EXAMPLE_KEY, logger: createLogger({ level: 'fatal', version: '0' }) },
  )
  t.teardown(() => relay.close())
  return (await relay.start()).url
}

t.test('a load on a relay of somebody else has its latency, and its CPU by the process id', async t => {
  const url = await startRelay(t)
  const directory = t.testdir()
  const size = ['--sessions', '4', '--ramp', '20', '--seconds', '2', '--warm-up', '0', '--processes', '2']
  const where = ['--url', url, '--token', 'secret', '--pid', String(process.pid), '--directory', directory]
  const run = await bench('load', [...size, ...where])
  t.equal(run.code, 0, run.stderr)
  const { figures } = onlyRow(directory, 'load')
  t.match(figures, { sessions: { median: 4 }, 'left open': { median: 0 } })
  for (const name of ['latency p99', 'relay CPU per frame', 'relay memory', 'generator CPU', 'results']) {
    t.ok((figures[name]?.median ?? 0) > 0, name)
  }
  t.notMatch(run.stderr, 'secret')
})

t.test("Amazon's own service and impossible loads are refused before anything is opened", async t => {
  const amazon = await bench('load', ['--url', 'wss://transcribestreaming.eu-west-1.amazonaws.com:8443/'])
  t.match(amazon, { code: 64, stderr: /billed.*--i-pay-for-amazon/ })
  t.match(await bench('load', ['--url', 'https://relay.example/']), {
    code: 64,
    stderr: /ws:\/\/ or wss:\/\//,
  })
  t.match(await bench('load', ['--sessions', '0']), { code: 64, stderr: /--sessions must be from 1 to/ })
})

function readBack(
  t: Test,
  wire: Buffer,
  payloads: readonly Buffer[],
  keepsPayloads: boolean,
  steps: readonly number[],
): void {
  for (const stepBytes of steps) {
    const sizes: number[] = []
    const reader = new FrameReader(
      { readerOnFrame: (_opcode, payloadBytes) => sizes.push(payloadBytes) },
      keepsPayloads,
    )
    for (let offset = 0; offset < wire.length; offset += stepBytes) {
      reader.push(wire.subarray(offset, offset + stepBytes))
    }
    t.strictSame(
      sizes,
      payloads.map(({ length }) => length),
      `${stepBytes} bytes at a time`,
    )
  }
}

t.test('frames by hand are those of a library, however they are cut', async t => {
  const payloads = [0, 1, 125, 126, 3304, 65_535, 65_536].map(size => Buffer.alloc(size, size % 251))
  const received: Buffer[] = []
  const receiver = new Receiver({ isServer: true, skipUTF8Validation: true })
  receiver.on('message', (data: Buffer) => received.push(data))
  for (const payload of payloads) receiver.write(clientFrame('binary', payload))
  await new Promise(resolve => setImmediate(resolve))
  t.ok(
    received.length === payloads.length &&
      payloads.every((payload, index) => received[index]?.equals(payload)),
  )

  const wire = Buffer.concat(payloads.map(payload => serverFrame('binary', payload)))
  const library = payloads.flatMap(data => {
    const options = { fin: true, opcode: OPCODE.binary, mask: false, readOnly: true, rsv1: false }
    return Sender.frame(data, options)
  })
  t.ok(wire.equals(Buffer.concat(library)))
  for (const keepsPayloads of [true, false]) {
    readBack(t, wire, payloads, keepsPayloads, [1009, 4096, wire.length])
    const short = payloads.slice(0, 4)
    readBack(
      t,
      Buffer.concat(short.map(payload => serverFrame('binary', payload))),
      short,
      keepsPayloads,
      [1, 3],
    )
  }
  t.equal(acceptOf('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the example of RFC 6455')
})

t.test('a scripted result is a message of the service whatever is filled in', async t => {
  const result = new ScriptedResult()
  for (const [end, isFinal, held] of [
    [0.5, false, 12.4],
    [12_345.678, true, 1e12],
  ] as const) {
    const { payload } = decodeMessage(result.render(end, isFinal, held))
    const [only] = (JSON.parse(payload.toString('utf8')) as { Transcript: { Results: unknown[] } }).Transcript
      .Results
    t.match(only, {
      EndTime: end,
      IsPartial: !isFinal,
      Alternatives: [{ Transcript: /^held \d{8} us and mister/ }],
    })
  }
  t.ok(new ScriptedResult(10_000).render(1, true, 0).length > 10_000)
})

t.test('the wheel calls every rider once a round, and speech is cut into whole chunks', async t => {
  const wheel = new TimerWheel(10, () => undefined)
  const turns = [0, 0, 0]
  const done = new Promise<void>(resolve => {
    turns.forEach((_, index) =>
      wheel.add({
        wheelOnTurn: () => {
          turns[index] = (turns[index] ?? 0) + 1
          if (turns.every(count => count >= 3)) resolve()
        },
      }),
    )
  })
  wheel.start()
  await done
  wheel.stop()
  t.ok(Math.max(...turns) - Math.min(...turns) <= 1, turns.join(' '))
  const frames = cutSpeech(100, 16_000)
  t.equal(frames.length, Math.floor(readSpeech().length / 3200))
  t.ok(frames.every(({ length }) => length === 3200 + 8))
})
