/**
 * Secrets pushed through every path of a relay that logs everything, in a process of its own: keys, tokens, presigned URLs,
 * words and audio. None of it may be in what the relay writes or tells, whoever it tells it to. (OB-04, AU-13, CR-11)
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t from 'tap'
import { createEmulator, createScriptedEngine, type FaultAction } from '../../src/emulator/index.ts'
import { createLogger } from '../../src/log.ts'
import { AUDIENCE, createKey, ISSUER, signToken } from '../support/identity-provider.ts'
import { bearer, knock } from '../support/knock.ts'
import { LogRecorder } from '../support/log-recorder.ts'
import { fetchText } from '../support/metric-values.ts'
import type { HandshakeOptions } from '../support/raw-socket.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { noise } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const API_KEY = 'canary-api-key-1b5e8f0c'
const WRONG_KEY = 'canary-wrong-key-77aa01'
const ACCESS_KEY = 'ASIACANARY0123456789'
const SECRET_KEY = 'canary/secret+key/wJalrXUtnFEMI'
const SESSION_TOKEN = 'canary-session-token//FwoGZXIvYXdzE'
const SPOKEN = 'canaryword confidential diagnosis'
const audio = noise(2, 99)

/** What must be nowhere, by what it is. */
const SECRETS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['a key, a token or a word', /canary/i],
  ['an escaped session token', /FwoGZXIvYXdzE|wJalrXUtnFEMI/],
  ['an access key of AWS', /ASIACANARY|AKIACANARY/],
  ['a spoken word', /confidential|diagnosis/i],
  ['a JWT', /eyJ[\w-]{10,}/],
  ['a signature', /X-Amz-(?:Signature|Security-Token|Credential)=(?!\[?redacted)/i],
  ['audio in base64', new RegExp(audio.subarray(0, 24).toString('base64').replace(/[+/=]/g, '\\$&'))],
  ['audio in hexadecimal', new RegExp(audio.subarray(0, 12).toString('hex'), 'i')],
]

/** Everything that may fail at the service, each for one stream. */
const FAULTS: readonly FaultAction[] = [
  { do: 'refuse' },
  {
    do: 'httpStatus',
    status: 403,
    headers: {},
    body: `{"message":"${SESSION_TOKEN} is not valid for ${ACCESS_KEY}"}`,
  },
  { do: 'httpStatus', status: 301, headers: { location: `https://evil/?X-Amz-Signature=canary` }, body: '' },
  { do: 'expiredToken' },
  { do: 'clockSkew', skewMs: 900_000 },
  {
    do: 'exception',
    name: 'BadRequestException',
    message: `bad ${SECRET_KEY} ${SPOKEN}`,
    closeCode: 1000,
    atSeconds: 1,
  },
  { do: 'exception', name: 'UnheardOfException', message: SPOKEN, closeCode: 1000, atSeconds: 1 },
  { do: 'close', code: 1008, reason: `not for ${ACCESS_KEY}`, atSeconds: 1 },
  { do: 'reset', atSeconds: 1 },
  { do: 'textFrame', text: SPOKEN, atSeconds: 1 },
  { do: 'badMessageCrc', atSeconds: 1 },
  { do: 'unknownEventType', atSeconds: 1 },
]

t.test('no secret leaves the relay, whatever happens', async t => {
  const account = {
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
    sessionTokens: [{ token: SESSION_TOKEN }],
  }
  const engine = createScriptedEngine({ texts: [{ text: SPOKEN }] })
  const emulator = createEmulator({
    accounts: [account],
    engine,
    concurrentStreams: 1000,
    startsPerSecond: 1000,
  })
  t.teardown(() => emulator.close())
  const { url: endpoint } = await emulator.start()
  const key = await createKey('ES256', 'one')
  const sha256 = createHash('sha256').update(API_KEY).digest('hex')
  const folder = t.testdir({
    'jwks.json': JSON.stringify({ keys: [key.jwk] }),
    'keys.json': JSON.stringify({ keys: [{ name: 'clinic', sha256 }] }),
  })
  const auditFile = join(folder, 'audit.jsonl')
  const relay = await startRelayProcess(t, {
    flags: {
      endpoint,
      'log-level': 'trace',
      'audit-log': auditFile,
      auth: 'keys,jwt,tokens',
      'token-in-query': true,
      'api-keys-file': join(folder, 'keys.json'),
      'jwt-keys-file': join(folder, 'jwks.json'),
      'jwt-issuer': ISSUER,
      'jwt-audience': AUDIENCE,
      'token-expiry': 'end',
      'rollover-attempts': 0,
      'drain-timeout-ms': 1000,
    },
    env: {
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
      AWS_SESSION_TOKEN: SESSION_TOKEN,
    },
  })
  const jwt = await signToken(key)
  const withToken = (token: string) => ({ authorization: `Bearer ${token}` })
  /** What clients were told, but for the results: those are theirs. */
  const told: string[] = []
  const listen = async (client: RelayClient): Promise<void> => {
    const end = await client.closed
    told.push(
      end.reason,
      ...client.messages.filter(({ type }) => type !== 'Transcript').map(message => JSON.stringify(message)),
    )
  }

  // Accepted, in each place and with each kind of token; a fresh one in the session.
  const issued = await fetch(relay.url.replace('ws:', 'http:').replace('stream', 'tokens'), {
    method: 'POST',
    headers: withToken(API_KEY),
  })
  const { token } = (await issued.json()) as { token: string }
  const accepted = [
    await relay.connect('', withToken(API_KEY)),
    await relay.connect('', withToken(jwt)),
    await relay.connect('', withToken(token)),
    await relay.connect(`token=${API_KEY}`),
  ]
  for (const client of accepted) {
    client.sendCut(audio, 3200)
    void client.finish()
    await listen(client)
  }
  t.match(accepted[0]?.words().join(' '), /canaryword/, 'the words reach their client')
  for (const fresh of [jwt, WRONG_KEY, `${jwt}x`]) {
    const client = await relay.connect('', withToken(jwt))
    client.say({ type: 'Authenticate', token: fresh })
    if (fresh === jwt) await client.waitFor('Authenticated')
    void client.finish()
    await listen(client)
  }

  // Refused.
  const refused: HandshakeOptions[] = [
    bearer(WRONG_KEY),
    bearer(`${jwt}x`),
    bearer(`"canary"`),
    { headers: { authorization: `Basic ${Buffer.from(`canary:${API_KEY}`).toString('base64')}` } },
    { path: `/v1/stream?token=${WRONG_KEY}` },
    { path: `/v1/stream?token=${API_KEY}&token=${API_KEY}` },
    { path: `/v1/nowhere?token=${API_KEY}`, ...bearer(API_KEY) },
    { path: `/v1/tokens?token=${API_KEY}`, method: 'GET', ...bearer(API_KEY) },
    { headers: { 'sec-websocket-protocol': `transcribe-relay.v1, bearer, ${WRONG_KEY}` } },
    { headers: { origin: 'http://localhost', authorization: `Bearer ${WRONG_KEY}` } },
    { headers: { authorization: `Bearer ${'canary'.repeat(1000)}` } },
  ]
  for (const options of refused) {
    const { answer, raw } = await knock(t, relay.port, options)
    t.not(answer.status, 500)
    if (answer.status === 101) await raw.readEnd()
    told.push(
      answer.body,
      [...answer.headers].join(),
      ...raw.frames.map(({ payload }) => payload.toString('latin1')),
    )
  }

  // Wrong things said: secrets as text, where no text belongs.
  for (const text of [
    `token=${API_KEY}`,
    `{"type":"${API_KEY}"}`,
    `{"audio":"${audio.subarray(0, 99).toString('base64')}"}`,
    `{"type":"Authenticate","token":{"a":"${jwt}"}}`,
  ]) {
    const client = await relay.connect('', withToken(API_KEY))
    client.say(text)
    await listen(client)
  }

  // A service that fails, in each way.
  for (const action of FAULTS) {
    emulator.setFaults({ rules: [{ match: {}, action }] })
    const client = await relay.connect('', withToken(API_KEY))
    client.sendCut(audio, 3200)
    void client.finish()
    await listen(client)
  }

  told.push(await fetchText(`${relay.opsUrl}/metrics`), await fetchText(`${relay.opsUrl}/readyz`))
  t.equal(await relay.stop(), 0)
  const places: [place: string, text: string][] = [
    ['standard output', relay.output.stdout],
    ['standard error', relay.output.stderr],
    ['audit', readFileSync(auditFile, 'utf8')],
    ['what clients and operators are told', told.join('\n')],
  ]
  t.ok(relay.output.stdout.split('\n').length > 50, 'the log is there')
  for (const [place, text] of places) {
    for (const [name, pattern] of SECRETS) {
      const at = text.search(pattern)
      t.equal(at < 0 ? '' : text.slice(Math.max(0, at - 80), at + 80), '', `no trace of ${name} in ${place}`)
    }
  }
})

t.test('a bug that quotes secrets is logged without them, and told to nobody', async t => {
  const jwt = await signToken(await createKey('ES256', 'one'))
  const log = new LogRecorder()
  const world = await startWorld(t, {
    dependencies: {
      logger: createLogger({ level: 'trace', version: '0', sink: log }),
      authorize: handshake => {
        const { message } = new Error(
          `bug: Bearer ${API_KEY} ${jwt} AKIACANARY0123456789 https://x/?X-Amz-Signature=canary ${inspect(handshake)}`,
        )
        throw Object.assign(new TypeError(message, { cause: new Error(SPOKEN) }), {
          token: API_KEY,
          handshake,
        })
      },
    },
  })
  const { answer } = await knock(t, world.port, bearer(API_KEY))
  t.equal(answer.status, 500)
  t.match(log.of('failure outside of a session'), [{ error: { name: 'TypeError' } }])
  for (const [name, pattern] of SECRETS) t.notMatch(`${answer.body}${log.texts.join('')}`, pattern, name)
})
