/**
 * What it costs to know a client, and to refuse one: the guard from the parsed request to the principal, and the answer. The
 * sockets are not in it. Part of `npm run bench:micro`.
 */
import { rejects, strictEqual } from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import type * as ClockModule from '../../src/clock.ts'
import type * as Resolve from '../../src/config/resolve.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import type { RelayError } from '../../src/errors.ts'
import type * as Guard from '../../src/server/auth/guard.ts'
import type { Handshake } from '../../src/server/handshake.ts'
import type * as Refusal from '../../src/server/refusal.ts'
import { load } from './built.ts'
import { barOf, figureOf } from '../results-format.ts'
import type { Bar } from '../results-format.ts'
import type { Contender } from './measure.ts'
import { type MicroGroup, type MicroRow, type Outcome, runMicroBench } from './micro-bench.ts'

const KEY = 'f3c1a2b4d5e6f7081920a1b2c3d4e5f6'
const ISSUER = 'https://id.example'
const AUDIENCE = 'transcription'
const SESSION_ID = '11111111-2222-4333-8444-555555555555'
/** Rates that no bench reaches. */
const NO_RATES = { handshakesPerSecond: 0, addressHandshakesPerSecond: 0 } as const

const entry = (name: string, key: string): object => ({
  name,
  sha256: createHash('sha256').update(key).digest('hex'),
})

async function openGuard(options: Partial<RelayOptions>): Promise<Guard.AccessGuard> {
  const { AccessGuard } = await load<typeof Guard>('server/auth/guard')
  const { resolveOptions } = await load<typeof Resolve>('config/resolve')
  const { systemClock } = await load<typeof ClockModule>('clock')
  const log = {
    fileOnReload: () => {},
    keysOnRevoke: () => {},
    fileOnFailure: () => {},
    signingKeysOnLoad: () => {},
  }
  const { options: resolved } = resolveOptions({ overrides: { ...NO_RATES, ...options } })
  const guard = new AccessGuard(resolved, {
    clock: systemClock,
    log,
    regions: ['us-east-1'],
    usedTokens: null,
  })
  await guard.start()
  return guard
}

/** A guard whose files are read once: what it watches must not keep the process. */
async function openGuardWithFile(
  name: string,
  content: object,
  options: (path: string) => Partial<RelayOptions>,
): Promise<Guard.AccessGuard> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-access-'))
  try {
    const path = join(folder, name)
    writeFileSync(path, JSON.stringify(content))
    const guard = await openGuard(options(path))
    guard.close()
    return guard
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function handshakeWith(token: string | null): Handshake {
  const headers = new Map([
    ['host', 'relay.example'],
    ['upgrade', 'websocket'],
    ['connection', 'Upgrade'],
    ['user-agent', 'bench'],
    ...(token === null ? [] : [['authorization', `Bearer ${token}`] as const]),
  ])
  return {
    sessionId: SESSION_ID,
    method: 'get',
    path: '/v1/stream',
    query: '',
    headers,
    remoteAddress: '192.0.2.1',
  }
}

/** `keys` API keys, one of which is shown. */
function keyRow(subject: string, keys: number, token: string | null, code: string | null): MicroRow {
  return {
    subject,
    dimensions: { keys },
    async prepare() {
      const others = Array.from({ length: keys - 1 }, (_, index) => entry(`other-${index}`, `${KEY}${index}`))
      const content = { keys: [...others, entry('bench', KEY)] }
      const guard = await openGuardWithFile('keys.json', content, apiKeysFile => ({
        auth: ['keys'],
        apiKeysFile,
      }))
      const { httpRefusal } = await load<typeof Refusal>('server/refusal')
      return code === null
        ? acceptedKey(guard, handshakeWith(token))
        : refusedKey(guard, handshakeWith(token), code, httpRefusal)
    },
  }
}

function acceptedKey(guard: Guard.AccessGuard, handshake: Handshake): Contender {
  const run = (): unknown => {
    guard.screen(handshake)
    return guard.authenticate(handshake)
  }
  return { run, check: () => strictEqual((run() as { name: unknown }).name, 'bench') }
}

function refusedKey(
  guard: Guard.AccessGuard,
  handshake: Handshake,
  code: string,
  httpRefusal: typeof Refusal.httpRefusal,
): Contender {
  const run = (): Refusal.HttpRefusal => {
    try {
      guard.screen(handshake)
      void guard.authenticate(handshake)
    } catch (error) {
      return httpRefusal(error as RelayError, SESSION_ID)
    }
    throw new Error('it was let in')
  }
  return { run, check: () => strictEqual((JSON.parse(run().body) as { code: unknown }).code, code) }
}

function jwtRow(alg: 'ES256' | 'RS256', isGood: boolean): MicroRow {
  return {
    subject: isGood ? 'a JWT is accepted' : 'a JWT with a wrong signature is refused',
    dimensions: { algorithm: alg },
    async prepare() {
      const { privateKey, publicKey } =
        alg === 'ES256'
          ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
          : generateKeyPairSync('rsa', { modulusLength: 2048 })
      const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'one', alg }
      const guard = await openGuardWithFile('jwks.json', { keys: [jwk] }, jwtKeysFile => ({
        auth: ['jwt'],
        jwtIssuer: ISSUER,
        jwtAudience: AUDIENCE,
        jwtKeysFile,
      }))
      const token = await new SignJWT({})
        .setProtectedHeader({ alg, kid: 'one', typ: 'at+jwt' })
        .setIssuer(ISSUER)
        .setAudience(AUDIENCE)
        .setSubject('bench')
        .setExpirationTime('1h')
        .sign(privateKey)
      const wrong = `${token.slice(0, -10)}${'A'.repeat(10)}`
      const handshake = handshakeWith(isGood ? token : wrong)
      const authenticate = async (): Promise<unknown> => guard.authenticate(handshake)
      return isGood
        ? {
            run: authenticate,
            check: async () => strictEqual(((await authenticate()) as { name: unknown }).name, 'bench'),
          }
        : {
            run: () => authenticate().catch((error: unknown) => error),
            check: () => rejects(authenticate(), { code: 'token_invalid' }),
          }
    },
  }
}

const ACCEPTED = 'an API key is accepted'
const REFUSED = 'an unknown API key is refused'

const keys: MicroGroup = {
  id: 'keys',
  title: 'API keys',
  text: ['From the parsed request to the principal, or to the answer of status, headers and JSON.'],
  charts: [],
  reference: ACCEPTED,
  rows: [1, 10_000].flatMap(count => [
    keyRow(ACCEPTED, count, KEY, null),
    keyRow(REFUSED, count, `${KEY}x`, 'token_invalid'),
    keyRow('no token is refused', count, null, 'token_missing'),
  ]),
}

const jwts: MicroGroup = {
  id: 'jwt',
  title: 'JWTs',
  text: ['One signature, checked by a thread of the platform, and the claims.'],
  charts: [],
  reference: 'a JWT is accepted',
  rows: (['ES256', 'RS256'] as const).flatMap(alg => [jwtRow(alg, true), jwtRow(alg, false)]),
}

function microseconds(outcome: Outcome, id: string) {
  const times = outcome.timesNs(id).map(ns => ns / 1000)
  return figureOf('µs', times)
}

function bars(outcome: Outcome): Bar[] {
  return [
    barOf({
      id: 'accepted-key',
      title: 'an API key among 10 000 is accepted',
      relation: 'at most',
      limit: 100,
      figure: microseconds(outcome, `keys/${ACCEPTED}/10000`),
      explanation: ['Most of it is the SHA-256 of the key.'],
    }),
    barOf({
      id: 'refused-key',
      title: 'an unknown API key among 10 000 is refused',
      relation: 'at most',
      limit: 200,
      figure: microseconds(outcome, `keys/${REFUSED}/10000`),
      explanation: ['Most of it is the error with its stack, and the JSON of the answer.'],
    }),
  ]
}

await runMicroBench(
  {
    name: 'access',
    title: 'Who may come in',
    method: ['One guard, one request, again and again; the same key each time.'],
    misleads: [
      'The sockets are not in it: accepting a TCP connection and parsing a request cost more than any of these rows.',
      'The check of a signature runs in a thread of its own; its time is in the figure, but it does not hold up other clients.',
    ],
    groups: [keys, jwts],
    bars,
  },
  import.meta.url,
)
