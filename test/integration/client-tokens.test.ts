/** Tokens that a server gets for its browsers: given out for a key, used once, never more than the key (AU-09). */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { SignJWT } from 'jose'
import t from 'tap'
import { ClientTokens } from '../../src/server/auth/client-tokens.ts'
import { bearer, knock } from '../support/knock.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startWorld } from '../support/world.ts'
import type { Closing, World } from '../support/world.ts'

const KEY = 'canary-5c0ffee-key-of-the-server'
const ORIGIN = 'https://app.example'
const entry = (name: string, key: string, grants: object = {}) => ({
  name,
  sha256: createHash('sha256').update(key).digest('hex'),
  grants,
})

async function startTokens(
  t: Closing,
  grants: object = {},
  relay: object = {},
): Promise<World & { keysFile: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'keys-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const keysFile = join(folder, 'keys.json')
  writeFileSync(keysFile, JSON.stringify({ keys: [entry('shop', KEY, grants)] }))
  const options = { auth: ['keys', 'tokens'], apiKeysFile: keysFile, allowedOrigins: [ORIGIN], ...relay }
  return { ...(await startWorld(t, { relay: options })), keysFile }
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readonly<Record<string, unknown>>
}

async function ask(world: World, body: unknown = '', headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${world.port}/v1/tokens`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Readonly<Record<string, unknown>>,
  }
}

const browser = (token: unknown) => ({
  headers: { origin: ORIGIN, 'sec-websocket-protocol': `transcribe-relay.v1, bearer, ${String(token)}` },
})

t.test('a browser comes in with a token of its server, once', async t => {
  const world = await startTokens(t)
  const { status, headers, body } = await ask(world)
  t.equal(status, 201)
  t.equal(headers.get('cache-control'), 'no-store')
  t.match(body, { token: /^eyJ/, expires_in_seconds: 60, expires_at: /^\d{4}-.*Z$/ })
  const first = await knock(t, world.port, browser(body['token']))
  t.equal(first.answer.status, 101)
  t.equal(first.answer.headers.get('sec-websocket-protocol'), 'transcribe-relay.v1')
  const sessionId = first.answer.headers.get('x-transcribe-relay-session-id')
  t.match(await world.log.waitFor('session started', sessionId), { principal: 'shop', auth: 'token' })
  t.equal((await knock(t, world.port, bearer(String(body['token'])))).code, 'token_invalid')
  t.match(world.log.of('client refused')[0], { detail: 'used before' })
  t.equal((await knock(t, world.port, bearer(KEY))).answer.status, 101, 'the key is good as ever')
  t.notMatch(world.log.texts.join(''), /canary|eyJ/)
})

t.test('a token that was asked for so is good for many sessions', async t => {
  const world = await startTokens(t, { concurrent_sessions: 3 })
  const { body } = await ask(world, { single_use: false, expires_in_seconds: 5 })
  for (let count = 0; count < 3; count += 1) {
    t.equal((await knock(t, world.port, bearer(String(body['token'])))).answer.status, 101)
  }
  t.equal((await knock(t, world.port, bearer(KEY))).code, 'session_limit', 'tokens count with their key')
})

t.test('a token that is refused for another reason is not used up', async t => {
  const world = await startTokens(t, { languages: ['en-US', 'de-DE'] })
  const { body } = await ask(world, { grants: { languages: ['de-DE', 'fr-FR'] } })
  const statusOf = async (query: string) =>
    (await knock(t, world.port, { path: `/v1/stream?${query}`, ...bearer(String(body['token'])) })).answer
      .status
  t.equal(await statusOf('language-code=fr-FR'), 403, 'not of the key')
  t.equal(await statusOf('language-code=en-US'), 403, 'not of the token')
  t.equal(await statusOf('sample-rate=1'), 400)
  t.equal(await statusOf('language-code=de-DE'), 101)
  t.equal(await statusOf('language-code=de-DE'), 401)
})

t.test('who asks for a token wrongly gets none', async t => {
  const world = await startTokens(t)
  const longNames = Array.from({ length: 100 }, () => 'x'.repeat(25))
  const table: [string, unknown, Record<string, string>, number, string][] = [
    ['without a key', '', { authorization: '' }, 401, 'token_missing'],
    ['with a wrong key', '', { authorization: 'Bearer nonsense' }, 401, 'token_invalid'],
    ['from a page of nowhere', '', { origin: 'https://evil.example' }, 403, 'origin_denied'],
    ['for an hour', { expires_in_seconds: 3600 }, {}, 400, 'invalid_request'],
    ['for no time', { expires_in_seconds: 0 }, {}, 400, 'invalid_request'],
    ['with a spelling mistake', { expires: 5 }, {}, 400, 'invalid_request'],
    ['with unknown grants', { grants: { admin: true } }, {}, 400, 'invalid_request'],
    ['with no JSON', '{', {}, 400, 'invalid_request'],
    ['with a list', [], {}, 400, 'invalid_request'],
    ['that no header could carry', { grants: { languages: longNames } }, {}, 400, 'invalid_request'],
    ['with a large body', `"${'x'.repeat(9000)}"`, {}, 400, 'invalid_request'],
  ]
  for (const [what, body, headers, status, code] of table) {
    const answer = await ask(world, body, headers)
    t.strictSame([answer.status, answer.body['code']], [status, code], what)
  }
  const { body: token } = await ask(world)
  const again = await ask(world, '', { authorization: `Bearer ${String(token['token'])}` })
  t.equal(again.body['code'], 'token_invalid', 'a token is no key')
  const get = await fetch(`http://127.0.0.1:${world.port}/v1/tokens`)
  t.equal(get.status, 404)
  const none = await startWorld(t, {})
  t.equal((await ask(none)).status, 404, 'where tokens are off, there is nothing')
  world.relay.drain().catch(() => undefined)
})

t.test('a body that does not come is not waited for', async t => {
  const world = await startTokens(t, {}, { handshakeTimeoutMs: 100 })
  const slow = await RawSocket.connect(world.port)
  t.teardown(() => slow.destroy())
  slow.write(
    `POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: 5\r\n\r\n{`,
  )
  t.equal((await slow.readAnswer()).status, 503)
  const leaving = await RawSocket.connect(world.port)
  leaving.write(`POST /v1/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{`)
  leaving.reset()
  await leaving.readEnd()
  t.equal((await ask(world)).status, 201)
})

t.test('a body of two lengths is none, and nothing behind it is heard', async t => {
  const world = await startTokens(t)
  const raw = await RawSocket.connect(world.port)
  t.teardown(() => raw.destroy())
  raw.write(
    `POST /v1/tokens HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}`,
  )
  const answer = await raw.readAnswer()
  t.strictSame([answer.status, /Content-Length/.test(answer.body)], [400, true])
  t.match(await raw.readEnd(), Object)
})

t.test('a key that is gone takes its tokens with it', async t => {
  const world = await startTokens(t)
  const { body } = await ask(world)
  writeFileSync(world.keysFile, JSON.stringify({ keys: [] }))
  await world.log.waitFor('file reloaded')
  t.equal((await knock(t, world.port, bearer(String(body['token'])))).code, 'token_invalid')
})

t.test('relays with one secret take the tokens of each other, also while it is replaced', async t => {
  const secretFile = join(t.testdir({ secret: randomBytes(32).toString('hex') }), 'secret')
  const one = await startTokens(t, {}, { tokenSecretFile: secretFile })
  const two = await startTokens(t, {}, { tokenSecretFile: secretFile })
  const other = await startTokens(t)
  const statusAt = async (world: World, token: unknown) =>
    (await knock(t, world.port, bearer(String(token)))).answer.status
  const first = (await ask(one)).body['token']
  t.strictSame([await statusAt(two, first), await statusAt(other, first)], [101, 401])
  const before = (await ask(one)).body['token']
  writeFileSync(secretFile, randomBytes(32).toString('hex'))
  await Promise.all([one.log.waitFor('file reloaded'), two.log.waitFor('file reloaded')])
  t.equal(await statusAt(two, before), 101, 'signed with the secret before')
  t.equal(await statusAt(two, (await ask(one)).body['token']), 101)
  const short = join(dirname(secretFile), 'short')
  writeFileSync(short, 'short')
  await t.rejects(startTokens(t, {}, { tokenSecretFile: short }), {
    name: 'ConfigError',
    message: 'short must hold at least 32 bytes',
  })
})

async function code(action: () => unknown): Promise<string> {
  try {
    await action()
    return 'taken'
  } catch (error) {
    return (error as { code: string }).code
  }
}

t.test('tokens end by the clock, are not forged, and the table of the used is bounded', async t => {
  const clock = new ManualClock()
  const tokens = new ClientTokens(clock, 300, 10)
  const shop = { name: 'shop', digest: createHash('sha256').update(KEY).digest() }
  const { token } = await tokens.issue(shop, '{"expires_in_seconds":10}')
  t.equal(tokens.isOurs(token), true)
  t.equal(tokens.isOurs('eyJub25zZW5zZQ.a.b'), false)
  t.equal(tokens.isOurs(KEY), false)
  clock.advance(9000)
  t.match(await tokens.verify(token), { keyName: 'shop' })
  clock.advance(2000)
  t.equal(await code(() => tokens.verify(token)), 'token_expired')
  const forged = await new SignJWT({ key: 'x' })
    .setProtectedHeader({ alg: 'HS256', typ: 'transcribe-relay-client+jwt' })
    .setIssuer('transcribe-relay')
    .setAudience('transcribe-relay')
    .setSubject('shop')
    .setJti('x')
    .setExpirationTime(Math.floor(clock.now() / 1000) + 60)
    .sign(randomBytes(32))
  t.equal(await code(() => tokens.verify(forged)), 'token_invalid')
  const use = async () =>
    tokens.use(await tokens.verify((await tokens.issue(shop, '{"expires_in_seconds":60}')).token))
  for (let count = 0; count < 10; count += 1) t.equal(await code(use), 'taken')
  t.equal(await code(use), 'auth_unavailable', 'rather than to forget one that is still good')
  clock.advance(61_000)
  t.equal(await code(use), 'taken')
})
