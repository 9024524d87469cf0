/**
 * A client that comes back over a link slower than what it missed is long, between real sockets: the relay itself fills the
 * socket then, and does not take that for a client that does not read.
 */
import t from 'tap'
import { createFinalsEngine } from '../support/finals-engine.ts'
import { noise } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const SOFT_BUFFER_BYTES = 8_388_608
const TEXT_BYTES = 30_000
const FINALS_A_CHUNK = 10
const CHUNK_BYTES = 3200
const ROUND_CHUNKS = Math.floor(SOFT_BUFFER_BYTES / ((TEXT_BYTES + 1000) * FINALS_A_CHUNK))

t.test('live results that come on top of a long backlog are no reason to end the session', async t => {
  const engine = createFinalsEngine({ finalsPerWrite: FINALS_A_CHUNK, textBytes: TEXT_BYTES })
  const world = await startWorld(t, {
    emulator: { engine },
    relay: {
      clientSoftBufferBytes: SOFT_BUFFER_BYTES,
      clientHardBufferBytes: 2 * SOFT_BUFFER_BYTES,
      resumeBufferBytes: 2 * SOFT_BUFFER_BYTES,
    },
  })
  const audio = noise(ROUND_CHUNKS / 10, 4)
  const finals = async () => (await world.scrape()).get('results_total{kind="final"}') ?? 0
  const first = await world.connect('resume=true')
  const { resume_token: token } = await first.waitFor('Begin')
  first.sendCut(audio, CHUNK_BYTES)
  await first.until(() => first.finals.length === ROUND_CHUNKS * FINALS_A_CHUNK)
  first.webSocket.terminate()

  const back = await world.connect(`resume_token=${String(token)}&seq=1`)
  back.webSocket.pause()
  back.sendCut(audio, CHUNK_BYTES)
  const total = 2 * ROUND_CHUNKS * FINALS_A_CHUNK
  while ((await finals()) < total && world.relay.activeSessions > 0) {
    // Each look waits for the answer of the other port.
  }
  t.equal(world.relay.activeSessions, 1)
  back.webSocket.resume()
  t.match(await back.finish(), { code: 1000, reason: 'normal' })
  t.strictSame(
    back.finals.map(({ seq }) => seq),
    Array.from({ length: total }, (_, index) => index + 2),
  )
})
