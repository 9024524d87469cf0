/** `stream --resume` where several processes share the port, and only one of them has the session. */
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { streamAudio } from '../../src/cli/thin-client.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { startWorkerPair } from '../support/worker-pair.ts'

/** With 16 processes, 1 client in 600 meets its own later than this. */
const WRONG_ANSWERS = 100

async function comeBack(t: Test, wrongAnswers: number) {
  const { first, second, proxy } = await startWorkerPair(t)
  const clock = new ManualClock()
  let tries = 0
  /** The client is back, or has given up: no more audio is needed. */
  const over = new AbortController()
  const outcome = await streamAudio(
    {
      url: `ws://127.0.0.1:${proxy.port}/v1/stream?resume=true`,
      token: null,
      chunks: (async function* () {
        yield Buffer.alloc(3200)
        while (!over.signal.aborted) await setImmediate()
      })(),
      bytesPerSecond: 32_000,
      speed: Infinity,
      connectTimeoutMs: 5000,
      endTimeoutMs: 20_000,
      resume: { random: () => 0.999 },
    },
    {
      onMessage: ({ type }) => {
        if (type === 'Resumed') over.abort()
        if (type !== 'Begin') return
        proxy.leadTo(second.port)
        proxy.cut()
      },
      onAudioSent: () => {},
      onReconnect: waitMs => {
        tries += 1
        // The first try is that after the loss, the last the one that leads home.
        if (tries > wrongAnswers) proxy.leadTo(first.port)
        queueMicrotask(() => clock.advance(waitMs))
      },
    },
    clock,
  )
  over.abort()
  return { outcome, tries, waitedMs: clock.monotonicMs() }
}

t.test('the client asks again and again until it meets the process that has its session', async t => {
  const { outcome, tries, waitedMs } = await comeBack(t, WRONG_ANSWERS)
  t.match(outcome, { kind: 'done', end: { type: 'End' }, statistics: { reconnects: 1 } })
  t.equal(tries, WRONG_ANSWERS + 1)
  t.ok(waitedMs >= WRONG_ANSWERS * 100, `not before the relay says, took ${waitedMs} ms`)
})

t.test('it gives up when the window of the relay is over', async t => {
  const { outcome, tries, waitedMs } = await comeBack(t, Infinity)
  t.match(outcome, { kind: 'failed', failure: { code: 'resume_elsewhere' }, httpStatus: 503 })
  t.ok(tries > WRONG_ANSWERS)
  t.ok(waitedMs < 30_000)
})
