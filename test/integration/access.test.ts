/** Who may come in, through real sockets: every way to be refused, what is told to whom, and that nothing secret is. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createRelay } from '../../src/index.ts'
import { EXAMPLE_ACCOUNT } from '../../src/emulator/index.ts'
import { bearer, knock } from '../support/knock.ts'
import { LogRecorder } from '../support/log-recorder.ts'
import { createLogger } from '../../src/log.ts'
import type { HandshakeOptions } from '../support/raw-socket.ts'
import { startCli } from '../support/cli.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startWorld } from '../support/world.ts'

const KEY = 'canary-1b5e8f0c-secret-of-the-client'
const OTHER_KEY = 'canary-77aa01-another-secret'

const word = (name: string, key: string): string =>
  `${name}:${createHash('sha256').update(key).digest('hex')}`
const entry = (name: string, key: string, grants?: object) => ({
  name,
  sha256: createHash('sha256').update(key).digest('hex'),
  ...(grants === undefined ? {} : { grants }),
})
const KEYS = { auth: ['keys'], apiKeys: [word('clinic', KEY)] } as const

t.test(
  'a key lets in from each place, its name is in both lines of the log, and the key in none',
  async t => {
    const world = await startWorld(t, { relay: { ...KEYS, tokenInQuery: true, logLevel: 'trace' } })
    const places: HandshakeOptions[] = [
      bearer(KEY),
      { headers: { 'sec-websocket-protocol': `transcribe-relay.v1, bearer, ${KEY}` } },
      { path: `/v1/stream?words=true&token=${KEY}` },
    ]
    for (const place of places) {
      const { answer, raw } = await knock(t, world.port, place)
      t.equal(answer.status, 101, JSON.stringify(place))
      t.not(answer.headers.get('sec-websocket-protocol'), 'bearer')
      t.notMatch([...answer.headers].join(), KEY)
      const sessionId = answer.headers.get('x-transcribe-relay-session-id')
      t.match(await world.log.waitFor('session started', sessionId), { principal: 'clinic', auth: 'key' })
      raw.destroy()
      t.match(await world.log.waitFor('session ended', sessionId), { principal: 'clinic', auth: 'key' })
    }
    for (const token of [`${KEY}x`, `Bearer ${KEY}`, KEY.slice(1)]) await knock(t, world.port, bearer(token))
    await knock(t, world.port, { path: `/v1/stream?token=${KEY}&token=${KEY}` })
    await knock(t, world.port, { path: `/v1/nowhere?token=${KEY}` })
    const metrics = await (await fetch(`${world.opsUrl}/metrics`)).text()
    t.notMatch(metrics, 'canary-')
    t.notMatch(world.log.texts.join(''), /canary-|ecret-of-the-client/)
  },
)

t.test('without a valid key nobody comes in, and the answer says how but not why (AU-01, AU-02)', async t => {
  const world = await startWorld(t, { relay: KEYS })
  const CHALLENGE = 'Bearer realm="transcribe-relay"'
  const INVALID = `${CHALLENGE}, error="invalid_token"`
  const bent: [string, HandshakeOptions, number, string | null, string | undefined][] = [
    ['no token', {}, 401, 'token_missing', CHALLENGE],
    ['another scheme', { headers: { authorization: 'Basic YTpi' } }, 401, 'token_missing', CHALLENGE],
    ['a token in the query', { path: `/v1/stream?token=${KEY}` }, 401, 'token_missing', CHALLENGE],
    ['an unknown key', bearer(OTHER_KEY), 401, 'token_invalid', INVALID],
    ['half a key', bearer(KEY.slice(0, 10)), 401, 'token_invalid', INVALID],
    ['the digest of the key', bearer(word('', KEY).slice(1)), 401, 'token_invalid', INVALID],
    ['no key after Bearer', { headers: { authorization: 'Bearer' } }, 401, 'token_invalid', INVALID],
    ['a token that is none', bearer('ä"\\<>'), 401, 'token_invalid', INVALID],
    ['an unknown key of 3 KB', bearer('x'.repeat(3000)), 401, 'token_invalid', INVALID],
    [
      'two tokens',
      { headers: { authorization: `Bearer ${KEY}`, 'sec-websocket-protocol': `bearer, ${KEY}` } },
      400,
      'invalid_request',
      undefined,
    ],
    ['a bad query of a stranger', { path: '/v1/stream?sample-rate=1' }, 401, 'token_missing', CHALLENGE],
    [
      'a bad query of a client',
      { path: '/v1/stream?sample-rate=1', ...bearer(KEY) },
      400,
      'invalid_request',
      undefined,
    ],
  ]
  for (const [what, options, status, code, challenge] of bent) {
    const { answer, code: told } = await knock(t, world.port, options)
    t.equal(answer.status, status, what)
    t.equal(told, code, what)
    t.equal(answer.headers.get('www-authenticate'), challenge, what)
    t.notMatch(answer.body, /canary|no such key|malformed/, what)
  }
  t.equal(world.emulator.connectionCount, 0, 'nothing was dialled')
  t.match(world.log.of('client refused')[0], { code: 'token_missing', client_address: '127.0.0.1' })
  t.match(await knock(t, world.port, bearer('x'.repeat(5000))), { answer: { status: 431 } })
})

t.test('a browser without a key is told on the socket, with 4401', async t => {
  const world = await startWorld(t, { relay: KEYS })
  const { answer, raw } = await knock(t, world.port, { headers: { origin: 'http://localhost:3000' } })
  t.equal(answer.status, 101)
  const end = await raw.readEnd()
  t.match(JSON.parse(String(raw.frames[0]?.payload)), {
    type: 'Error',
    code: 'token_missing',
    retryable: false,
  })
  t.equal(end.closeFrame?.payload.readUInt16BE(), 4401)
})

t.test('none beside keys lets in without a token, never with a wrong one', async t => {
  const world = await startWorld(t, { relay: { ...KEYS, auth: ['none', 'keys'] } })
  t.equal((await knock(t, world.port)).answer.status, 101)
  t.equal((await knock(t, world.port, bearer(KEY))).answer.status, 101)
  t.equal((await knock(t, world.port, bearer(OTHER_KEY))).code, 'token_invalid')
})

t.test('keys of a file come and go while the relay runs; a bad file changes nothing', async t => {
  const folder = t.testdir({ 'keys.json': JSON.stringify({ keys: [entry('clinic', KEY)] }) })
  const path = join(folder, 'keys.json')
  const world = await startWorld(t, { relay: { auth: ['keys'], apiKeysFile: path } })
  const statusOf = async (key: string) => (await knock(t, world.port, bearer(key))).answer.status
  t.strictSame([await statusOf(KEY), await statusOf(OTHER_KEY)], [101, 401])
  writeFileSync(path, JSON.stringify({ keys: [{ name: 'clinic', sha256: OTHER_KEY }] }))
  const failure = await world.log.waitFor('file not reloaded')
  t.match(failure, { level: 'error', file: 'keys.json', error: { message: /keys\[0\]\.sha256 must be/ } })
  t.notMatch(JSON.stringify(failure), OTHER_KEY)
  t.strictSame([await statusOf(KEY), await statusOf(OTHER_KEY)], [101, 401])
  writeFileSync(path, JSON.stringify({ keys: [entry('kiosk', OTHER_KEY)] }))
  t.match(await world.log.waitFor('file reloaded'), { level: 'info', file: 'keys.json', entries: 1 })
  t.strictSame([await statusOf(KEY), await statusOf(OTHER_KEY)], [401, 101])
})

t.test('a relay that others can reach does not start without authentication', async t => {
  t.throws(() => createRelay({ host: '0.0.0.0' }), {
    name: 'ConfigError',
    message: /^option host must be loopback .*set auth to keys or jwt, or insecure to true/,
  })
  const environment = { AWS_REGION: 'us-east-1', RELAY_HOST: '::', RELAY_MAX_SESSIONS: '10' }
  const { code, stderr } = await startCli(['serve', '--port', '0', '--ops-port', '0'], environment).result
  t.equal(code, 78)
  t.match(stderr, /env RELAY_HOST must be loopback .* set auth to keys or jwt, or insecure to true/)
  const missing = {
    auth: ['keys'],
    apiKeysFile: join(t.testdir({}), 'keys.json'),
    region: 'us-east-1',
    maxSessions: 10,
  }
  await t.rejects(createRelay({ ...missing, port: 0, opsPort: 0 }).start(), {
    name: 'ConfigError',
    message: 'keys.json must be a readable file (ENOENT)',
  })
})

t.test('insecure starts it with a warning each time; keys and a hook of the program need none', async t => {
  const local = {
    port: 0,
    opsPort: 0,
    opsHost: '127.0.0.1',
    region: 'us-east-1',
    maxSessions: 10,
    host: '0.0.0.0',
  }
  const warningsOf = async (options: object, authorize?: () => void) => {
    const log = new LogRecorder()
    const logger = createLogger({ level: 'trace', version: '0', sink: log })
    const hook = authorize === undefined ? {} : { authorize }
    const relay = createRelay({ ...local, ...options }, { credentials: EXAMPLE_ACCOUNT, logger, ...hook })
    t.teardown(() => relay.close())
    await relay.start()
    return log.of('clients are not authenticated').map(({ level, host }) => [level, host])
  }
  t.strictSame(await warningsOf({ insecure: true }), [['warn', '0.0.0.0']])
  t.strictSame(await warningsOf(KEYS), [])
  t.strictSame(await warningsOf({}, () => undefined), [])
  t.strictSame(await warningsOf({ host: '127.0.0.1' }), [])
})

t.test('pages come in by their exact origin and no other (AU-15)', async t => {
  const allowedOrigins = ['https://good.example', 'http://good.example:8080']
  const world = await startWorld(t, { relay: { ...KEYS, allowedOrigins } })
  const table: [origin: string | null, allowed: boolean][] = [
    ['https://good.example', true],
    ['http://good.example:8080', true],
    [null, true],
    ['null', false],
    ['', false],
    ['http://good.example', false],
    ['https://good.example:443', false],
    ['https://good.example:8443', false],
    ['https://GOOD.example', false],
    ['https://good.example.evil.com', false],
    ['https://good.example/', false],
    ['https://sub.good.example', false],
    ['https://evilgood.example', false],
    ['https://evil.example/https://good.example', false],
    ['wss://good.example', false],
    ['https://good.example, https://evil.example', false],
    ['http://localhost:3000', false],
    ['*', false],
  ]
  for (const [origin, isAllowed] of table) {
    const { answer, code } = await knock(t, world.port, {
      headers: { origin, authorization: `Bearer ${KEY}` },
    })
    t.equal(answer.status, isAllowed ? 101 : 403, String(origin))
    t.equal(code, isAllowed ? null : 'origin_denied', String(origin))
  }
  const strict = await startWorld(t, { relay: { allowedOrigins, allowMissingOrigin: false } })
  t.equal((await knock(t, strict.port)).code, 'origin_denied')
  for (const never of ['https://good.example:443', 'http://good.example:80', 'https://good.example/']) {
    const problem = { name: 'ConfigError', message: /browsers send it/ }
    t.throws(() => createRelay({ region: 'us-east-1', allowedOrigins: [never] }), problem, never)
  }
  createRelay({ region: 'us-east-1', allowedOrigins: ['http://good.example:443', 'https://good.example:80'] })
})

t.test(
  'by default pages of this machine come in; with * all but null; on request they are told on the socket',
  async t => {
    const statusOf = async (world: { port: number }, origin: string) =>
      (await knock(t, world.port, { headers: { origin } })).answer.status
    const plain = await startWorld(t, {})
    for (const origin of ['http://localhost:5173', 'https://127.0.0.1', 'http://[::1]:80']) {
      t.equal(await statusOf(plain, origin), 101, origin)
    }
    for (const origin of [
      'http://localhost.evil.com',
      'http://127.0.0.1.evil.com',
      'https://app.example',
      'null',
    ]) {
      t.equal(await statusOf(plain, origin), 403, origin)
    }
    const open = await startWorld(t, { relay: { allowedOrigins: ['*'] } })
    t.equal(await statusOf(open, 'https://app.example'), 101)
    t.equal(await statusOf(open, 'null'), 403)
    const told = await startWorld(t, { relay: { handshakeErrors: 'websocket' } })
    const { raw } = await knock(t, told.port, { headers: { origin: 'https://app.example' } })
    t.equal((await raw.readEnd()).closeFrame?.payload.readUInt16BE(), 4403)
  },
)

t.test(
  'a principal gets what it was granted and nothing else, before anything is dialled (AU-16)',
  async t => {
    const clinic = {
      languages: ['en-US', 'de-DE'],
      vocabularies: ['clinic'],
      features: ['vocabularies', 'language-identification'],
    }
    const keys = [entry('clinic', KEY, clinic), entry('abroad', OTHER_KEY, { regions: ['eu-west-1'] })]
    const folder = t.testdir({ 'keys.json': JSON.stringify({ keys }) })
    const world = await startWorld(t, { relay: { auth: ['keys'], apiKeysFile: join(folder, 'keys.json') } })
    const refused: [query: string, message: RegExp][] = [
      ['language-code=fr-FR', /language-code "fr-FR" is not allowed/],
      ['identify-language=true&language-options=en-US,fr-FR', /language-options "fr-FR"/],
      ['vocabulary-name=other', /vocabulary-name "other"/],
      ['vocabulary-filter-name=other', /vocabulary-filter-name "other"/],
      ['vocabulary-filter-name=clinic', /vocabulary-filter-name needs the feature vocabulary-filters/],
      ['show-speaker-label=true', /show-speaker-label needs the feature speaker-labels/],
      ['content-redaction-type=PII', /needs the feature pii-redaction/],
    ]
    for (const [query, message] of refused) {
      const { answer, code } = await knock(t, world.port, { path: `/v1/stream?${query}`, ...bearer(KEY) })
      t.strictSame([answer.status, code], [403, 'forbidden'], query)
      t.match(JSON.parse(answer.body), { message })
    }
    t.equal((await knock(t, world.port, bearer(OTHER_KEY))).code, 'forbidden')
    const late = await knock(t, world.port, { path: '/v1/stream?configure=true', ...bearer(KEY) })
    t.equal(late.answer.status, 101)
    late.raw.send({ opcode: 1, payload: '{"type":"Configure","language-code":"fr-FR"}' })
    t.equal((await late.raw.readEnd()).closeFrame?.payload.readUInt16BE(), 4403)
    t.equal(world.emulator.connectionCount, 0, 'nothing was dialled')
    t.match(world.log.of('client refused')[0], { code: 'forbidden', principal: 'clinic' })
    const { answer } = await knock(t, world.port, {
      path: '/v1/stream?vocabulary-name=clinic',
      ...bearer(KEY),
    })
    t.equal(answer.status, 101)
  },
)

t.test(
  'sessions and starts of a principal are limited, and a session that ended makes room (CL-18)',
  async t => {
    const keys = [
      entry('two', KEY, { concurrent_sessions: 2 }),
      entry('slow', OTHER_KEY, { starts_per_minute: 2 }),
    ]
    const folder = t.testdir({ 'keys.json': JSON.stringify({ keys }) })
    const world = await startWorld(t, { relay: { auth: ['keys'], apiKeysFile: join(folder, 'keys.json') } })
    const first = await knock(t, world.port, bearer(KEY))
    await knock(t, world.port, bearer(KEY))
    const third = await knock(t, world.port, bearer(KEY))
    t.strictSame([third.answer.status, third.code], [429, 'session_limit'])
    t.equal(third.answer.headers.get('retry-after'), '5')
    first.raw.destroy()
    await world.log.waitFor('session ended', first.answer.headers.get('x-transcribe-relay-session-id'))
    t.equal((await knock(t, world.port, bearer(KEY))).answer.status, 101)
    const codes = []
    for (let start = 0; start < 3; start += 1)
      codes.push((await knock(t, world.port, bearer(OTHER_KEY))).code)
    t.strictSame(codes, [null, null, 'rate_limited'])
  },
)

t.test(
  'the minutes of the day end a running session with its results, and keep the next one out',
  async t => {
    const keys = [
      entry('short', KEY, { minutes_per_day: 0.005 }),
      entry('brief', OTHER_KEY, { session_seconds: 1 }),
    ]
    const folder = t.testdir({ 'keys.json': JSON.stringify({ keys }) })
    const world = await startWorld(t, {
      relay: { auth: ['keys'], apiKeysFile: join(folder, 'keys.json'), tickMs: 10 },
    })
    const { raw } = await knock(t, world.port, bearer(KEY))
    t.equal((await raw.readEnd()).closeFrame?.payload.readUInt16BE(), 4429)
    const next = await knock(t, world.port, bearer(KEY))
    t.strictSame([next.answer.status, next.code], [429, 'session_limit'])
    t.ok(Number(next.answer.headers.get('retry-after')) > 0)
    const brief = await knock(t, world.port, bearer(OTHER_KEY))
    t.equal((await brief.raw.readEnd()).closeFrame?.payload.readUInt16BE(), 4440)
  },
)

t.test('a flood is refused per address, then per process, and does not flood the log (AU-17)', async t => {
  // No time passes, so that nothing is refilled on a slow machine.
  const dependencies = { clock: new ManualClock() }
  const world = await startWorld(t, { relay: { ...KEYS, addressHandshakesPerSecond: 10 }, dependencies })
  const codes: (string | null)[] = []
  for (let attempt = 0; attempt < 60; attempt += 1) {
    codes.push((await knock(t, world.port, bearer(randomBytes(16).toString('hex')))).code)
  }
  t.equal(codes.indexOf('rate_limited'), 20, 'a burst of two seconds is let through to the keys')
  t.equal(codes.filter(code => code === 'rate_limited').length, 40)
  const last = await knock(t, world.port, bearer(KEY))
  t.equal(last.answer.status, 429)
  t.ok(Number(last.answer.headers.get('retry-after')) >= 1)
  t.ok(world.log.of('client refused').length <= 40)
  const crowded = await startWorld(t, { relay: { handshakesPerSecond: 1, addressSessions: 1 }, dependencies })
  t.equal((await knock(t, crowded.port)).answer.status, 101)
  t.equal((await knock(t, crowded.port)).code, 'session_limit')
  t.equal((await knock(t, crowded.port)).code, 'rate_limited')
})
