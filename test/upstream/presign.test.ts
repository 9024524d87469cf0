import t from 'tap'
import { RelayError } from '../../src/errors.ts'
import { presignUrl, signRequest } from '../../src/upstream/presign.ts'
import type { PresignInput } from '../../src/upstream/presign.ts'
import { createRandom } from '../support/random.ts'
import { decodedPairs, presignReference, verifyPresigned, verifySignedRequest } from '../support/sigv4.ts'

const HOST = 'transcribestreaming.us-east-1.amazonaws.com:8443'
const PATH = '/stream-transcription-websocket'
const KEYS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }

const BASE: PresignInput = {
  host: HOST,
  path: PATH,
  secure: true,
  region: 'us-east-1',
  parameters: { 'language-code': 'en-US', 'media-encoding': 'pcm', 'sample-rate': '16000' },
  credentials: KEYS,
  signingDateMs: Date.UTC(2025, 0, 2, 3, 4, 5, 678),
  expiresSeconds: 300,
}

const SCOPE = 'AKIDEXAMPLE%2F20250102%2Fus-east-1%2Ftranscribe%2Faws4_request'
const SIGNED = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${SCOPE}&X-Amz-Date=20250102T030405Z&X-Amz-Expires=300`

function sortedQuery(url: string): string {
  const pairs = url.slice(url.indexOf('?') + 1).split('&')
  return pairs
    .filter(pair => !pair.startsWith('X-Amz-Signature='))
    .sort()
    .join('&')
}

function signatureOf(url: string): string | undefined {
  return /X-Amz-Signature=([0-9a-f]{64})/.exec(url)?.[1]
}

t.test('vector A: long-term keys', async t => {
  const url = (await presignUrl(BASE)).reveal()
  t.ok(url.startsWith(`wss://${HOST}${PATH}?`))
  t.equal(
    sortedQuery(url),
    `${SIGNED}&X-Amz-SignedHeaders=host&language-code=en-US&media-encoding=pcm&sample-rate=16000`,
  )
  t.equal(signatureOf(url), '33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a')
  const withoutPort = await presignUrl({ ...BASE, host: HOST.replace(':8443', '') })
  t.equal(
    signatureOf(withoutPort.reveal()),
    '3a955129c1077d3c6da949fe1015248e9e1a9069532922b41d7b3cf5b03cd9e1',
    'the port is part of the signature',
  )
})

t.test('vector B: temporary keys, a token and a comma list, each encoded once', async t => {
  const url = (
    await presignUrl({
      ...BASE,
      parameters: {
        'session-id': '11111111-2222-3333-4444-555555555555',
        'sample-rate': '8000',
        'media-encoding': 'pcm',
        'language-options': 'en-US,fr-FR',
        'identify-language': 'true',
      },
      credentials: { ...KEYS, sessionToken: 'IQoJb3JpZ2luX2VjE/+EXAMPLE/TOKEN==' },
    })
  ).reveal()
  t.equal(
    sortedQuery(url),
    `${SIGNED}&X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2F%2BEXAMPLE%2FTOKEN%3D%3D&X-Amz-SignedHeaders=host&` +
      'identify-language=true&language-options=en-US%2Cfr-FR&media-encoding=pcm&sample-rate=8000&' +
      'session-id=11111111-2222-3333-4444-555555555555',
  )
  t.equal(signatureOf(url), '404af28c857b793329a8e61c811cb62bd88783fb1eed241f5b2af8b63c247c20')
})

t.test('agrees with a second implementation on 10 000 random inputs', async t => {
  const seed = Date.now() >>> 0
  t.comment(`seed ${seed}`)
  const random = createRandom(seed)
  const alphabet = Array.from('aZ09-_.~+/=%,;:&?#@!\'()*"<>[]{}|\\^` é漢🎧ß\u0301\t')
  function pick<T>(from: readonly T[]): T {
    return from[Math.floor(random() * from.length)] as T
  }
  function text(most: number): string {
    return Array.from({ length: Math.floor(random() * (most + 1)) }, () => pick(alphabet)).join('')
  }
  const disagreements: string[] = []
  for (let i = 0; i < 10_000 && disagreements.length < 3; i += 1) {
    const parameters: Record<string, string> = {}
    for (let n = Math.floor(random() * 6); n > 0; n -= 1) parameters[`p${text(6)}`] = text(24)
    const sessionToken = random() < 0.5 ? `IQ${text(60)}` : undefined
    const input = {
      host: pick([HOST, '127.0.0.1:8443', '[::1]:9000', 'vpce.example', 'localhost:80']),
      path: pick([PATH, '/medical-stream-transcription-websocket']),
      region: pick(['us-east-1', 'eu-central-1', 'us-gov-west-1', 'cn-north-1']),
      service: 'transcribe',
      parameters,
      signingDateMs: Math.floor(random() * 4e12),
      expiresSeconds: 1 + Math.floor(random() * 300),
    }
    const keys = { accessKeyId: `AKID${text(12)}`, secretAccessKey: `s${text(40)}` }
    const credentials = sessionToken === undefined ? keys : { ...keys, sessionToken }
    const url = (await presignUrl({ ...input, secure: random() < 0.5, credentials })).reveal()
    const expected = presignReference({ ...input, ...credentials })
    const target = url.slice(url.indexOf('/', 'wss://'.length + 1))
    const agrees =
      sortedQuery(url) === expected.canonicalQuery.split('&').sort().join('&') &&
      signatureOf(url) === expected.signature &&
      verifyPresigned(target, input.host, keys.secretAccessKey) &&
      // What a WebSocket library sends: the URL taken apart and put together again.
      new URL(url).search === url.slice(url.indexOf('?')) &&
      Object.entries(parameters).every(([name, value]) =>
        decodedPairs(url).some(([n, v]) => n === name && v === value),
      )
    if (!agrees) disagreements.push(`#${i} ${JSON.stringify(input)}`)
  }
  t.same(disagreements, [])
})

t.test('refuses what could never work, and says why', async t => {
  await t.rejects(presignUrl({ ...BASE, credentials: { ...KEYS, accessKeyId: 'ASIAEXAMPLE' } }), {
    code: 'not_ready',
    detail: 'session_token_missing',
    message: /ASIA.*session token/,
  })
  await t.rejects(presignUrl({ ...BASE, credentials: { ...KEYS, accessKeyId: '' } }), {
    code: 'not_ready',
    detail: 'access_key_missing',
  })
  await t.rejects(presignUrl({ ...BASE, credentials: { ...KEYS, secretAccessKey: '' } }), {
    code: 'not_ready',
    detail: 'secret_key_missing',
  })
  for (const expiresSeconds of [0, 301, 1.5, NaN]) {
    await t.rejects(presignUrl({ ...BASE, expiresSeconds }), RangeError, String(expiresSeconds))
  }
  await t.rejects(presignUrl({ ...BASE, parameters: { 'x-amz-date': '1' } }), RangeError)
  t.ok(
    await presignUrl({
      ...BASE,
      credentials: { ...KEYS, accessKeyId: 'ASIAEXAMPLE', sessionToken: 'token' },
    }),
  )
})

t.test('signs any AWS request in its header, as a second implementation reads it', async t => {
  const url = "https://sts.amazonaws.com/a%20b/c?x=1&x=2&empty&plus=a+b&mark=it's&Action=GetCallerIdentity"
  for (const service of ['sts', 's3']) {
    const signed = await signRequest({
      method: 'POST',
      url,
      service,
      region: 'eu-west-1',
      headers: { 'Content-Type': 'text/plain' },
      body: 'hello',
      credentials: { ...KEYS, sessionToken: 'token' },
      signingDateMs: Date.UTC(2015, 7, 30, 12, 36, 0),
    })
    t.match(
      signed.headers['authorization'],
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/20150830\/eu-west-1\//,
    )
    t.ok(verifySignedRequest({ ...signed, body: 'hello' }, KEYS.secretAccessKey), service)
    t.notOk(verifySignedRequest({ ...signed, body: 'hullo' }, KEYS.secretAccessKey), 'the body counts')
  }
})

function sign(url: string, body?: string | Uint8Array, service = 'sts') {
  return signRequest({
    method: 'POST',
    url,
    service,
    region: 'us-east-1',
    headers: { 'content-type': 'text/plain' },
    ...(body === undefined ? {} : { body }),
    credentials: { ...KEYS, sessionToken: 'token' },
    signingDateMs: 0,
  })
}

t.test('the URL to send is encoded as it was signed', async t => {
  const odd = await sign("https://sts.amazonaws.com/a%20b?x=1&x=2&empty&plus=a+b&mark=it's", 'hello')
  t.equal(odd.url, 'https://sts.amazonaws.com/a%20b?x=1&x=2&empty=&plus=a%2Bb&mark=it%27s')
  t.equal(odd.headers['x-amz-security-token'], 'token')
  t.equal(
    odd.headers['x-amz-content-sha256'],
    '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
  )
  const bytes = await sign(
    "https://sts.amazonaws.com/a%20b?x=1&x=2&empty&plus=a+b&mark=it's",
    Buffer.from('hello'),
  )
  t.equal(bytes.headers['authorization'], odd.headers['authorization'], 'text and its bytes are one body')
  const s3 = await sign("https://sts.amazonaws.com/a%20b?x=1&x=2&empty&plus=a+b&mark=it's", 'hello', 's3')
  t.not(s3.headers['authorization'], odd.headers['authorization'])
  t.equal((await sign('http://localhost:9000/')).url, 'http://localhost:9000/')
  await t.rejects(sign('https://host/?a=%E0'), { code: 'invalid_request' })
  for (const url of ['nonsense', 'wss://host/']) {
    await t.rejects(
      sign(url),
      new RelayError('invalid_request', { message: 'url must be an http:// or https:// URL' }),
    )
  }
})
