/** JWTs through real sockets: every signature that is taken, everything that is wrong with a token (AU-02 to AU-07). */
import { writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { AUDIENCE, createKey, ISSUER, KeyServer, signToken } from '../support/identity-provider.ts'
import type { TestKey } from '../support/identity-provider.ts'
import { bearer, knock } from '../support/knock.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { encodeHandshake, RawSocket } from '../support/raw-socket.ts'
import { startWorld } from '../support/world.ts'

const JWT = { auth: ['jwt'], jwtIssuer: ISSUER, jwtAudience: AUDIENCE } as const
const nowSeconds = (): number => Math.floor(Date.now() / 1000)
const keySet = (keys: readonly TestKey[]): string => JSON.stringify({ keys: keys.map(({ jwk }) => jwk) })
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

t.test('tokens of each algorithm that is listed come in, others do not', async t => {
  const listed = ['HS256', 'HS512', 'RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']
  const keys = await Promise.all([...listed, 'RS512', 'ES512'].map(alg => createKey(alg, `key-${alg}`)))
  const folder = t.testdir({ 'jwks.json': keySet(keys) })
  const path = join(folder, 'jwks.json')
  const world = await startWorld(t, { relay: { ...JWT, jwtAlgorithms: listed, jwtKeysFile: path } })
  for (const key of keys) {
    const { answer, code } = await knock(t, world.port, bearer(await signToken(key)))
    t.strictSame(
      [answer.status, code],
      listed.includes(key.alg) ? [101, null] : [401, 'token_invalid'],
      key.alg,
    )
  }
  t.match(world.log.of('session started')[0], { principal: 'alice', auth: 'jwt' })
  // The file is read again when it changes.
  const next = await createKey('ES256', 'next')
  writeFileSync(path, keySet([next]))
  await world.log.waitFor('file reloaded')
  t.equal((await knock(t, world.port, bearer(await signToken(next)))).answer.status, 101)
  const [gone] = keys
  if (gone !== undefined)
    t.equal((await knock(t, world.port, bearer(await signToken(gone)))).code, 'token_invalid')
})

t.test('a token is refused for everything that is wrong with it, and only the log says what', async t => {
  const key = await createKey('ES256', 'one')
  const other = await createKey('ES256', 'one')
  const rsa = await createKey('RS256', 'rsa')
  const provider = await KeyServer.start(t, [key, rsa])
  const world = await startWorld(t, {
    relay: { ...JWT, jwksUrl: provider.url, jwtLeewaySeconds: 5, logLevel: 'trace' },
  })
  await world.log.waitFor('signing keys loaded')
  const good = await signToken(key)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'mallory', exp: nowSeconds() + 300 }
  const unsigned = (alg: string) => `${encode({ alg, typ: 'at+jwt' })}.${encode(claims)}.`
  // The public key as the secret of an HMAC: RFC 8725 §2.1.
  const confused = await signToken({ ...rsa, alg: 'HS256', signing: Buffer.from(JSON.stringify(rsa.jwk)) })
  const table: [string, string, string][] = [
    ['of another key', await signToken(other), 'token_invalid'],
    ['with the signature cut', good.slice(0, -2), 'token_invalid'],
    ['without a signature', `${header}.${payload}.`, 'token_invalid'],
    ['with another payload', `${header}.${encode(claims)}.${signature}`, 'token_invalid'],
    [
      'with another header',
      `${encode({ alg: 'ES256', kid: 'one', typ: 'JWT' })}.${payload}.${signature}`,
      'token_invalid',
    ],
    ['alg none', unsigned('none'), 'token_invalid'],
    ['alg None', unsigned('None'), 'token_invalid'],
    ['no alg', unsigned(''), 'token_invalid'],
    ['signed with the public key', confused, 'token_invalid'],
    ['for another audience', await signToken(key, { claims: { aud: 'billing' } }), 'token_invalid'],
    ['without an audience', await signToken(key, { claims: { aud: undefined } }), 'token_invalid'],
    ['of another issuer', await signToken(key, { claims: { iss: `${ISSUER}/` } }), 'token_invalid'],
    ['without an issuer', await signToken(key, { claims: { iss: undefined } }), 'token_invalid'],
    ['without a subject', await signToken(key, { claims: { sub: undefined } }), 'token_invalid'],
    ['with a subject of two lines', await signToken(key, { claims: { sub: 'a\nb' } }), 'token_invalid'],
    ['without an end', await signToken(key, { claims: { exp: undefined } }), 'token_invalid'],
    ['with an end that is no number', await signToken(key, { claims: { exp: 'never' } }), 'token_invalid'],
    ['of another type', await signToken(key, { header: { typ: 'JWT' } }), 'token_invalid'],
    ['without a type', await signToken(key, { header: { typ: undefined } }), 'token_invalid'],
    ['with something critical', await signToken(key, { header: { crit: ['x'], x: true } }), 'token_invalid'],
    ['not valid yet', await signToken(key, { claims: { nbf: nowSeconds() + 60 } }), 'token_invalid'],
    [
      'with grants of no kind',
      await signToken(key, { claims: { transcribe_relay: 'all' } }),
      'token_invalid',
    ],
    [
      'with unknown grants',
      await signToken(key, { claims: { transcribe_relay: { admin: true } } }),
      'token_invalid',
    ],
    ['expired', await signToken(key, { claims: { exp: nowSeconds() - 30 } }), 'token_expired'],
    [
      'expired, of another key',
      await signToken(other, { claims: { exp: nowSeconds() - 30 } }),
      'token_invalid',
    ],
    ['that is a text', 'abc.def.ghi', 'token_invalid'],
    ['that is an encrypted one', 'eyJhbGciOiJkaXIifQ.a.b.c.d', 'token_invalid'],
  ]
  for (const [what, token, code] of table) {
    const told = await knock(t, world.port, bearer(token))
    t.strictSame([told.answer.status, told.code], [401, code], `a token ${what}`)
    t.notMatch(told.answer.body, /claim|signature|alg/, 'not why')
  }
  const fine: [string, string][] = [
    ['as it should be', good],
    ['of a moment ago', await signToken(key, { claims: { exp: nowSeconds() - 2 } })],
    ['for several audiences', await signToken(key, { claims: { aud: ['billing', AUDIENCE] } })],
    ['with a long type', await signToken(key, { header: { typ: 'application/at+jwt' } })],
    ['of the other key', await signToken(rsa)],
  ]
  for (const [what, token] of fine)
    t.equal((await knock(t, world.port, bearer(token))).answer.status, 101, what)
  t.match(
    world.log.of('client refused').map(({ detail }) => detail),
    ['ERR_JWS_SIGNATURE_VERIFICATION_FAILED'],
  )
  const texts = world.log.texts.join('')
  for (const [, token] of [...table, ...fine]) {
    for (const part of token.split('.').filter(piece => piece.length > 12)) t.notMatch(texts, part)
  }
})

t.test('grants of a token bind it, also across its sessions', async t => {
  const key = await createKey('EdDSA', 'one')
  const folder = t.testdir({ 'jwks.json': keySet([key]) })
  const world = await startWorld(t, { relay: { ...JWT, jwtKeysFile: join(folder, 'jwks.json') } })
  const grants = { concurrent_sessions: 1, languages: ['en-US'] }
  const token = () => signToken(key, { claims: { transcribe_relay: grants } })
  const foreign = await knock(t, world.port, {
    path: '/v1/stream?language-code=de-DE',
    ...bearer(await token()),
  })
  t.strictSame([foreign.answer.status, foreign.code], [403, 'forbidden'])
  t.equal((await knock(t, world.port, bearer(await token()))).answer.status, 101)
  t.equal(
    (await knock(t, world.port, bearer(await token()))).code,
    'session_limit',
    'another token, the same principal',
  )
  const bob = await signToken(key, { claims: { sub: 'bob', transcribe_relay: grants } })
  t.equal((await knock(t, world.port, bearer(bob))).answer.status, 101)
})

t.test('clients that leave while their token is checked leave nothing behind', async t => {
  const key = await createKey('ES256', 'one')
  const provider = await KeyServer.start(t, [key])
  const held = new Promise<ServerResponse>(resolve => {
    provider.answer = resolve
  })
  const world = await startWorld(t, { relay: { ...JWT, jwksUrl: provider.url } })
  const response = await held
  const leaving = await RawSocket.connect(world.port)
  leaving.write(encodeHandshake('dGhlIHNhbXBsZSBub25jZQ==', bearer(await signToken(key))))
  const staying = knock(t, world.port, bearer(await signToken(key, { claims: { sub: 'bob' } })))
  leaving.reset()
  await leaving.readEnd()
  response.end(keySet([key]))
  t.equal((await staying).answer.status, 101)
  t.strictSame(
    world.log.of('session started').map(({ principal }) => principal),
    ['bob'],
  )
})

t.test(
  'a new key while its provider is away: its tokens may be tried again, and come in once it is back',
  async t => {
    const [before, after, stranger] = await Promise.all(
      ['before', 'after', 'stranger'].map(kid => createKey('ES256', kid)),
    )
    if (before === undefined || after === undefined || stranger === undefined) throw new Error('no keys')
    const provider = await KeyServer.start(t, [before])
    const clock = new ManualClock(Date.now())
    const world = await startWorld(t, { relay: { ...JWT, jwksUrl: provider.url }, dependencies: { clock } })
    await world.log.waitFor('signing keys loaded')
    const status = async (key: TestKey) => {
      const { answer, code } = await knock(t, world.port, bearer(await signToken(key)))
      return [answer.status, code]
    }
    clock.advance(30_000)
    provider.keys = [before, after]
    provider.answer = response => response.writeHead(503).end()
    t.strictSame(await status(after), [503, 'auth_unavailable'])
    t.strictSame(await status(before), [101, null], 'a key that is known needs no provider')
    t.strictSame(await status(after), [503, 'auth_unavailable'], 'without another load')
    t.equal(provider.requests, 2)
    t.match(world.log.of('client refused')[0], { code: 'auth_unavailable', detail: 'jwksUrl' })
    provider.answer = null
    clock.advance(30_000)
    t.strictSame(await status(after), [101, null])
    t.strictSame(await status(stranger), [401, 'token_invalid'], 'the provider has said which there are')
  },
)

t.test('a file of keys that cannot be used is a configuration that cannot be used', async t => {
  const table: [string, RegExp][] = [
    ['{"keys":[]}', /jwks\.json: keys must hold a key/],
    ['{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}', /keys\[0\]\.k must have at least 32 bytes/],
    ['{"keys":{}}', /jwks\.json: keys is not valid/],
    ['{', /jwks\.json must be valid JSON/],
  ]
  for (const [content, message] of table) {
    const path = join(t.testdir({ 'jwks.json': content }), 'jwks.json')
    await t.rejects(startWorld(t, { relay: { ...JWT, jwtKeysFile: path } }), { name: 'ConfigError', message })
  }
})
