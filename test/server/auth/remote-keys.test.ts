/** Signing keys from a provider that is slow, broken, gone or has new ones (AU-11), on a clock of our own. */
import type { ServerResponse } from 'node:http'
import t from 'tap'
import type { RelayError } from '../../../src/errors.ts'
import { RemoteKeys } from '../../../src/server/auth/remote-keys.ts'
import { JwtVerifier } from '../../../src/server/auth/jwt.ts'
import { systemClock } from '../../../src/clock.ts'
import { AUDIENCE, createKey, ISSUER, KeyServer, signToken } from '../../support/identity-provider.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const OLD = await createKey('ES256', 'old')
const NEW = await createKey('RS256', 'new')
const STRANGER = await createKey('ES256', 'stranger')

interface Loaded {
  readonly keys: number | null
  readonly error: unknown
}

async function setUp(t: { teardown(action: () => unknown): void }, published = [OLD]) {
  const provider = await KeyServer.start(t, published)
  const clock = new ManualClock()
  const loads: Loaded[] = []
  const remote = new RemoteKeys({
    url: provider.url,
    refreshMs: 600_000,
    retryMs: 30_000,
    timeoutMs: 3000,
    clock,
    onLoad: (keys, error) => loads.push({ keys, error }),
  })
  t.teardown(() => remote.close())
  const verifier = new JwtVerifier(
    remote.find,
    {
      issuer: ISSUER,
      audience: AUDIENCE,
      algorithms: ['ES256', 'RS256'],
      type: 'at+jwt',
      leewaySeconds: 0,
      grantsClaim: 'grants',
    },
    // Tokens expire by the wall clock; keys age by the other.
    systemClock,
  )
  const outcome = async (token: string): Promise<string> => {
    try {
      return `in: ${(await verifier.verify(token)).name}`
    } catch (error) {
      return (error as RelayError).code
    }
  }
  return { provider, clock, loads, remote, outcome }
}

/** The next request gets no answer; resolves when it came. */
function holdAnswers(provider: KeyServer): Promise<void> {
  return new Promise(resolve => {
    provider.answer = () => resolve()
  })
}

t.test('keys are loaded once, and again when they are old, without anybody waiting', async t => {
  const { provider, clock, loads, outcome } = await setUp(t)
  const token = await signToken(OLD)
  t.strictSame(await Promise.all([outcome(token), outcome(token), outcome(token)]), [
    'in: alice',
    'in: alice',
    'in: alice',
  ])
  t.equal(provider.requests, 1, 'one load for all of them')
  clock.advance(600_000)
  const asked = holdAnswers(provider)
  t.equal(await outcome(token), 'in: alice', 'while the provider has not answered')
  await asked
  clock.advance(3000)
  while (loads.length < 2) await new Promise(resolve => setImmediate(resolve))
  t.match(loads[1], { keys: null, error: { message: 'no answer within 3000 ms' } })
  t.equal(await outcome(token), 'in: alice', 'and after it did not')
})

t.test('a key that was taken back is not good for as long as nobody comes', async t => {
  const { provider, clock, loads, outcome, remote } = await setUp(t)
  remote.start()
  const token = await signToken(OLD)
  t.equal(await outcome(token), 'in: alice')
  provider.keys = [STRANGER]
  for (let loaded = 2; loaded <= 4; loaded += 1) {
    clock.advance(600_000)
    while (loads.length < loaded) await new Promise(resolve => setImmediate(resolve))
  }
  t.equal(await outcome(token), 'token_invalid', 'though it is the first to ask since then')
})

t.test('what was loaded is used for as long as the provider is broken', async t => {
  const { provider, clock, loads, outcome } = await setUp(t)
  const token = await signToken(OLD)
  t.equal(await outcome(token), 'in: alice')
  const broken: [string, (response: ServerResponse) => void][] = [
    ['status', response => response.writeHead(500).end('secret-of-the-provider')],
    ['no JSON', response => response.end('<html>secret-of-the-provider')],
    ['no keys', response => response.end('{"keys":[]}')],
    ['a symmetric key', response => response.end('{"keys":[{"kty":"oct","k":"AAAA"}]}')],
    ['a redirect', response => response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()],
    ['too much', response => response.end('x'.repeat(300_000))],
    ['a reset', response => response.socket?.resetAndDestroy()],
  ]
  for (const [what, answer] of broken) {
    provider.answer = answer
    clock.advance(600_000)
    const count = loads.length
    t.equal(await outcome(token), 'in: alice', what)
    while (loads.length === count) await new Promise(resolve => setImmediate(resolve))
    t.equal(loads.at(-1)?.keys, null, what)
    t.notMatch(String(loads.at(-1)?.error), 'secret-of-the-provider')
  }
  provider.close()
  clock.advance(600_000)
  t.equal(await outcome(token), 'in: alice', 'nobody there')
})

t.test('a new key is found when its first token comes; the old one is good for a while', async t => {
  const { provider, clock, outcome } = await setUp(t)
  const [oldToken, newToken] = [await signToken(OLD), await signToken(NEW)]
  t.equal(await outcome(oldToken), 'in: alice')
  provider.keys = [NEW]
  clock.advance(30_000)
  t.equal(await outcome(newToken), 'in: alice')
  t.equal(provider.requests, 2)
  t.equal(await outcome(oldToken), 'in: alice')
  clock.advance(600_000)
  t.equal(await outcome(oldToken), 'token_invalid', 'and then no more')
  t.equal(await outcome(newToken), 'in: alice')
})

t.test('a hundred unknown keys make it load once in a while, and hold nobody up', async t => {
  const { provider, clock, outcome } = await setUp(t)
  const known = await signToken(OLD)
  t.equal(await outcome(known), 'in: alice')
  const flood = await Promise.all(
    Array.from({ length: 100 }, (_, index) => signToken(STRANGER, { header: { kid: `kid-${index}` } })),
  )
  for (const wait of [0, 30_000, 30_000]) {
    clock.advance(wait)
    const outcomes = await Promise.all([...flood, known].map(outcome))
    t.strictSame([outcomes.pop(), new Set(outcomes)], ['in: alice', new Set(['token_invalid'])])
  }
  t.equal(provider.requests, 3)
  const asked = holdAnswers(provider)
  clock.advance(30_000)
  const waiting = outcome(flood[0] ?? '')
  await asked
  t.equal(await outcome(known), 'in: alice', 'the provider has not answered yet')
  clock.advance(3000)
  t.equal(await waiting, 'auth_unavailable')
  t.strictSame(
    new Set(await Promise.all(flood.map(outcome))),
    new Set(['auth_unavailable']),
    'and nobody can tell until it has',
  )
  t.equal(provider.requests, 4)
  provider.answer = null
  clock.advance(27_000)
  t.equal(await outcome(flood[0] ?? ''), 'token_invalid')
})

t.test('as long as no key was ever loaded, nobody can be told apart', async t => {
  const { provider, clock, outcome, loads } = await setUp(t)
  provider.answer = response => response.writeHead(503).end()
  const token = await signToken(OLD)
  t.equal(await outcome(token), 'auth_unavailable')
  t.equal(await outcome(token), 'auth_unavailable')
  t.equal(provider.requests, 1, 'not asked again at once')
  provider.answer = null
  clock.advance(30_000)
  t.equal(await outcome(token), 'in: alice')
  t.strictSame(
    loads.map(({ keys }) => keys),
    [null, 1],
  )
})

t.test('two keys for a token that names none are not tried one by one', async t => {
  const { outcome } = await setUp(t, [OLD, STRANGER])
  t.equal(await outcome(await signToken(OLD, { header: { kid: undefined } })), 'token_invalid')
})

t.test('closed while it loads, it tells nobody', async t => {
  const { provider, remote, loads, clock } = await setUp(t)
  const asked = holdAnswers(provider)
  remote.start()
  await asked
  remote.close()
  while (clock.pendingTimers > 0) await new Promise(resolve => setImmediate(resolve))
  t.strictSame(loads, [])
})
