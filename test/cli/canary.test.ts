/** The canary as a real process against a relay with a local Amazon Transcribe, and what it makes of a bad one. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import t from 'tap'
import { findSample } from '../../src/cli/canary-sample.ts'
import { MAX_COMPARED_WORDS, splitWords, wordRecall } from '../../src/cli/word-recall.ts'
import { runProgram } from '../../src/cli/program.ts'
import { createScriptedEngine, loadRecordings } from '../../src/emulator/index.ts'
import { CANARY_METRICS, CANARY_OUTCOMES, createCanaryMetrics } from '../../src/metrics/canary.ts'
import { METRIC_PREFIX } from '../../src/metrics/definitions.ts'
import { memoryContext, runCli, startCli } from '../support/cli.ts'
import { fetchText, parseMetrics } from '../support/metric-values.ts'
import { SPEECH_FOLDER } from '../support/speech.ts'
import type { WorldOptions } from '../support/world.ts'
import { startWorld } from '../support/world.ts'

const SAMPLE = join(SPEECH_FOLDER, 'sense_and_sensibility_01_austen_64kb-0880.wav')
const SEED = Number(process.env['FC_SEED'] ?? Date.now() % 2 ** 31)
const engine = createScriptedEngine({ recordings: await loadRecordings(SPEECH_FOLDER) })

t.comment(`seed ${SEED}`)

interface RunLine {
  readonly outcome: string
  readonly code: string | null
  readonly word_recall: number
  readonly begin_ms: number | null
  readonly final_lag_ms: number | null
  readonly request_id: string | null
}

function lastLine(stdout: string): RunLine {
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as RunLine
}

async function openWorld(t: Parameters<typeof startWorld>[0], options: WorldOptions = {}) {
  return startWorld(t, { ...options, emulator: { engine, ...options.emulator } })
}

async function runOnce(url: string, ...args: readonly string[]) {
  const { code, stdout, stderr } = await runCli(['canary', '--once', '--url', url, ...args])
  return { code, stderr, run: stdout === '' ? null : lastLine(stdout), stdout }
}

t.test('once: the words of the sample come back, and it ends with 0', async t => {
  const world = await openWorld(t)
  const { code, run, stderr, stdout } = await runOnce(world.url)
  t.equal(code, 0)
  t.equal(stderr, '')
  t.match(run, { outcome: 'ok', code: null, word_recall: 1, begin_ms: Number, final_lag_ms: Number })
  t.notMatch(stdout, /disposed/, 'the transcript is not printed')
  const started = world.log.lines.find(line => line['session_id'] === run?.request_id)
  t.ok(started, 'the id is in the log of the relay')
})

t.test('once: words that do not come back are a failure, unless enough do', async t => {
  const world = await openWorld(t)
  const words = ['--sample', SAMPLE, '--words', 'He was NOT, a bad man']
  const tooFew = await runOnce(world.url, ...words)
  t.match(tooFew, { code: 1, run: { outcome: 'wrong_words', word_recall: 0.667 } }, 'four of six')
  t.match(await runOnce(world.url, ...words, '--min-recall', '0.6'), { code: 0, run: { outcome: 'ok' } })
})

t.test('once: late words are slow', async t => {
  const world = await openWorld(t, { emulator: { latencyMs: 1500 } })
  const slow = await runOnce(world.url, '--max-final-lag-ms', '1000')
  t.match(slow, { code: 1, run: { outcome: 'slow', word_recall: 1 } })
})

t.test('once: a stream that is refused or breaks is a failure with its code', async t => {
  const world = await openWorld(t)
  world.faultNext({ do: 'exception', name: 'LimitExceededException', closeCode: 1000, atSeconds: 0.5 })
  t.match(await runOnce(world.url), {
    code: 1,
    run: { outcome: 'failed', code: 'upstream_throttled', request_id: String },
  })
  const refused = await runOnce(`${world.url}?language-code=nonsense`)
  t.match(refused, { code: 1, run: { outcome: 'failed', code: 'invalid_request', begin_ms: null } })
  await world.relay.close()
  t.match(await runOnce(world.url), { code: 1, run: { outcome: 'failed', code: 'connection_failed' } })
})

t.test('it runs again and again, tells Prometheus, and stops when asked', async t => {
  const world = await openWorld(t)
  world.faultNext({
    do: 'exception',
    name: 'BadRequestException',
    message: 'bad audio',
    closeCode: 1000,
    atSeconds: 0.5,
  })
  const args = ['--every', '1s', '--ops-host', '127.0.0.1', '--ops-port', '0']
  const canary = startCli(['canary', ...args], { TRANSCRIBE_URL: world.url })
  t.teardown(() => canary.child.kill('SIGKILL'))
  const [, url = ''] = await canary.waitFor(/^metrics +(\S+\/metrics)$/m)
  await canary.waitFor(/"outcome":"failed"/)
  const failed = parseMetrics(await fetchText(url))
  t.equal(failed.get('canary_success'), 0)
  t.equal(failed.get('canary_runs_total{outcome="failed"}'), 1)
  await canary.waitFor(/"outcome":"ok"/)
  const good = parseMetrics(await fetchText(url))
  t.equal(good.get('canary_success'), 1)
  t.equal(good.get('canary_word_recall_ratio'), 1)
  t.equal(good.get('canary_runs_total{outcome="ok"}'), 1)
  t.ok((good.get('canary_final_lag_seconds') ?? 0) > 0)
  t.equal((await fetch(new URL('/readyz', url))).status, 200)
  canary.child.kill('SIGTERM')
  const { code, stdout } = await canary.result
  t.equal(code, 0)
  t.equal(stdout.trim().split('\n').length, 2, 'a run that is cut short is not judged')
})

t.test('a wrong command line is one line and 64', async t => {
  for (const [args, line] of [
    [['--every', '0s'], /--every must be 1s to 24h.*got "0s"/],
    [['--every', '25h'], /--every must be/],
    [['--every', 'often'], /--every must be/],
    [['--url', 'https://x'], /--url must be a ws:/],
    [['--url', 'x'], /--url must be a ws:/],
    [['--min-recall', '2'], /--min-recall must be a number from 0 to 1/],
    [['--ops-port', '99999'], /--ops-port must be/],
    [['--words', '...'], /--words must be 1 to 1000 words, got 0/],
    [['--sample', '/nonexistent/x.wav'], /--words must say what is spoken in x\.wav/],
    [['extra'], /one word too many/],
  ] as const) {
    const context = memoryContext()
    t.equal(await runProgram(['canary', ...args], context), 64, args.join(' '))
    t.match(context.output.stderr, line)
  }
})

t.test('what cannot be opened is one line and 1', async t => {
  const missing = memoryContext()
  t.equal(
    await runProgram(['canary', '--once', '--sample', '/nonexistent/x.wav', '--words', 'a'], missing),
    1,
  )
  t.match(missing.output.stderr, /x\.wav: no such file/)
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  t.teardown(() => blocker.close())
  const { port } = blocker.address() as AddressInfo
  const busy = memoryContext()
  t.equal(await runProgram(['canary', '--ops-host', '127.0.0.1', '--ops-port', String(port)], busy), 1)
  t.match(busy.output.stderr, new RegExp(`127\\.0\\.0\\.1 port ${port} \\(--ops-port\\) is in use`))
})

t.test('the first signal ends a single run without a judgement, the second at once', async t => {
  const world = await openWorld(t)
  const context = memoryContext()
  const ended = runProgram(['canary', '--once', '--url', world.url], context)
  await world.log.waitFor('session started')
  context.signal('SIGINT')
  t.equal(await ended, 143)
  t.equal(context.output.stdout, '')
})

t.test('the words of a sample are given, or stand beside it', async t => {
  t.strictSame((await findSample()).words, splitWords('he was not an ill disposed young man'))
  t.strictSame((await findSample(SAMPLE, 'Hello, World! 42')).words, ['hello', 'world', '42'])
  const folder = t.testdir({ 'transcripts.tsv': 'b.wav\t1\tone two\n' })
  copyFileSync(SAMPLE, join(folder, 'a.wav'))
  t.strictSame((await findSample(join(folder, 'b.wav'))).words, ['one', 'two'])
  await t.rejects(findSample(join(folder, 'a.wav')), /--words must say what is spoken in a\.wav/)
  await t.rejects(findSample(SAMPLE, 'x '.repeat(MAX_COMPARED_WORDS + 1)), /got 1001/)
  await t.rejects(findSample('/proc/self/status/x.wav'), { code: 'ENOTDIR' })
})

t.test('recall is the longest common subsequence over what was expected', async t => {
  const word = fc.constantFrom('a', 'b', 'c')
  const words = fc.array(word, { maxLength: 8 })
  /** Slow and obvious: every subsequence. */
  const longest = (wanted: readonly string[], heard: readonly string[]): number => {
    const [first, ...rest] = wanted
    if (first === undefined) return 0
    const at = heard.indexOf(first)
    const without = longest(rest, heard)
    return at === -1 ? without : Math.max(without, 1 + longest(rest, heard.slice(at + 1)))
  }
  fc.assert(
    fc.property(words, words, (wanted, heard) => {
      const expected = wanted.length === 0 ? 1 : longest(wanted, heard) / wanted.length
      return Math.abs(wordRecall(wanted, heard) - expected) < 1e-12
    }),
    { seed: SEED },
  )
  t.equal(wordRecall(['a', 'b'], ['x', 'a', 'y', 'b', 'z']), 1, 'words on top cost nothing')
  t.strictSame(splitWords("Don't — Straße, 3 œufs!"), ["don't", 'straße', '3', 'œufs'])
})

t.test('every figure of the canary is there from the start, and stands in docs/metrics.md', async t => {
  const metrics = createCanaryMetrics()
  const before = parseMetrics((await metrics.scrape()).body)
  for (const outcome of CANARY_OUTCOMES) t.equal(before.get(`canary_runs_total{outcome="${outcome}"}`), 0)
  const document = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  for (const { name } of Object.values(CANARY_METRICS)) {
    t.ok(
      [...before.keys()].some(series => series.startsWith(name)),
      name,
    )
    t.ok(document.includes(`| \`${METRIC_PREFIX}${name}\` |`), `${name} is documented`)
  }
  metrics.canaryOnRun({
    outcome: 'failed',
    endedAtMs: 1_000_500,
    wordRecall: 0,
    beginMs: 250,
    firstResultMs: null,
    finalLagMs: null,
  })
  const after = parseMetrics((await metrics.scrape()).body)
  t.equal(after.get('canary_last_run_timestamp_seconds'), 1000.5)
  t.equal(after.get('canary_begin_seconds'), 0.25)
  t.ok(Number.isNaN(after.get('canary_first_result_seconds')))
  t.equal(after.get('canary_success'), 0)
})
