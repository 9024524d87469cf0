/**
 * K8-11: three relay processes behind HAProxy are restarted one after the other under load. No new session fails, and every old one
 * ends with its finals: 1000 if it ends by itself while its relay drains, 1012 if it does not.
 *
 * ROLLING_SESSIONS=300 runs it at full size.
 */
import t from 'tap'
import { startEmulatorProcess } from '../support/emulator-process.ts'
import { freePort, hasHaproxy, startHaproxy } from '../support/haproxy.ts'
import { RelayClient } from '../support/relay-client.ts'
import { startRelayProcess, type RelayProcess } from '../support/relay-process.ts'
import { readSpeech } from '../support/speech.ts'

const SESSIONS = Number(process.env['ROLLING_SESSIONS'] ?? 60)
const RELAYS = 3
/** One in so many of the old sessions does not heed `Draining`. */
const DEAF_EVERY = 5
const NEW_SESSION_MS = Math.max(20, 6000 / SESSIONS)
const CHUNK_BYTES = 3200
const OPEN_AT_ONCE = 20

const [, speech] = readSpeech()
if (speech === undefined) throw new Error('the recordings are missing')
const { pcm, words } = speech
const pause = Buffer.alloc(32_000)
const twoSentences = [...words, ...words]

t.test(`a rolling restart under ${SESSIONS} sessions`, { timeout: 120_000 }, async t => {
  if (!hasHaproxy) {
    const text = 'haproxy is not installed; nothing was checked'
    if (process.env['CI'] === 'true') t.fail(text)
    else t.comment(text)
    return
  }
  const emulator = await startEmulatorProcess(t)
  const flags = {
    endpoint: emulator.url,
    'max-sessions': SESSIONS * 4,
    'drain-timeout-ms': 3000,
  }
  const startAt = (ports: Readonly<Record<string, number>>): Promise<RelayProcess> =>
    startRelayProcess(t, { flags: { ...flags, ...ports } })
  const relays = await Promise.all(
    Array.from({ length: RELAYS }, async () =>
      startAt({ port: await freePort(), 'ops-port': await freePort() }),
    ),
  )
  const port = await startHaproxy(t, t.testdir(), relays)
  const url = `ws://127.0.0.1:${port}/v1/stream`

  // The old sessions: one sentence said, with its final; the other one comes when they are told to move, or never.
  const old: RelayClient[] = []
  for (let begun = 0; begun < SESSIONS; begun += OPEN_AT_ONCE) {
    const batch = Array.from({ length: Math.min(OPEN_AT_ONCE, SESSIONS - begun) }, async () => {
      const client = await RelayClient.open(t, url)
      client.sendCut(pcm, CHUNK_BYTES)
      client.sendCut(pause, CHUNK_BYTES)
      await client.until(() => client.finals.length > 0)
      return client
    })
    old.push(...(await Promise.all(batch)))
  }
  const oldEnds = old.map(async (client, index) => {
    const isDeaf = index % DEAF_EVERY === 0
    await client.until(() => client.of('Draining').length > 0)
    client.sendCut(pcm, CHUNK_BYTES)
    const { code, reason } = isDeaf ? await client.closed : await client.finish()
    return { isDeaf, end: `${code} ${reason}`, isWhole: sameWords(client.words(), twoSentences) }
  })
  const spread = await Promise.all(
    relays.map(async relay => (await relay.scrape()).get('sessions_active') ?? 0),
  )
  t.equal(
    spread.reduce((sum, count) => sum + count, 0),
    SESSIONS,
  )
  t.ok(
    spread.every(count => count > 0),
    `each relay has its share: ${spread.join(', ')}`,
  )

  // New sessions come all the time.
  const newEnds: Promise<string>[] = []
  const arrivals = setInterval(() => newEnds.push(newSession()), NEW_SESSION_MS)
  t.teardown(() => clearInterval(arrivals))
  async function newSession(): Promise<string> {
    try {
      const client = await RelayClient.open(t, url)
      client.sendCut(pcm, CHUNK_BYTES)
      const { code } = await client.finish()
      return `${code} ${sameWords(client.words(), words) ? 'whole' : 'words are missing'}`
    } catch (error) {
      return String(error)
    }
  }
  const exits: (number | null)[] = []
  for (const relay of relays) {
    exits.push(await relay.stop())
    const next = await startAt({ port: relay.port, 'ops-port': Number(new URL(relay.opsUrl).port) })
    // The last one of the old goes when this one takes sessions.
    while ((await next.scrape()).get('sessions_closed_total{class="ok",reason="normal"}') === 0) {
      await newEnds.at(-1)
    }
  }
  clearInterval(arrivals)
  t.strictSame(exits, [0, 0, 0], 'every relay ended in order')
  const ends = await Promise.all(newEnds)
  t.strictSame(countOf(ends), { '1000 whole': ends.length }, 'no new session failed')
  const hearing = (await Promise.all(oldEnds)).filter(({ isDeaf }) => !isDeaf)
  const deaf = (await Promise.all(oldEnds)).filter(({ isDeaf }) => isDeaf)
  t.strictSame(countOf(hearing.map(({ end }) => end)), { '1000 normal': hearing.length })
  t.strictSame(countOf(deaf.map(({ end }) => end)), { '1012 drain_deadline': deaf.length })
  t.ok(
    [...hearing, ...deaf].every(({ isWhole }) => isWhole),
    'every old session has its finals',
  )
  t.comment(`${old.length} old sessions (${spread.join(', ')}), ${ends.length} new ones`)
})

function sameWords(got: readonly string[], expected: readonly string[]): boolean {
  return got.join(' ') === expected.join(' ')
}

function countOf(texts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const text of texts) counts[text] = (counts[text] ?? 0) + 1
  return counts
}
