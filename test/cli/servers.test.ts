/** Real processes of the commands that serve: start, work, stop. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { chooseEngine, ENGINE_ROWS, SAMPLE_FOLDER } from '../../src/cli/engine-choice.ts'
import { parseArguments } from '../../src/cli/arguments.ts'
import { runCli, startCli, TEST_KEYS } from '../support/cli.ts'
import type { CliProcess } from '../support/cli.ts'
import { presignReference } from '../support/sigv4.ts'

const TRANSCRIPTS = readFileSync(join(SAMPLE_FOLDER, 'transcripts.tsv'), 'utf8')
  .trim()
  .split('\n')
  .map(line => line.split('\t'))
const DEV = ['dev', '--port', '0', '--ops-port', '0', '--engine', 'scripted']

function start(t: Test, args: readonly string[], env: Readonly<Record<string, string>> = {}): CliProcess {
  const running = startCli(args, env)
  t.teardown(() => running.child.kill('SIGKILL'))
  return running
}

/** Starts `dev` and gives its addresses. */
async function startDev(t: Test, ...args: readonly string[]) {
  const running = start(t, [...DEV, ...args])
  const [, url = ''] = await running.waitFor(/^relay +(ws:\S+)$/m)
  const [, opsUrl = ''] = await running.waitFor(/^metrics +(\S+)\/metrics$/m)
  await running.waitFor(/readyz$/m)
  return { ...running, url, opsUrl }
}

/** An open stream with its session begun. */
async function openStream(t: Test, url: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url}?sample-rate=16000`)
  t.teardown(() => socket.terminate())
  const [data] = (await once(socket, 'message')) as [Buffer]
  t.match(JSON.parse(data.toString('utf8')), { type: 'Begin' })
  return socket
}

t.test('demo transcribes the sample speech and ends with 0', async t => {
  const { code, stdout, stderr } = await runCli(['demo', '--engine', 'scripted', '--speed', '20'])
  t.equal(stderr, '')
  t.equal(code, 0)
  for (const [file, , words] of TRANSCRIPTS) {
    t.ok(stdout.includes(`${file}: 16-bit integer mono at 16000 Hz\n`))
    t.match(stdout, new RegExp(`\\] ${words}\\n`))
  }
  t.match(stdout, /audio sent +24\.73 s/)
  t.match(stdout, /results +5 final \(71 words\)/)
})

t.test('demo takes files, and fails where one cannot be read', async t => {
  const [file = ''] = TRANSCRIPTS[1] ?? []
  const path = join(SAMPLE_FOLDER, file)
  const one = await runCli(['demo', '--engine', 'scripted', '--speed', '20', '--file', path])
  t.match(one, { code: 0, stdout: /he was not an ill disposed young man/ })
  const none = await runCli(['demo', '--engine', 'scripted', '--file', 'none.wav'])
  t.match(none, { code: 1, stderr: /none\.wav: no such file/ })
})

t.test('demo can hurry with a long file, too', async t => {
  const seconds = 300
  const path = join(t.testdir({ 'long.raw': Buffer.alloc(seconds * 32_000, 'speech') }), 'long.raw')
  const { code, stderr } = await runCli(['demo', '--engine', 'scripted', '--speed', '100', '--file', path])
  t.notMatch(stderr, 'error')
  t.equal(code, 0)
})

t.test('demo can be interrupted', async t => {
  const running = start(t, ['demo', '--engine', 'scripted'])
  await running.waitFor(/~ and/)
  running.child.kill('SIGINT')
  t.match(await running.result, { code: 130 })
})

t.test('dev serves streams; SIGTERM drains it and it ends with 0', async t => {
  const dev = await startDev(t)
  t.equal((await fetch(`${dev.opsUrl}/readyz`)).status, 200)
  const [file = '', , words = ''] = TRANSCRIPTS[4] ?? []
  const streamed = await runCli(['stream', join(SAMPLE_FOLDER, file), '--url', dev.url, '--summary'])
  t.match(streamed, { code: 0, stdout: new RegExp(`^\\[ .*\\] ${words}\\n$`), stderr: /audio sent +3\.29 s/ })
  const socket = await openStream(t, dev.url)
  dev.child.kill('SIGTERM')
  const [draining] = (await once(socket, 'message')) as [Buffer]
  t.match(JSON.parse(draining.toString('utf8')), { type: 'Draining' })
  socket.send('{"type":"CloseStream"}')
  const [closeCode] = await once(socket, 'close')
  t.equal(closeCode, 1000)
  const { code, stdout } = await dev.result
  t.equal(code, 0)
  t.match(stdout, /"message":"stopping"|"message":"stopped"/)
})

t.test('stream reads standard input, prints JSON, and hands on a refusal', async t => {
  const dev = await startDev(t)
  const [file = ''] = TRANSCRIPTS[1] ?? []
  const wav = readFileSync(join(SAMPLE_FOLDER, file))
  const json = await runCli(['stream', '-', '--url', dev.url, '--format', 'json', '--speed', '5'], {}, wav)
  t.equal(json.code, 0)
  const messages = json.stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as { type: string })
  t.equal(messages[0]?.type, 'Begin')
  t.equal(messages.at(-1)?.type, 'End')
  const refused = await runCli(
    ['stream', '-', '--language-code', 'xx', '--number-of-channels', '1'],
    { TRANSCRIBE_URL: dev.url },
    wav,
  )
  t.match(refused, {
    code: 1,
    stdout: '',
    stderr: /error invalid_request \(HTTP 400\): language-code .*\nretryable: no/,
  })
  const encoding = await runCli(['stream', '-', '--media-encoding', 'flac'])
  t.match(encoding, { code: 64, stderr: /--media-encoding must be pcm/ })
  t.match(await runCli(['stream', '-', '--url', 'http://x']), { code: 64, stderr: /--url must be a ws:/ })
  dev.child.kill('SIGINT')
  t.match(await dev.result, { code: 0 })
})

t.test('of the two ports of the emulator the one that is in use is named', async t => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const emulate = ['emulate', '--engine', 'scripted']
  for (const flag of ['--port', '--http2-port']) {
    const { code, stderr } = await runCli([...emulate, flag, String(port)])
    t.equal(code, 1)
    t.match(stderr, `127.0.0.1 port ${port} is in use`, flag)
  }
})

t.test('a port in use is one line and 1, for each of the three ports', async t => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  t.teardown(() => blocker.close())
  const port = String((blocker.address() as AddressInfo).port)
  const local = { ...TEST_KEYS, AWS_REGION: 'us-east-1', RELAY_MAX_SESSIONS: '10' }
  const serve = ['serve', '--host', '127.0.0.1', '--ops-host', '127.0.0.1']
  for (const args of [
    [...serve, '--port', port, '--ops-port', '0'],
    [...serve, '--port', '0', '--ops-port', port],
    ['emulate', '--engine', 'scripted', '--port', port],
    ['dev', '--engine', 'scripted', '--port', '0', '--ops-port', '0', '--emulator-port', port],
  ]) {
    const { code, stderr } = await runCli(args, local)
    t.equal(code, 1, args.join(' '))
    t.match(stderr, new RegExp(`^transcribe-relay: .*${port}.*\\n$`))
  }
})

t.test('serve runs with keys from the environment and stops at once when idle', async t => {
  const args = ['serve', '--host', '127.0.0.1', '--ops-host', '127.0.0.1', '--port', '0', '--ops-port', '0']
  const serve = start(t, args, { ...TEST_KEYS, AWS_REGION: 'us-east-1', RELAY_MAX_SESSIONS: '10' })
  await serve.waitFor(/"message":"relay started"/)
  serve.child.kill('SIGTERM')
  const { code, stdout } = await serve.result
  t.equal(code, 0)
  t.notMatch(stdout, TEST_KEYS.AWS_SECRET_ACCESS_KEY)
  for (const line of stdout.trim().split('\n')) t.type(JSON.parse(line), 'object')
})

t.test('emulate answers a signed URL, with the faults of a file', async t => {
  const folder = t.testdir({
    'faults.json': '{"rules":[{"match":{"connection":2},"action":{"do":"httpStatus","status":503}}]}',
  })
  const running = start(t, ['emulate', '--engine', 'scripted', '--faults', join(folder, 'faults.json')])
  const [, base = ''] = await running.waitFor(/listens at (ws:\S+)/)
  const path = '/stream-transcription-websocket'
  const signed = presignReference({
    host: new URL(base).host,
    path,
    region: 'us-east-1',
    service: 'transcribe',
    parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
    accessKeyId: TEST_KEYS.AWS_ACCESS_KEY_ID,
    secretAccessKey: TEST_KEYS.AWS_SECRET_ACCESS_KEY,
    signingDateMs: Date.now(),
    expiresSeconds: 60,
  })
  const url = `${base}${path}?${signed.canonicalQuery}&X-Amz-Signature=${signed.signature}`
  const first = new WebSocket(url)
  await once(first, 'open')
  first.terminate()
  const second = new WebSocket(url)
  t.match(await once(second, 'error'), [/503/])
  running.child.kill('SIGTERM')
  t.match(await running.result, { code: 0, stderr: /SIGTERM: the emulator stops/ })
})

t.test('emulate refuses wrong options and files', async t => {
  const folder = t.testdir({ 'bad.json': '{', 'wrong.json': '{"rules":[{"action":{"do":"nothing"}}]}' })
  const table: readonly [args: string[], code: number, message: RegExp][] = [
    [['--latency-ms', 'x'], 64, /--latency-ms must be a whole number/],
    [['--latency-ms', '99999999'], 64, /latencyMs must be a whole number from 0 to/],
    [['--bad-parameters', 'x'], 64, /badParameters must be one of/],
    [['--engine', 'x'], 64, /--engine must be/],
    [['--tls-key', 'x'], 64, /belong together/],
    [['--tls-key', 'x', '--tls-cert', 'y'], 1, /--tls-key x cannot be read \(ENOENT\)/],
    [['--faults', join(folder, 'bad.json')], 1, /no valid JSON/],
    [['--faults', join(folder, 'wrong.json')], 1, /fault script is not valid/],
    [['--transcripts', folder], 1, /--transcripts: .*ENOENT/],
    [['word'], 64, /one word too many/],
  ]
  for (const [args, code, message] of table) {
    t.match(
      await runCli(['emulate', '--engine', 'scripted', ...args]),
      { code, stderr: message },
      args.join(' '),
    )
  }
})

function choose(args: string[], program: string | null) {
  return chooseEngine(parseArguments(args, ENGINE_ROWS), async () => program)
}

t.test('the engine is the best one there is, unless one is named', async t => {
  t.match(await choose([], 'ps'), { engine: { name: 'pocketsphinx' }, hint: null })
  t.match(await choose([], null), {
    engine: { name: 'scripted' },
    hint: /apt-get install pocketsphinx pocketsphinx-en-us$/,
  })
  t.match(await choose(['--engine', 'scripted'], 'ps'), { engine: { name: 'scripted' }, hint: null })
  await t.rejects(choose(['--engine', 'pocketsphinx'], null), { message: /not installed; .*apt-get/ })
  t.ok(readdirSync(SAMPLE_FOLDER).length > 5)
})
