/** A client whose network is gone sends no FIN: nothing comes, and pings are not answered. Takes the time-out's eight seconds. */
import t from 'tap'
import { withNeighbour } from '../support/fault-watch.ts'
import { encodeFrame, OPCODE, RawSocket } from '../support/raw-socket.ts'
import { noise } from '../support/speech.ts'
import { startWorld } from '../support/world.ts'

const IDLE_SECONDS = 8
/** The native socket counts idle time in steps of four seconds. */
const STEP_SECONDS = 4

t.test('CL-03 a client that answers no ping is gone within the idle time-out', async t => {
  const world = await startWorld(t, { relay: { idleTimeoutSeconds: IDLE_SECONDS } })
  await withNeighbour(t, world, async () => {
    const raw = await RawSocket.open(world.port)
    t.teardown(() => raw.destroy())
    raw.write(encodeFrame({ opcode: OPCODE.binary, payload: noise(0.1, 1) }))
    const startedMs = performance.now()
    const ended = await world.log.waitFor('session ended')
    const silentSeconds = (performance.now() - startedMs) / 1000
    t.match(ended, { reason: 'ping_timeout', class: 'client_gone', audio_bytes: 3200 })
    t.ok(silentSeconds <= IDLE_SECONDS + STEP_SECONDS, `after ${silentSeconds.toFixed(1)} s`)
    t.ok(
      raw.frames.some(({ opcode }) => opcode === OPCODE.ping),
      'it was asked',
    )
    t.equal(raw.frames.filter(({ opcode }) => opcode === OPCODE.close).length, 0)
    t.match(await world.emulator.waitForStream(record => record.audioBytes === 3200 && !record.isLive), {
      isEnded: true,
    })
  })
})
