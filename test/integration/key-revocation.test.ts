/** A key that is taken out of its file takes the sessions with it that run with it, politely, and no others (AU-07). */
import { createHash } from 'node:crypto'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { createScriptedEngine } from '../../src/emulator/index.ts'
import type { RelayOptions } from '../../src/config/options.ts'
import { bearer, knock } from '../support/knock.ts'
import type { RelayClient } from '../support/relay-client.ts'
import { noise, sha256 } from '../support/speech.ts'
import { startWorld, type World } from '../support/world.ts'

const LEAKED = 'canary-leaked-key'
const FRESH = 'canary-fresh-key'
const OTHER = 'canary-key-of-somebody-else'
const SPOKEN = 'every word that was said before is delivered'

interface KeyedWorld extends World {
  /** Replaces the file as Kubernetes does, and waits until it is in force. */
  setKeys(...keys: readonly object[]): Promise<void>
  /** A client token for this key. */
  issue(key: string): Promise<string>
  readonly auditPath: string
}

const key = (name: string, text: string, grants: object = {}) => ({
  name,
  sha256: createHash('sha256').update(text).digest('hex'),
  grants,
})

const ALL = [key('shop', LEAKED), key('shop', FRESH), key('clinic', OTHER)]

async function startKeyed(t: Test, relay: Partial<RelayOptions> = {}): Promise<KeyedWorld> {
  const folder = t.testdir({ 'keys.json': JSON.stringify({ keys: ALL }) })
  const auditPath = join(folder, 'audit.jsonl')
  const world = await startWorld(t, {
    relay: {
      auth: ['keys', 'tokens'],
      apiKeysFile: join(folder, 'keys.json'),
      auditLog: auditPath,
      tickMs: 10,
      ...relay,
    },
    emulator: { engine: createScriptedEngine({ texts: [{ text: SPOKEN }] }) },
  })
  let reloads = 0
  return {
    ...world,
    auditPath,
    setKeys: async (...keys) => {
      writeFileSync(join(folder, 'next'), JSON.stringify({ keys }))
      renameSync(join(folder, 'next'), join(folder, 'keys.json'))
      reloads += 1
      while (world.log.of('file reloaded').length < reloads) await world.log.next()
    },
    issue: async text => {
      const { headers } = bearer(text)
      const url = `http://127.0.0.1:${world.port}/v1/tokens`
      const response = await fetch(url, { method: 'POST', headers, body: '{"single_use":false}' })
      return ((await response.json()) as { token: string }).token
    },
  }
}

async function begin(world: World, token: string, query = ''): Promise<RelayClient> {
  const client = await world.connect(query, bearer(token))
  await client.waitFor('Begin')
  return client
}

t.test('sessions of the key, and of tokens given out for it, end with their last results', async t => {
  const world = await startKeyed(t)
  const token = await world.issue(LEAKED)
  const freshToken = await world.issue(FRESH)
  const leaving = [await begin(world, LEAKED), await begin(world, token)]
  const configuring = await world.connect('configure=true', bearer(LEAKED))
  const staying = await Promise.all([FRESH, freshToken, OTHER].map(text => begin(world, text)))
  const pcm = noise(3, 7)
  for (const client of [...leaving, ...staying]) client.sendCut(pcm, 3200)
  // All of it has arrived: what is said comes after what was heard before it.
  await Promise.all(
    [...leaving, ...staying].map(client => client.until(() => client.of('Transcript').length > 0)),
  )
  await world.setKeys(key('shop', FRESH), key('clinic', OTHER))
  for (const client of leaving) {
    t.match(await client.closed, { code: 4401, reason: 'token_revoked' })
    t.match(client.of('Error'), [{ code: 'token_revoked', retryable: false }])
    t.equal((await world.streamOf(client)).sha256, sha256(pcm), 'the audio was taken to its end')
    t.equal(client.words().join(' '), SPOKEN, 'and every final was delivered')
  }
  t.match(await configuring.closed, { code: 4401, reason: 'token_revoked' })
  for (const text of [LEAKED, token])
    t.equal((await knock(t, world.port, bearer(text))).code, 'token_invalid')
  for (const text of [FRESH, freshToken, OTHER]) {
    t.equal((await knock(t, world.port, bearer(text))).answer.status, 101)
  }
  for (const client of staying) {
    client.sendCut(pcm, 3200)
    t.match(await client.finish(), { code: 1000 }, 'neighbours go on, also of the same name')
    t.strictSame(client.of('Error'), [])
  }
  t.match(await world.log.waitFor('keys revoked'), { keys: 1, names: ['shop'] })
  const metrics = await world.scrape()
  const ended = [...metrics].filter(([name]) => /sessions_closed_total.*token_revoked/.test(name))
  t.strictSame(
    ended.map(([, count]) => count),
    [3],
  )
  await world.relay.close()
  const audit = readFileSync(world.auditPath, 'utf8')
  t.equal(audit.match(/"session_ended".*"principal":"shop".*"reason":"token_revoked"/g)?.length, 3)
  t.notMatch(audit + world.log.texts.join(''), /canary|eyJ/)
})

t.test('a key whose digest changes is gone, and comes back as another one', async t => {
  const world = await startKeyed(t)
  const client = await begin(world, LEAKED)
  await world.setKeys(key('shop', 'another-text'))
  t.match(await client.closed, { code: 4401, reason: 'token_revoked' })
  await world.setKeys(...ALL)
  const token = await world.issue(LEAKED)
  const again = [await begin(world, LEAKED), await begin(world, token)]
  for (const each of again) t.match(await each.finish(), { code: 1000 }, 'what was put back is good again')
})

t.test('a key with other grants is the same: running sessions keep those of their start', async t => {
  const world = await startKeyed(t)
  const client = await begin(world, OTHER)
  await world.setKeys(
    key('clinic', OTHER, { concurrent_sessions: 1, session_seconds: 1, languages: ['de-DE'] }),
  )
  t.equal((await knock(t, world.port, bearer(OTHER))).code, 'forbidden', 'new ones get the new')
  const german = { path: '/v1/stream?language-code=de-DE', ...bearer(OTHER) }
  t.equal((await knock(t, world.port, german)).code, 'session_limit', 'and the running one counts')
  t.match(await client.finish(), { code: 1000 })
})

t.test('a file that is not valid, or gone, revokes nothing', async t => {
  const world = await startKeyed(t)
  const client = await begin(world, LEAKED)
  const path = join(world.auditPath, '..', 'keys.json')
  writeFileSync(path, '{"keys":[{}]}')
  await world.log.waitFor('file not reloaded')
  renameSync(path, `${path}.away`)
  while (world.log.of('file not reloaded').length < 2) await world.log.next()
  t.match(await client.finish(), { code: 1000 })
  t.strictSame(world.log.of('keys revoked'), [])
})

t.test('a session that moves to the key that follows outlives the one before', async t => {
  const world = await startKeyed(t)
  const client = await begin(world, LEAKED)
  client.say({ type: 'Authenticate', token: FRESH })
  await client.waitFor('Authenticated')
  const other = await begin(world, LEAKED)
  await world.setKeys(key('shop', FRESH))
  t.match(await other.closed, { code: 4401, reason: 'token_revoked' })
  t.match(await client.finish(), { code: 1000 })
})

t.test('a session whose client is away ends too', async t => {
  const world = await startKeyed(t)
  const client = await begin(world, LEAKED, 'resume=true')
  client.webSocket.terminate()
  await client.closed
  await world.setKeys(key('shop', FRESH))
  t.match(await world.log.waitFor('session ended'), { reason: 'token_revoked' })
})

t.test('with keyRevocation = continue running sessions go on, and no new one starts', async t => {
  const world = await startKeyed(t, { keyRevocation: 'continue' })
  const client = await begin(world, LEAKED)
  await world.setKeys(key('clinic', OTHER))
  t.equal((await knock(t, world.port, bearer(LEAKED))).code, 'token_invalid')
  client.sendCut(noise(1, 3), 3200)
  t.match(await client.finish(), { code: 1000 })
})
