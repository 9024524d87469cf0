/** `npm run chaos -- --sessions 100 --minutes 10 --speed 10 --kill-every 3 --seed 1`; ends with 1 if anything is wrong. */
import { parseArgs } from 'node:util'
import { Cleanup } from '../support/cleanup.ts'
import { runChaos } from './chaos.ts'

const { values } = parseArgs({
  options: {
    sessions: { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10' },
    speed: { type: 'string', default: '10' },
    'kill-every': { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
  },
})

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

const cleanup = new Cleanup()
say(`chaos with --seed ${values.seed}`)
try {
  const report = await runChaos(cleanup, {
    sessions: Number(values.sessions),
    audioSeconds: Number(values.minutes) * 60,
    speed: Number(values.speed),
    killEverySeconds: Number(values['kill-every']),
    seed: Number(values.seed),
  })
  const { problems, ...figures } = report
  say(JSON.stringify(figures, null, 2))
  for (const problem of problems) say(`FAILED: ${problem}`)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  await cleanup.run()
}
