/** Client tokens for one use, at two relays with one Redis: used once, whichever sees them first. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { bearer, knock } from '../support/knock.ts'
import { hasRedis, startRedis } from '../support/redis.ts'
import { startWorld } from '../support/world.ts'

const KEY = 'canary-key-of-the-shop'
const SECRET = 'canary-secret-of-all-relays-32-bytes-long'

if (hasRedis(t)) {
  t.test('a token is used once at all relays together, and never without an answer of Redis', async t => {
    const redis = await startRedis(t)
    const sha256 = createHash('sha256').update(KEY).digest('hex')
    const folder = t.testdir({
      'keys.json': JSON.stringify({ keys: [{ name: 'shop', sha256, grants: {} }] }),
      secret: SECRET,
    })
    const relay = {
      auth: ['keys', 'tokens'],
      apiKeysFile: join(folder, 'keys.json'),
      tokenSecretFile: join(folder, 'secret'),
      redisUrl: redis.url,
      redisTimeoutMs: 250,
      redisLeaseMs: 1000,
    }
    const worlds = [await startWorld(t, { relay }), await startWorld(t, { relay })]
    const [one, other] = worlds
    if (one === undefined || other === undefined) throw new Error('two relays')
    const issue = async (body: object = {}): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${one.port}/v1/tokens`, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, connection: 'close' },
        body: JSON.stringify(body),
      })
      return ((await response.json()) as { token: string }).token
    }
    const token = await issue()
    const uses = await Promise.all(
      [one, other, one, other].map(async ({ port }) => knock(t, port, bearer(token))),
    )
    t.equal(uses.filter(({ answer }) => answer.status === 101).length, 1)
    t.strictSame(new Set(uses.map(({ code }) => code)), new Set([null, 'token_invalid']))
    const many = await issue({ single_use: false })
    for (const { port } of [one, other]) {
      t.equal((await knock(t, port, bearer(many))).answer.status, 101)
    }
    const late = await issue()
    await redis.stop()
    const refused = await knock(t, other.port, bearer(late))
    t.strictSame([refused.answer.status, refused.code], [503, 'auth_unavailable'])
    t.ok(Number(refused.answer.headers.get('retry-after')) > 0)
    t.equal((await knock(t, other.port, bearer(KEY))).answer.status, 101, 'keys do not need it')
    await redis.start()
    redis.freeze()
    const leaver = await knock(t, other.port, bearer(late))
    t.equal(leaver.code, 'auth_unavailable', 'a Redis that hangs is none')
    redis.thaw()
    for (const { log } of worlds) {
      t.notMatch(log.texts.join(''), /canary/)
      t.notMatch(log.texts.join(''), redis.password)
    }
  })
}
