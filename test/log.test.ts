import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import type { LogLevel } from '../src/log.ts'
import { LOG_LEVELS, createDialLog, createLogger, createSessionLog } from '../src/log.ts'
import { ManualClock } from './support/manual-clock.ts'

function openLog(level: LogLevel) {
  const written: string[] = []
  const sink = { write: (line: string) => void written.push(line), flush: async () => {}, lostLines: 7 }
  const logger = createLogger({ level, version: '1.2.3', sink, clock: new ManualClock() })
  return { logger, records: () => written.map(line => JSON.parse(line) as Record<string, unknown>), written }
}

t.test('a line is one JSON object with level, time, service, version, fields and message', async t => {
  const { logger, written, records } = openLog('info')
  logger.info('session\nstarted', { session_id: 'a', bytes: 1 })
  t.match(written, [/^\{.*\}\n$/])
  t.same(records(), [
    {
      level: 'info',
      time: '2026-01-01T00:00:00.000Z',
      service: 'transcribe-relay',
      version: '1.2.3',
      session_id: 'a',
      bytes: 1,
      message: 'session\nstarted',
    },
  ])
})

t.test('of several workers, a line names its own, and cannot name another', async t => {
  const written: string[] = []
  const sink = { write: (line: string) => void written.push(line), flush: async () => {}, lostLines: 0 }
  const logger = createLogger({ level: 'info', version: '1.2.3', worker: 2, sink, clock: new ManualClock() })
  logger.info('line', { worker: 7 })
  t.match(JSON.parse(written.join('')), { worker: 2, field_worker: 7 })
  const alone = openLog('info')
  alone.logger.info('line', { worker: 7 })
  t.match(alone.records(), [{ worker: 7 }])
})

t.test('levels below the chosen one are neither written nor counted', async t => {
  for (const [index, level] of LOG_LEVELS.entries()) {
    const { logger, records } = openLog(level)
    for (const each of LOG_LEVELS) logger[each]('line')
    t.same(
      records().map(record => record['level']),
      LOG_LEVELS.slice(0, index + 1),
    )
    for (const [each, lineLevel] of LOG_LEVELS.entries()) {
      t.equal(logger.lines[lineLevel], each <= index ? 1 : 0)
      t.equal(logger.isEnabled(lineLevel), each <= index)
    }
  }
  t.equal(openLog('info').logger.lostLines(), 7)
  await openLog('info').logger.flush(1)
})

t.test('at the finest level, a secret in any part of a line does not come through', async t => {
  const canary = 'c4n4ry-token'
  const { logger, written } = openLog('trace')
  for (const level of LOG_LEVELS) {
    logger[level](`dial wss://h/p?X-Amz-Signature=${canary}`, {
      token: canary,
      nested: { headers: { authorization: canary } },
      error: new Error(`wss://h/p?${canary}`, { cause: new Error(canary) }),
    })
  }
  t.equal(written.length, LOG_LEVELS.length)
  t.notMatch(written.join(''), canary)
})

t.test('a field cannot take the place of the line’s own', async t => {
  const { logger, records } = openLog('info')
  logger.info('true message', {
    level: 'fatal',
    time: 'never',
    message: 'forged',
    service: 'x',
    version: 'y',
  })
  t.match(records(), [
    { level: 'info', message: 'true message', service: 'transcribe-relay', field_message: 'forged' },
  ])
  t.equal(records().length, 1)
})

t.test('the lines of a session name it, and its address only if that is wanted', async t => {
  const { logger, records } = openLog('info')
  const start = { session_id: 's', client_address: '192.0.2.1' }
  createSessionLog(logger, { logAddresses: 'full' }).sessionOnStart(start)
  const quiet = createSessionLog(logger, { logAddresses: 'none' })
  quiet.sessionOnStart(start)
  quiet.sessionOnEnd({ session_id: 's', reason: 'normal' })
  quiet.sessionOnFailure('s', new TypeError('bug'))
  quiet.sessionOnFailure('s', 'a word someone said')
  t.match(records(), [
    { message: 'session started', session_id: 's', client_address: '192.0.2.1' },
    { message: 'session started', session_id: 's' },
    { message: 'session ended', session_id: 's', reason: 'normal' },
    {
      level: 'error',
      message: 'session failed',
      session_id: 's',
      error: { name: 'TypeError', message: 'bug' },
    },
    { level: 'error', message: 'session failed', error: { message: /no Error was thrown: string/ } },
  ])
  t.notOk('client_address' in (records()[1] ?? {}))
  t.notMatch(JSON.stringify(records()), 'a word')
})

/** `log-child` with this standard output; its own report comes on the standard error. */
function startChild(stdout: 'pipe' | number) {
  const path = fileURLToPath(new URL('support/log-child.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import=tsx', path], { stdio: ['pipe', stdout, 'pipe'] })
  child.stdin?.end()
  return {
    child,
    report: textOf(child.stderr),
    lines: textOf(child.stdout).catch(() => ''),
    exit: once(child, 'exit'),
  }
}

async function textOf(stream: Readable | null): Promise<string> {
  return stream === null ? '' : text(stream)
}

t.test('a process outlives its log', async t => {
  t.test('an output that nobody reads any more', async t => {
    const { child, report, exit } = startChild('pipe')
    child.stdout?.destroy()
    t.same({ ...JSON.parse(await report), code: (await exit)[0] }, { code: 0, lines: 50, lost: 50 })
  })

  t.test('a full disk', async t => {
    const full = fs.openSync('/dev/full', 'w')
    t.teardown(() => fs.closeSync(full))
    const { report, exit } = startChild(full)
    t.same({ ...JSON.parse(await report), code: (await exit)[0] }, { code: 0, lines: 50, lost: 50 })
  })

  t.test('an output in order gets every line', async t => {
    const { lines, report } = startChild('pipe')
    t.equal((await lines).split('\n').filter(line => line !== '').length, 50)
    t.same(JSON.parse(await report), { lines: 50, lost: 0 })
  })
})

t.test('lines of the dialling side use one spelling and whole numbers', async t => {
  const lines: string[] = []
  const sink = { write: (line: string) => void lines.push(line), flush: async () => {}, lostLines: 0 }
  const log = createDialLog(createLogger({ level: 'info', version: '1.2.3', sink }))
  log.dialOnAttemptFailed({ sessionId: 's-1', httpStatus: null, durationMs: 3.86, willRetry: true })
  log.dialOnClockCorrected({ sessionId: 's-1', offsetMs: -600_000.4 })
  const [failed, corrected] = lines.map(line => JSON.parse(line) as Record<string, unknown>)
  t.match(failed, { session_id: 's-1', http_status: null, duration_ms: 4, will_retry: true, level: 'warn' })
  t.match(corrected, { session_id: 's-1', offset_ms: -600_000, message: 'clock corrected' })
})
