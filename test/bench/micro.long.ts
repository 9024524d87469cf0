/** Each bench of functions once, as a real process, for seconds: that it runs, checks itself and leaves results. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readResults } from '../../bench/results-format.ts'

/** Rows that comments in src/ name as their reason. */
const NAMED_ROWS = [
  'cold head',
  'memo hit',
  'memo miss',
  'allocUnsafe (',
  'word CRC',
  'message CRC',
  'recycled',
  'mask',
]

/** The sources, so that no test builds dist/ while another one runs it. */
const FLAGS = ['--smoke', '--from=src']

function runBench(file: string, ...args: readonly string[]) {
  return spawnSync(process.execPath, ['--import', 'tsx', file, ...args], { encoding: 'utf8' })
}

const EXPECTED: Readonly<Record<string, { readonly groups: readonly string[]; readonly bars: number }>> = {
  framing: { groups: ['encode', 'decode-audio', 'allocation', 'head', 'memo', 'crc', 'mask'], bars: 4 },
  decode: { groups: ['decode'], bars: 1 },
  'hot-path': { groups: ['session-hop', 'flatten', 'presign', 'metrics'], bars: 0 },
  access: { groups: ['keys', 'jwt'], bars: 2 },
}

for (const [name, { groups, bars }] of Object.entries(EXPECTED)) {
  t.test(`the ${name} bench runs, and every row of it gives the right answer`, t => {
    const output = t.testdir({})
    const { status, stdout, stderr } = runBench(`bench/micro/${name}.ts`, ...FLAGS, `--output=${output}`)
    t.equal(status, 0, stderr)
    const results = readResults(join(output, `${name}.json`))
    t.same(
      results.groups.map(({ id }) => id),
      groups,
    )
    t.equal(results.bars.length, bars)
    t.equal(results.isSmoke, true)
    for (const { id, rows } of results.groups) {
      t.ok(
        rows.length > 0 && rows.every(({ figures }) => (figures['time']?.median ?? 0) > 0),
        `${id} has figures`,
      )
    }
    const ids = results.groups.flatMap(({ rows }) => rows.map(({ id }) => id))
    for (const named of name === 'framing' ? NAMED_ROWS : []) {
      t.ok(
        ids.some(id => id.includes(named)),
        `has a row ${named}`,
      )
    }
    for (const { title } of results.groups) t.ok(stdout.includes(title), `prints ${title}`)
    t.end()
  })
}

t.test('a wrong answer disqualifies: the row is named, the run fails, nothing is written', t => {
  const output = t.testdir({})
  const { status, stderr } = runBench('test/bench/wrong-answer.ts', ...FLAGS, `--output=${output}`)
  t.equal(status, 1)
  t.match(stderr, 'sums/wrong/1 is disqualified')
  t.notMatch(stderr, 'sums/right/1 is disqualified')
  t.same(readdirSync(output), [])
  t.end()
})

t.test('smoke leaves nothing in the results, and too few repeats are refused', t => {
  const { status, stderr } = runBench('test/bench/wrong-answer.ts', '--repeats=4', '--from=src')
  t.equal(status, 64)
  t.match(stderr, '--repeats must be from 5 to 100, got 4')
  t.notOk(existsSync('bench/results/wrong-answer.json'))
  t.end()
})
