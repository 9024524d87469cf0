/** `stream --resume` at a relay that keeps no sessions. */
import { join } from 'node:path'
import t from 'tap'
import { MAX_KEPT_BYTES } from '../../src/cli/resumption.ts'
import { streamAudio } from '../../src/cli/thin-client.ts'
import { systemClock } from '../../src/clock.ts'
import { startCli } from '../support/cli.ts'
import { startWorld } from '../support/world.ts'

t.test('the stream goes on when more audio was sent than is kept for coming back', async t => {
  const world = await startWorld(t, { relay: { resumeSeconds: 0, maxMessageBytes: 1_048_576 } })
  const chunk = Buffer.alloc(524_288, 1)
  const chunkCount = MAX_KEPT_BYTES / chunk.length + 2
  let refusals = 0
  const outcome = await streamAudio(
    {
      url: `${world.url}?resume=true`,
      token: null,
      chunks: (async function* () {
        for (let count = 0; count < chunkCount; count += 1) yield chunk
      })(),
      bytesPerSecond: 32_000,
      speed: Infinity,
      connectTimeoutMs: 5000,
      endTimeoutMs: 20_000,
      resume: { random: () => 0 },
    },
    { onMessage: () => {}, onAudioSent: () => {}, onResumeRefused: () => (refusals += 1) },
    systemClock,
  )
  t.match(outcome, { kind: 'done', end: { type: 'End' } })
  t.equal(outcome.statistics.audioBytes, chunkCount * chunk.length)
  t.equal(refusals, 1)
})

t.test('the command says once that it will not come back', async t => {
  const world = await startWorld(t, { relay: { resumeSeconds: 0 } })
  const folder = t.testdir({ 'a.raw': Buffer.alloc(32_000) })
  for (const format of ['text', 'json']) {
    const flags = ['--resume', '--speed', '20', '--format', format]
    const { result } = startCli(['stream', join(folder, 'a.raw'), '--url', world.url, ...flags])
    const { code, stderr, stdout } = await result
    t.equal(code, 0, stderr)
    t.equal(stderr.match(/keeps no sessions/g)?.length, 1, `with ${format}`)
    t.notMatch(stdout, 'keeps no sessions')
  }
})
