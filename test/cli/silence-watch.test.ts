/** `stream --resume` on a connection that dies without a word. */
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { MAX_SILENT_TURNS, SilenceWatch, TURN_MS } from '../../src/cli/silence-watch.ts'
import { streamAudio } from '../../src/cli/thin-client.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startWorld } from '../support/world.ts'

t.test('a sign of life is asked for in silence only, and any sign is enough', async t => {
  const clock = new ManualClock()
  const events: string[] = []
  const watch = new SilenceWatch(clock, {
    watchOnSilence: () => events.push('ask'),
    watchOnLost: () => events.push('lost'),
  })
  watch.start()
  watch.start()
  for (let turn = 0; turn < 10; turn += 1) {
    clock.advance(TURN_MS)
    watch.heard()
  }
  t.strictSame(events, [], 'a connection on which something comes is left alone')
  clock.advance(MAX_SILENT_TURNS * TURN_MS)
  t.strictSame(events, ['ask', 'ask'])
  watch.heard()
  clock.advance(MAX_SILENT_TURNS * TURN_MS)
  t.strictSame(events, ['ask', 'ask', 'ask', 'ask'])
  clock.advance(TURN_MS)
  t.equal(events.at(-1), 'lost')
  t.equal(clock.pendingTimers, 0)
  watch.start()
  clock.advance(TURN_MS)
  t.equal(events.length, 5, 'begins anew')
  watch.stop()
  t.equal(clock.pendingTimers, 0)
})

t.test('the client leaves a dead connection and goes on with another', async t => {
  const world = await startWorld(t)
  const proxy = await CuttingProxy.start(t, world.port)
  const clock = new ManualClock()
  const back = new AbortController()
  const waits: number[] = []
  const running = streamAudio(
    {
      url: `ws://127.0.0.1:${proxy.port}/v1/stream?resume=true`,
      token: null,
      chunks: (async function* () {
        yield Buffer.alloc(3200, 1)
        while (!back.signal.aborted) await setImmediate()
        yield Buffer.alloc(3200, 2)
      })(),
      bytesPerSecond: 32_000,
      speed: Infinity,
      connectTimeoutMs: 5000,
      endTimeoutMs: 60_000,
      resume: { random: () => 0.5 },
    },
    {
      onMessage: ({ type }) => {
        if (type === 'Resumed') back.abort()
        if (type !== 'Begin') return
        proxy.freeze()
        // Nothing is said or asked in the first turn.
        clock.advance((MAX_SILENT_TURNS + 1) * TURN_MS)
      },
      onAudioSent: () => {},
      onReconnect: waitMs => {
        waits.push(waitMs)
        queueMicrotask(() => clock.advance(waitMs))
      },
    },
    clock,
  )
  const outcome = await running
  t.match(outcome, { kind: 'done', end: { audio_seconds: 0.2 }, statistics: { reconnects: 1 } })
  t.equal(waits.length, 1)
  t.equal(clock.pendingTimers, 0)
})
