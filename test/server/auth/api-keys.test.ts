import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { digestOf, KeyRing, parseKeysFile, parseKeyWord } from '../../../src/server/auth/api-keys.ts'
import { NO_GRANTS_LIMIT } from '../../../src/server/auth/grants.ts'

const DIGEST = createHash('sha256').update('secret').digest('hex')

t.test('a key is found by its text alone, among ten thousand', async t => {
  const texts = Array.from({ length: 10_000 }, () => randomBytes(32).toString('base64url'))
  const ring = new KeyRing(
    texts.map((text, index) => ({ name: `k${index}`, digest: digestOf(text), grants: NO_GRANTS_LIMIT })),
  )
  t.equal(ring.size, 10_000)
  for (const index of [0, 1, 4999, 9999]) t.equal(ring.find(texts[index] ?? '')?.name, `k${index}`)
  const [first = ''] = texts
  for (const wrong of [
    '',
    'x',
    first.slice(1),
    `${first} `,
    first.toUpperCase(),
    digestOf(first).toString('hex'),
  ]) {
    t.equal(ring.find(wrong), null)
  }
})

t.test('keys whose digests begin alike are told apart', async t => {
  const digest = digestOf('one')
  const twin = Buffer.from(digest)
  twin[31] = (twin[31] ?? 0) ^ 1
  const ring = new KeyRing([
    { name: 'twin', digest: twin, grants: NO_GRANTS_LIMIT },
    { name: 'one', digest, grants: NO_GRANTS_LIMIT },
  ])
  t.equal(ring.find('one')?.name, 'one')
  t.match(ring.named('twin'), [{ name: 'twin' }])
  t.strictSame(ring.named('three'), [])
  t.equal(new KeyRing([]).find('one'), null)
})

t.test('digests are compared by timingSafeEqual and by nothing else', async t => {
  const source = readFileSync('src/server/auth/api-keys.ts', 'utf8')
  const body = source.slice(source.indexOf('  find(token'), source.indexOf('  named('))
  t.match(body, 'timingSafeEqual(key.digest, digest)')
  t.notMatch(body, /digest\.(equals|compare|toString)|break|digest ===/, 'and every candidate is looked at')
})

t.test('a file gives names, digests and grants; a word gives no limits', async t => {
  const [key, other] = parseKeysFile(
    JSON.stringify({
      $schema: 'x',
      keys: [
        { name: 'clinic', sha256: DIGEST.toUpperCase(), grants: { concurrent_sessions: 2 } },
        { name: 'kiosk', sha256: '0'.repeat(64) },
      ],
    }),
    'keys.json',
  )
  t.match(key, { name: 'clinic', digest: Buffer.from(DIGEST, 'hex'), grants: { concurrentSessions: 2 } })
  t.equal(other?.grants, NO_GRANTS_LIMIT)
  t.match(parseKeyWord(`kiosk:${DIGEST}`), { name: 'kiosk', digest: Buffer.from(DIGEST, 'hex') })
})

t.test('a wrong file is told by place and rule, and never quoted', async t => {
  const key = { name: 'clinic', sha256: DIGEST }
  const wrong: [unknown, RegExp][] = [
    ['{"keys": "plain-secret', /^keys\.json must be valid JSON$/],
    [{}, /^keys\.json: keys is not valid/],
    [[], /^keys\.json is not valid/],
    [
      { keys: [{ ...key, sha256: 'plain-secret' }] },
      /keys\[0\]\.sha256 must be the SHA-256 of the key in 64/,
    ],
    [{ keys: [key, { ...key, name: 'plain secret' }] }, /keys\[1\]\.name must be letters/],
    [{ keys: [{ ...key, secret: 'plain-secret' }] }, /keys\[0\] has a member that is not known$/],
    [
      { keys: [key, { name: 'b', sha256: DIGEST.toUpperCase() }] },
      /keys\[1\]\.sha256 must not be that of another/,
    ],
    [{ keys: [{ ...key, grants: { concurrent_sessions: -1 } }] }, /grants\.concurrent_sessions/],
    [{ keys: [{ ...key, grants: { features: ['plain-secret'] } }] }, /grants\.features\[0\]/],
    [{ keys: [{ ...key, grants: { minutes: 1 } }] }, /grants has a member that is not known/],
    [{ keys: Array.from({ length: 10_001 }, () => key) }, /keys must be at most 10000/],
  ]
  for (const [content, message] of wrong) {
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    try {
      parseKeysFile(text, 'keys.json')
      t.fail(`taken: ${text.slice(0, 80)}`)
    } catch (error) {
      t.match(error, { name: 'AuthFileError', message })
      t.notMatch(String(error), /plain.secret/)
    }
  }
})

t.test('a ring that follows revokes what it does not have, by name and digest, once', async t => {
  const entry = (name: string, text: string) => ({ name, digest: digestOf(text), grants: NO_GRANTS_LIMIT })
  const before = new KeyRing([entry('a', 'one'), entry('a', 'two'), entry('b', 'three'), entry('b', 'three')])
  const keys = ['one', 'two', 'three'].map(text => before.find(text))
  const revoked = () => keys.map(key => key?.standing.isRevoked)
  const grants = { ...NO_GRANTS_LIMIT, concurrentSessions: 1 }
  const next = new KeyRing([{ ...entry('a', 'two'), grants }, entry('b', 'three')], before)
  t.strictSame(before.revokeMissing(next), ['a'], 'the same key twice is there as long as one of them is')
  t.strictSame(revoked(), [true, false, false])
  t.equal(next.find('two')?.standing, keys[1]?.standing)
  const renamed = new KeyRing([entry('c', 'two')], next)
  t.strictSame(next.revokeMissing(renamed), ['a', 'b'])
  t.strictSame(before.revokeMissing(renamed), [], 'told once')
  t.strictSame(revoked(), [true, true, true])
  t.equal(renamed.find('two')?.standing.isRevoked, false)
})
