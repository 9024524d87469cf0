/** `npm run soak -- --minutes 30 --sessions 200`; ends with 1 if the relay holds more and more. */
import { parseArgs } from 'node:util'
import { Cleanup } from '../support/cleanup.ts'
import { runSoak } from './soak.ts'

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '30' },
    'sample-every': { type: 'string', default: '' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})
/** A dozen samples at least. */
const MOST_SECONDS_BETWEEN = 30
const LEAST_SAMPLES = 12

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const seconds = Number(values.minutes) * 60
const cleanup = new Cleanup()
say(`soak with --seed ${values.seed}`)
try {
  const { problems, ...report } = await runSoak(cleanup, {
    sessions: Number(values.sessions),
    seconds,
    sampleEverySeconds:
      values['sample-every'] === ''
        ? Math.min(MOST_SECONDS_BETWEEN, seconds / LEAST_SAMPLES)
        : Number(values['sample-every']),
    seed: Number(values.seed),
    log: say,
  })
  say(JSON.stringify(report, null, 2))
  for (const problem of problems) say(`FAILED: ${problem}`)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  await cleanup.run()
}
