/** Laws of the two timelines, of a stream and of the client, against a second, slow way to the same answers. */
import t from 'tap'
import { StreamTimeline } from '../../src/session/stream-timeline.ts'
import { Timeline } from '../../src/session/timeline.ts'
import { createRandom } from '../support/random.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 32))

t.test(`a time of the upstream is found at the position of its audio, TEST_SEED=${seed}`, async t => {
  const random = createRandom(seed)
  for (let round = 0; round < 50; round += 1) {
    const timeline = new StreamTimeline()
    const startSeconds = round % 2 === 0 ? 0 : Math.ceil(random() * 40_000) / 1000
    timeline.startAt(startSeconds)
    /** Stretches of the upstream's stream, and where they are for the client. */
    const pieces: { from: number; to: number; client: number; isSilence: boolean }[] = []
    for (let step = 0; step < 300; step += 1) {
      const seconds = Math.ceil(random() * 400) / 1000
      const from = timeline.upstreamSeconds
      const client = timeline.sentSeconds
      const isSilence = random() < 0.4
      if (isSilence) timeline.addSilence(seconds)
      else timeline.addAudio(seconds)
      pieces.push({ from, to: timeline.upstreamSeconds, client, isSilence })
    }
    let last = 0
    t.equal(timeline.isSame, false)
    for (const { from, to, client, isSilence } of pieces) {
      const middle = (from + to) / 2
      const expected = isSilence ? client : client + middle - from
      const found = timeline.clientTime(middle)
      if (Math.abs(found - expected) > 1e-6) t.fail(`${middle} is ${found}, not ${expected}`)
      if (found < last - 1e-9) t.fail(`${middle} goes back to ${found}`)
      last = found
    }
    t.ok(Math.abs(timeline.clientTime(timeline.upstreamSeconds) - timeline.sentSeconds) < 1e-6)
    t.equal(timeline.clientTime(0), startSeconds)
  }
})

t.test('however often silence was put in, recent times are exact', async t => {
  const timeline = new StreamTimeline()
  for (let index = 0; index < 5000; index += 1) {
    timeline.addAudio(0.5)
    timeline.addSilence(0.1)
    timeline.addSilence(0.1)
  }
  const end = timeline.upstreamSeconds
  t.ok(Math.abs(timeline.clientTime(end - 0.2) - 2500) < 1e-6)
  t.ok(Math.abs(timeline.clientTime(end - 0.45) - 2499.75) < 1e-6)
  // Older than what is kept: still in order.
  t.ok(timeline.clientTime(10) <= timeline.clientTime(20))
  t.ok(Math.abs(timeline.upstreamSeconds - timeline.sentSeconds - 1000) < 1e-6)
})

t.test('the arrival of a position is that of the audio that covers it', async t => {
  for (const chunkSeconds of [0.05, 0.1, 0.2]) {
    const timeline = new Timeline()
    t.equal(timeline.arrivalMs(0), null, 'nothing arrived')
    const count = 101
    for (let chunk = 1; chunk <= count; chunk += 1) timeline.addAudio(chunkSeconds, chunk * 1000)
    for (let chunk = 1; chunk <= count; chunk += 1) {
      const arrival = timeline.arrivalMs(chunk * chunkSeconds - chunkSeconds / 2) ?? 0
      // Positions are marked every 100 ms: half of those chunks share the mark of the next.
      const lateChunks = chunkSeconds === 0.05 ? 1 : 0
      t.ok(arrival >= chunk * 1000 && arrival <= (chunk + lateChunks) * 1000, `chunk ${chunk} at ${arrival}`)
    }
    t.equal(timeline.arrivalMs(1000), count * 1000, 'beyond the end: the last')
    t.equal(timeline.arrivalMs(0), 1000)
  }
})

t.test('what arrived long ago is forgotten', async t => {
  const timeline = new Timeline()
  for (let chunk = 1; chunk <= 1000; chunk += 1) timeline.addAudio(0.1, chunk)
  t.equal(timeline.arrivalMs(1), null)
  t.equal(timeline.arrivalMs(99.95), 1000)
  t.equal(timeline.arrivalMs(75.05), 751)
})
