import t from 'tap'
import { verifySignature } from '../../src/emulator/signature.ts'
import { parseQuery } from '../../src/emulator/query.ts'
import {
  EXAMPLE_KEY,
  PCM_16K,
  STREAM_PATH,
  signedTarget,
  type SigningOptions,
} from '../support/transcribe-client.ts'

const HOST = 'transcribestreaming.us-east-1.amazonaws.com:8443'
const NOW_MS = Date.parse('2025-01-02T03:04:05.678Z')
const TOKEN = 'IQoJb3JpZ2luX2VjE/+EXAMPLE/TOKEN=='
const ACCOUNTS = [
  { ...EXAMPLE_KEY, sessionTokens: [{ token: TOKEN }] },
  {
    accessKeyId: 'ASIAEXAMPLE',
    secretAccessKey: 'temporary',
    sessionTokens: [
      { token: 'fresh', expiresAtMs: NOW_MS + 1 },
      { token: 'stale', expiresAtMs: NOW_MS },
    ],
  },
]

function verify(target: string, nowMs = NOW_MS, host = HOST) {
  const [path = '', query = ''] = target.split('?')
  return verifySignature({
    path,
    pairs: parseQuery(query) ?? [],
    host,
    region: 'us-east-1',
    accounts: ACCOUNTS,
    nowMs,
  })
}

function signed(options: Partial<SigningOptions> = {}) {
  return signedTarget({ host: HOST, nowMs: NOW_MS, expiresSeconds: 300, ...options })
}

function errorOf(target: string, nowMs?: number): string {
  const verdict = verify(target, nowMs)
  return verdict.ok
    ? 'accepted'
    : `${verdict.refusal.status} ${verdict.refusal.name}: ${verdict.refusal.message}`
}

const VECTOR_A =
  'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20250102%2Fus-east-1%2Ftranscribe%2Faws4_request&X-Amz-Date=20250102T030405Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host&language-code=en-US&media-encoding=pcm&sample-rate=16000'
const VECTOR_B =
  'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20250102%2Fus-east-1%2Ftranscribe%2Faws4_request&X-Amz-Date=20250102T030405Z&X-Amz-Expires=300&X-Amz-Security-Token=IQoJb3JpZ2luX2VjE%2F%2BEXAMPLE%2FTOKEN%3D%3D&X-Amz-SignedHeaders=host&identify-language=true&language-options=en-US%2Cfr-FR&media-encoding=pcm&sample-rate=8000&session-id=11111111-2222-3333-4444-555555555555'

t.test('the published vectors are accepted, and what is known to be wrong about them is not', async t => {
  const rows: [string, string, string, boolean][] = [
    ['A', VECTOR_A, '33b6af0c691ab758880881750f41f2ae5f28cf7db6557a42094678e7137ed06a', true],
    [
      'A, signed without the port',
      VECTOR_A,
      '3a955129c1077d3c6da949fe1015248e9e1a9069532922b41d7b3cf5b03cd9e1',
      false,
    ],
    ['B', VECTOR_B, '404af28c857b793329a8e61c811cb62bd88783fb1eed241f5b2af8b63c247c20', true],
    [
      'B, token encoded twice',
      VECTOR_B,
      'db51eb619dd324e5aadc95b4a83e6baf70220dc3440d275366d0ddc1cceb167b',
      false,
    ],
    [
      'B, bare comma signed',
      VECTOR_B,
      'e50a5f5b76cb57d20d2b399e0d4f7ef780db507756c23e99ddcf6cc8e255d608',
      false,
    ],
  ]
  for (const [name, query, signature, expected] of rows) {
    t.equal(verify(`${STREAM_PATH}?${query}&X-Amz-Signature=${signature}`).ok, expected, name)
  }
})

t.test(
  'neither the order of the pairs nor the form of their escapes matters, only what they decode to',
  async t => {
    const [, query = ''] = signed({ parameters: { ...PCM_16K, 'vocabulary-name': "a!'()*~" } }).split('?')
    const shuffled = query.split('&').toReversed().join('&')
    t.ok(verify(`${STREAM_PATH}?${shuffled}`).ok)
    t.ok(verify(`${STREAM_PATH}?${shuffled.replace('%21', '!').replace('~', '%7e')}`).ok)
    t.equal(parseQuery('a=%zz'), null)
    t.strictSame(parseQuery('a&&b=+%20'), [
      ['a', ''],
      ['b', '+ '],
    ])
  },
)

t.test('every part of a request that may be wrong is refused by name', async t => {
  const good = signed()
  const rows: [string, string, string][] = [
    [
      'nothing is signed',
      `${STREAM_PATH}?sample-rate=16000`,
      '403 MissingAuthenticationTokenException: Missing Authentication Token',
    ],
    [
      'a part is missing',
      good.replace(/X-Amz-Date=[^&]*&/, ''),
      '403 IncompleteSignatureException: The query string must include X-Amz-Date.',
    ],
    [
      'a part comes twice',
      `${good}&X-Amz-Expires=1`,
      '403 IncompleteSignatureException: X-Amz-Expires must be given once.',
    ],
    [
      'another algorithm',
      good.replace('HMAC-SHA256', 'HMAC-SHA512'),
      '403 IncompleteSignatureException: X-Amz-Algorithm must be AWS4-HMAC-SHA256.',
    ],
    [
      'no date',
      good.replace(/X-Amz-Date=\w*/, 'X-Amz-Date=yesterday'),
      '403 IncompleteSignatureException: X-Amz-Date must be in ISO 8601 basic format, YYYYMMDDTHHMMSSZ.',
    ],
    [
      'no such date',
      good.replace(/X-Amz-Date=\w*/, 'X-Amz-Date=20251399T000000Z'),
      '403 IncompleteSignatureException: X-Amz-Date must be in ISO 8601 basic format, YYYYMMDDTHHMMSSZ.',
    ],
    [
      'a short credential',
      good.replace('%2Faws4_request', ''),
      '403 IncompleteSignatureException: X-Amz-Credential must be <access key id>/<date>/<region>/transcribe/aws4_request.',
    ],
    [
      'a long credential',
      good.replace('%2Faws4_request', '%2Faws4_request%2Fmore'),
      '403 IncompleteSignatureException: X-Amz-Credential must be <access key id>/<date>/<region>/transcribe/aws4_request.',
    ],
    [
      'another terminator',
      good.replace('aws4_request', 'aws5_request'),
      "403 InvalidSignatureException: Credential should be scoped with a valid terminator: 'aws4_request'.",
    ],
    [
      'another service',
      signed({ service: 'transcribestreaming' }),
      "403 InvalidSignatureException: Credential should be scoped to correct service: 'transcribe'.",
    ],
    [
      'another region',
      signed({ region: 'eu-west-1' }),
      "403 InvalidSignatureException: Credential should be scoped to a valid region, here 'us-east-1'.",
    ],
    [
      'another day in the scope',
      good.replace('%2F20250102', '%2F20250103'),
      '403 InvalidSignatureException: Date in Credential scope does not match YYYYMMDD of X-Amz-Date.',
    ],
    [
      'more signed headers',
      good.replace('SignedHeaders=host', 'SignedHeaders=content-type%3Bhost'),
      "403 InvalidSignatureException: X-Amz-SignedHeaders must be 'host': nothing else is sure to arrive as it was signed.",
    ],
    [
      'no life',
      signed({ expiresSeconds: 0 }),
      '403 InvalidSignatureException: X-Amz-Expires must be a whole number of seconds from 1 to 300.',
    ],
    [
      'too long a life',
      signed({ expiresSeconds: 301 }),
      '403 InvalidSignatureException: X-Amz-Expires must be a whole number of seconds from 1 to 300.',
    ],
    [
      'a life in words',
      good.replace('Expires=300', 'Expires=5m'),
      '403 InvalidSignatureException: X-Amz-Expires must be a whole number of seconds from 1 to 300.',
    ],
    [
      'an unknown key',
      signed({ accessKeyId: 'AKIDOTHER' }),
      '403 UnrecognizedClientException: The security token included in the request is invalid.',
    ],
    [
      'a token this key never had',
      signed({ sessionToken: 'made up' }),
      '403 UnrecognizedClientException: The security token included in the request is invalid.',
    ],
    [
      'a temporary key without its token',
      signed({ accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'temporary' }),
      '403 UnrecognizedClientException: The security token included in the request is invalid.',
    ],
    [
      'an expired token',
      signed({ accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'temporary', sessionToken: 'stale' }),
      '403 ExpiredTokenException: The security token included in the request is expired',
    ],
    [
      'a token that is still good',
      signed({ accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'temporary', sessionToken: 'fresh' }),
      'accepted',
    ],
    [
      'a signature that is none',
      good.replace(/Signature=\w{8}/, 'Signature='),
      '403 InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    ],
    [
      'another secret',
      signed({ secretAccessKey: 'another' }),
      '403 InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    ],
    [
      'a parameter changed afterwards',
      good.replace('16000', '8000'),
      '403 InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    ],
    [
      'another path',
      signed({ path: '/elsewhere' }).replace('/elsewhere', STREAM_PATH),
      '403 InvalidSignatureException: The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    ],
  ]
  for (const [name, target, expected] of rows) t.equal(errorOf(target), expected, name)
  t.notOk(verify(good, NOW_MS, HOST.replace(':8443', '')).ok, 'a Host header without the signed port')
})

t.test('a signature lives as long as it says, and no clock may be five minutes off', async t => {
  const signedAtMs = Date.parse('2025-01-02T03:04:05Z')
  t.equal(errorOf(signed({ expiresSeconds: 60 }), signedAtMs + 60_000), 'accepted')
  t.equal(
    errorOf(signed({ expiresSeconds: 60 }), signedAtMs + 60_001),
    '403 InvalidSignatureException: Signature expired: 20250102T030405Z is now earlier than 20250102T030405Z (20250102T030505Z - 60 sec.)',
  )
  t.equal(errorOf(signed(), signedAtMs + 300_000), 'accepted')
  t.equal(
    errorOf(signed(), signedAtMs + 301_000),
    '403 InvalidSignatureException: Signature expired: 20250102T030405Z is now earlier than 20250102T030406Z (20250102T030906Z - 5 min.)',
  )
  t.equal(errorOf(signed(), signedAtMs - 300_000), 'accepted')
  t.equal(
    errorOf(signed(), signedAtMs - 300_001),
    '403 InvalidSignatureException: Signature not yet current: 20250102T030405Z is still later than 20250102T030404Z (20250102T025904Z + 5 min.)',
  )
})

t.test('no refusal repeats a secret, a token or a signature', async t => {
  for (const target of [signed({ secretAccessKey: 'another' }), signed({ sessionToken: 'made up' })]) {
    const given = /Signature=(\w+)/.exec(target)?.[1] ?? ''
    t.notMatch(errorOf(target), given)
    t.notMatch(errorOf(target), 'made up')
    t.notMatch(errorOf(target), EXAMPLE_KEY.secretAccessKey)
  }
})
