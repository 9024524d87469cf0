/** The soak for some seconds; `npm run soak` runs it for as long as one likes. */
import t from 'tap'
import { judgeSoak, type SoakSample } from './judge.ts'
import { runSoak } from './soak.ts'
import { createRandom } from '../support/random.ts'

const seed = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))

/** Half an hour, a sample a minute, 1000 sessions each; memory with the noise of a real process. */
function halfHour(change: (minute: number, sample: SoakSample) => Partial<SoakSample>): SoakSample[] {
  const random = createRandom(seed)
  return Array.from({ length: 30 }, (_, minute) => {
    const sample: SoakSample = {
      seconds: minute * 60,
      sessions: minute * 1000,
      liveBytes: 25e6 + random() * 2e5,
      rssBytes: 140e6 + random() * 2e6,
      descriptors: 30,
      resources: { PipeWrap: 2 },
      listeners: 8,
    }
    return { ...sample, ...change(minute, sample) }
  })
}

t.test(`what grows is told from what does not, TEST_SEED=${seed}`, async t => {
  const flat = judgeSoak(halfHour(() => ({})))
  t.strictSame(flat.problems, [])
  t.ok(Math.abs(flat.live.mbPerHour) < 1 && flat.live.uncertainty < 1, JSON.stringify(flat.live))
  const warming = judgeSoak(
    halfHour((minute, { liveBytes }) => ({ liveBytes: liveBytes - (minute < 8 ? 4e6 : 0) })),
  )
  t.strictSame(warming.problems, [], 'the warm-up does not count')
  const interrupted = judgeSoak(
    halfHour((minute, { liveBytes }) => ({ liveBytes: liveBytes + (minute % 10 === 9 ? 16e6 : 0) })),
  )
  t.strictSame(interrupted.problems, [], 'nor do single samples, the last one among them')

  const leaks: [Parameters<typeof halfHour>[0], RegExp][] = [
    [(minute, { liveBytes }) => ({ liveBytes: liveBytes + minute * 1e5 }), /live memory grows by [56]\.\d/],
    [(minute, { rssBytes }) => ({ rssBytes: rssBytes + minute * 1e6 }), /RSS grows by [56]\d/],
    [
      (minute, { liveBytes }) => ({ liveBytes: liveBytes + minute * 5e5 }),
      /each of 19000 sessions left [45]\d\d ± \d+ bytes/,
    ],
    [minute => ({ descriptors: 30 + minute }), /descriptors went from 40 to 59/],
    [minute => ({ listeners: 8 + minute }), /listeners went from 18 to 37/],
    [minute => ({ resources: { Timeout: minute } }), /Timeout went from 10 to 29/],
  ]
  for (const [change, expected] of leaks) t.match(judgeSoak(halfHour(change)).problems.join(), expected)
  t.throws(() => judgeSoak(halfHour(() => ({})).slice(0, 4)), RangeError)
})

t.test('LC-09 20 clients that come and go: nothing of them is left', { timeout: 90_000 }, async t => {
  const { problems, ...report } = await runSoak(t, {
    sessions: 20,
    seconds: 12,
    sampleEverySeconds: 1,
    seed,
    log: line => t.comment(line),
  })
  // Memory of some seconds is that of a process that still warms up: the soak of CI is for that.
  t.strictSame(
    problems.filter(problem => !/^live memory|^RSS|^each of/.test(problem)),
    [],
  )
  t.ok(report.started >= 20 * 6, `${report.started} sessions`)
  t.comment(JSON.stringify(report))
})
