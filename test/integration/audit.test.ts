/** The audit: who streamed when, from where, how long, with which parameters and result, and who was refused. (OB-08) */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startEmulatorProcess } from '../support/emulator-process.ts'
import { bearer, knock } from '../support/knock.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { readSpeech } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const KEY = 'canary-key-of-the-clinic'
const KEYS = {
  auth: ['keys'],
  apiKeys: [`clinic:${createHash('sha256').update(KEY).digest('hex')}`],
} as const
const speech = readSpeech()[1]
if (speech === undefined) throw new Error('the recordings are missing')

type AuditLine = Readonly<Record<string, unknown>>

const readLines = (path: string): AuditLine[] =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as AuditLine)

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

t.test('each session has two records, each refusal one, and nothing of what was said', async t => {
  const path = join(t.testdir({}), 'audit.jsonl')
  const world = await startWorld(t, {
    relay: { ...KEYS, auditLog: path, logLevel: 'error', logAddresses: 'prefix' },
  })
  const { headers } = bearer(KEY)
  const client = await world.connect('language-code=en-GB', { headers })
  client.sendCut(speech.pcm, 3200)
  t.match(await client.finish(), { code: 1000 })
  const configured = await world.connect('configure=true', { headers })
  configured.say({ type: 'Configure', 'language-code': 'de-DE' })
  await configured.waitFor('Begin')
  t.match(await configured.finish(), { code: 1000 })
  await knock(t, world.port, bearer('canary-wrong'))
  const metrics = await world.scrape()
  await world.relay.close()
  const [started, ended, second, secondEnd, refused, ...more] = readLines(path)
  t.strictSame(more, [])
  const who = {
    principal: 'clinic',
    auth: 'key',
    client_address: '127.0.0.0/24',
    service: 'transcribe-relay',
    message: 'audit',
  }
  t.match(started, {
    event: 'session_started',
    ...who,
    started_at: TIME,
    time: TIME,
    parameters: { 'language-code': 'en-GB' },
  })
  t.match(ended, {
    event: 'session_ended',
    ...who,
    session_id: started?.['session_id'],
    started_at: started?.['started_at'],
    parameters: { 'language-code': 'en-GB' },
    reason: 'normal',
    duration_seconds: Number,
    audio_seconds: speech.pcm.length / 32_000,
    billed_seconds: Number,
    region: 'us-east-1',
  })
  t.match(second, { event: 'session_started', configure: true })
  t.match(secondEnd, { event: 'session_ended', reason: 'normal', parameters: { 'language-code': 'de-DE' } })
  t.match(refused, {
    event: 'access_refused',
    code: 'token_invalid',
    principal: null,
    client_address: '127.0.0.0/24',
  })
  const text = readFileSync(path, 'utf8')
  t.notMatch(text, 'canary')
  for (const word of client.words().filter(({ length }) => length > 5)) t.notMatch(text.toLowerCase(), word)
  t.equal(metrics.get('audit_lines_total'), 5)
  t.equal(metrics.get('audit_lines_lost_total'), 0)
})

t.test('off by default; on the standard output whatever the level of the log', async t => {
  const off = await startWorld(t, {})
  await (await off.connect()).finish()
  t.strictSame(off.log.of('audit'), [])
  const world = await startWorld(t, { relay: { auditLog: 'stdout', logAddresses: 'none' } })
  await (await world.connect()).finish()
  t.match(world.log.of('audit'), [{ event: 'session_started' }, { event: 'session_ended' }])
  t.notMatch(JSON.stringify(world.log.lines), '127.0.0.1"')
  const emulator = await startEmulatorProcess(t)
  const relay = await startRelayProcess(t, {
    flags: { endpoint: emulator.url, 'audit-log': 'stdout' },
  })
  await (await relay.connect()).finish()
  await relay.waitFor(/"event":"session_ended"/)
  t.equal(await relay.stop(), 0)
})

t.test(
  'a file that cannot be written keeps a relay from starting, and costs a running one lines only',
  async t => {
    await t.rejects(startWorld(t, { relay: { auditLog: '/nonexistent/audit' } }), {
      name: 'ConfigError',
      message: /option auditLog must be a file that can be written \(ENOENT\)/,
    })
    const world = await startWorld(t, { relay: { auditLog: '/dev/full' } })
    const client = await world.connect()
    client.sendCut(speech.pcm, 3200)
    t.match(await client.finish(), { code: 1000 })
    await world.relay.drain()
    t.match(world.log.of('audit not written'), [{ level: 'error', lost_lines: 2 }])
  },
)

t.test('several workers write whole lines to one file', async t => {
  const path = join(t.testdir({}), 'audit.jsonl')
  writeFileSync(path, '')
  const emulator = await startEmulatorProcess(t)
  const flags = { endpoint: emulator.url, workers: 2, 'max-sessions': 40, 'audit-log': path }
  const relay = await startRelayProcess(t, { flags })
  await Promise.all(Array.from({ length: 20 }, async () => (await relay.connect()).finish()))
  t.equal(await relay.stop(), 0)
  const lines = readLines(path)
  t.equal(lines.filter(({ event }) => event === 'session_ended').length, 20)
  t.equal(new Set(lines.map(({ session_id: id }) => id)).size, 20)
})
