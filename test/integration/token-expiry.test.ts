/** Tokens that are over in the middle of a session, and fresh ones (AU-10). */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RelayOptions } from '../../src/config/options.ts'
import {
  AUDIENCE,
  createKey,
  ISSUER,
  KeyServer,
  signToken,
  type TestKey,
} from '../support/identity-provider.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const JWT = { auth: ['jwt'], jwtIssuer: ISSUER, jwtAudience: AUDIENCE, tickMs: 10 } as const
const ENDING = { ...JWT, tokenExpiry: 'end', tokenGraceSeconds: 1 } as const
const key = await createKey('ES256', 'one')
const nowSeconds = (): number => Math.floor(Date.now() / 1000)

const tokenFor = (seconds: number, claims: object = {}, signing: TestKey = key) =>
  signToken(signing, { claims: { exp: nowSeconds() + seconds, ...claims } })

async function startProtected(t: Test, relay: Partial<RelayOptions>): Promise<World> {
  const folder = t.testdir({ 'jwks.json': JSON.stringify({ keys: [key.jwk] }) })
  return startWorld(t, { relay: { jwtKeysFile: join(folder, 'jwks.json'), ...relay } })
}

async function connect(world: World, token: string): Promise<RelayClient> {
  const client = await world.connect('', { headers: { authorization: `Bearer ${token}` } })
  await client.waitFor('Begin')
  return client
}

t.test('a session ends with its token and the grace, its results delivered', async t => {
  const world = await startProtected(t, ENDING)
  const exp = nowSeconds() + 1
  const client = await connect(world, await tokenFor(0, { exp }))
  const pcm = noise(1, 3)
  client.sendCut(pcm, 3200)
  t.match(await client.closed, { code: 4401, reason: 'token_expired' })
  t.ok(Date.now() >= (exp + 1) * 1000, 'not before the grace is over')
  t.match(client.of('Warning'), [{ code: 'token_expiring' }])
  t.match(client.of('Error'), [{ code: 'token_expired', retryable: false }])
  t.equal((await world.streamOf(client)).sha256, sha256(pcm), 'the audio was taken to its end')
  t.match(await world.log.waitFor('session ended'), { reason: 'token_expired', class: 'client_error' })
})

t.test('by default a session outlives its token', async t => {
  const world = await startProtected(t, { ...JWT, tokenGraceSeconds: 0 })
  // It is over already, by less than the clocks may differ.
  const client = await connect(world, await tokenFor(-10))
  client.say({ type: 'Authenticate', token: await tokenFor(60) })
  t.strictSame(await client.waitFor('Authenticated'), { type: 'Authenticated' }, 'no end is promised')
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(client.of('Warning'), [])
})

t.test('a fresh token of the same client keeps the session, as often as it comes', async t => {
  const world = await startProtected(t, ENDING)
  const client = await connect(world, await tokenFor(1))
  await client.waitFor('Warning')
  const exp = nowSeconds() + 10
  client.say({ type: 'Authenticate', token: await tokenFor(0, { exp }) })
  t.strictSame(await client.waitFor('Authenticated'), {
    type: 'Authenticated',
    expires_at: new Date((exp + 1) * 1000).toISOString(),
  })
  await client.until(() => client.of('Warning').length === 2)
  client.say({ type: 'Authenticate', token: await tokenFor(300) })
  await client.until(() => client.of('Authenticated').length === 2)
  t.equal(client.of('Warning').length, 2, 'each token is warned of once, and the last has long to go')
  t.match(await client.finish(), { code: 1000 })
  t.notMatch(world.log.texts.join(''), /eyJ/)
})

t.test('a fresh token that is not good ends the session', async t => {
  const world = await startProtected(t, ENDING)
  const stranger = await createKey('ES256', 'one')
  const cases: [what: string, token: string, closeCode: number, reason: string][] = [
    ['another client', await tokenFor(60, { sub: 'mallory' }), 4403, 'forbidden'],
    ['expired', await tokenFor(-600), 4401, 'token_expired'],
    ['of another key', await tokenFor(60, {}, stranger), 4401, 'token_invalid'],
    ['for somebody else', await tokenFor(60, { aud: 'other' }), 4401, 'token_invalid'],
    ['no token', 'ä"\\<>', 4401, 'token_invalid'],
    ['too long', 'x'.repeat(8000), 4401, 'token_invalid'],
  ]
  for (const [what, token, code, reason] of cases) {
    const client = await connect(world, await tokenFor(60))
    client.say({ type: 'Authenticate', token })
    t.match(await client.closed, { code, reason }, what)
    t.notMatch(JSON.stringify(client.messages), /eyJ|mallory|claim/, what)
  }
})

t.test('fresh tokens are limited: each costs the check of a signature', async t => {
  const world = await startProtected(t, ENDING)
  const client = await connect(world, await tokenFor(60))
  const token = await tokenFor(120)
  for (let round = 1; round <= 5; round += 1) {
    client.say({ type: 'Authenticate', token })
    await client.until(() => client.of('Authenticated').length === round)
  }
  client.say({ type: 'Authenticate', token })
  t.match(await client.closed, { code: 4429, reason: 'rate_limited' })
  const hasty = await connect(world, await tokenFor(60))
  hasty.say({ type: 'Authenticate', token })
  hasty.say({ type: 'Authenticate', token })
  t.match(await hasty.closed, { code: 4429, reason: 'rate_limited' })
})

t.test('where the keys cannot be had, the session goes on and says so', async t => {
  const provider = await KeyServer.start(t, [key])
  const world = await startWorld(t, { relay: { ...ENDING, jwksUrl: provider.url } })
  await world.log.waitFor('signing keys loaded')
  const client = await connect(world, await tokenFor(60))
  client.say({ type: 'Authenticate', token: await tokenFor(60) })
  await client.waitFor('Authenticated')
  t.match(await client.finish(), { code: 1000 })
})

t.test('keys and tokens of the relay: of the same key they are welcome, and nothing expires', async t => {
  const word = (name: string, text: string) => `${name}:${createHash('sha256').update(text).digest('hex')}`
  const apiKeys = [word('clinic', 'first-key'), word('clinic', 'second-key'), word('kiosk', 'other-key')]
  const world = await startWorld(t, {
    relay: { auth: ['keys', 'tokens'], apiKeys, tokenExpiry: 'end', tickMs: 10 },
  })
  const client = await connect(world, 'first-key')
  client.say({ type: 'Authenticate', token: 'second-key' })
  t.strictSame(await client.waitFor('Authenticated'), { type: 'Authenticated' })
  const issued = await fetch(world.url.replace('ws:', 'http:').replace('stream', 'tokens'), {
    method: 'POST',
    headers: { authorization: 'Bearer first-key' },
  })
  const { token } = (await issued.json()) as { token: string }
  client.say({ type: 'Authenticate', token })
  await client.until(() => client.of('Authenticated').length === 2)
  client.say({ type: 'Authenticate', token })
  t.match(await client.closed, { code: 4401, reason: 'token_invalid' }, 'a token is used once')
  const other = await connect(world, 'first-key')
  other.say({ type: 'Authenticate', token: 'other-key' })
  t.match(await other.closed, { code: 4403, reason: 'forbidden' })
  const open = await startWorld(t)
  const anybody = await open.connect()
  anybody.say({ type: 'Authenticate', token: 'whatever' })
  t.strictSame(await anybody.waitFor('Authenticated'), { type: 'Authenticated' }, 'nobody is asked')
})
