/** A report of the Autobahn test suite is read and judged; the program is run with a suite that only writes a report. */
import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { DEVIATIONS, EXPECTED_CASES } from './deviations.ts'
import { judgeReport, readReport, type Deviation } from './report.ts'

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url))
const OK = { behavior: 'OK', behaviorClose: 'OK' } as const
const NON_STRICT = { behavior: 'NON-STRICT', behaviorClose: 'OK' } as const
/** As the suite writes it. */
const FIXTURE = JSON.stringify({
  relay: {
    '2.10': { ...OK, duration: 2, remoteCloseCode: 1000, reportfile: 'relay_case_2_10.json' },
    '2.9': { ...OK, duration: 1, remoteCloseCode: 1000, reportfile: 'relay_case_2_9.json' },
    '12.1.1': { ...OK, behavior: 'UNIMPLEMENTED', duration: 0, remoteCloseCode: 1000, reportfile: 'x.json' },
    '7.13.1': {
      behavior: 'INFORMATIONAL',
      behaviorClose: 'INFORMATIONAL',
      duration: 0,
      remoteCloseCode: null,
    },
    '6.4.1': { ...NON_STRICT, duration: 2004, remoteCloseCode: null, reportfile: 'relay_case_6_4_1.json' },
  },
})
const KNOWN: readonly Deviation[] = [
  { cases: ['6.4.1'], behaviour: 'NON-STRICT', isConstant: true, reason: 'checked late' },
  { cases: ['7.13.1'], behaviour: 'INFORMATIONAL', isConstant: true, reason: 'left open' },
  { cases: ['12.*'], behaviour: 'UNIMPLEMENTED', isConstant: true, reason: 'not offered' },
  { cases: ['2.9'], behaviour: 'NON-STRICT', isConstant: false, reason: 'now and then' },
]

t.test('a report whose deviations are all known has no problem', async t => {
  const verdict = judgeReport(readReport(FIXTURE, 'relay'), { caseCount: 5, deviations: KNOWN })
  t.strictSame(verdict, {
    counts: { OK: 2, 'NON-STRICT': 1, INFORMATIONAL: 1, UNIMPLEMENTED: 1, FAILED: 0 },
    deviating: [
      { id: '6.4.1', says: 'NON-STRICT', reason: 'checked late' },
      { id: '7.13.1', says: 'INFORMATIONAL, close INFORMATIONAL', reason: 'left open' },
      { id: '12.1.1', says: 'UNIMPLEMENTED', reason: 'not offered' },
    ],
    problems: [],
  })
})

t.test('what nobody knows of is a problem, and so is a deviation that is gone', async t => {
  const fixture = readReport(FIXTURE, 'relay')
  const changes: [Record<string, (typeof fixture)[string]>, string[]][] = [
    [{ '2.9': NON_STRICT }, []],
    [{ '2.10': NON_STRICT }, ['2.10 is NON-STRICT']],
    [{ '2.9': { ...OK, behavior: 'FAILED' } }, ['2.9 is FAILED']],
    [{ '6.4.1': { ...NON_STRICT, behavior: 'FAILED' } }, ['6.4.1 is FAILED']],
    [{ '6.4.1': { ...NON_STRICT, behaviorClose: 'UNCLEAN' } }, ['6.4.1 is NON-STRICT, close UNCLEAN']],
    [{ '2.10': { ...OK, behaviorClose: 'WRONG CODE' } }, ['2.10 is OK, close WRONG CODE']],
    [{ '6.4.1': OK }, ['6.4.1 is OK: it is not a deviation any more']],
    [{ '1.1.1': OK }, ['5 cases were expected, the report has 6']],
  ]
  for (const [change, problems] of changes) {
    const verdict = judgeReport({ ...fixture, ...change }, { caseCount: 5, deviations: KNOWN })
    t.strictSame(verdict.problems, problems, JSON.stringify(change))
  }
})

t.test('what is not a report is told', async t => {
  t.throws(() => readReport(FIXTURE, 'another'), { message: 'the report has nothing about "another"' })
  for (const json of ['', '[]', '{"relay":{"1.1":{"behavior":"GREAT","behaviorClose":"OK"}}}']) {
    t.throws(() => readReport(json, 'relay'), json)
  }
})

t.test('every known deviation has a reason, and no case stands twice', async t => {
  const cases = DEVIATIONS.flatMap(deviation => deviation.cases)
  t.equal(new Set(cases).size, cases.length)
  t.ok(DEVIATIONS.every(({ reason }) => reason.length > 20))
})

t.test('the program ends with 1 for a bad case, with 2 without a report', async t => {
  const folder = t.testdir()
  const run = (script: string): { status: number | null; stdout: string } => {
    const suite = join(folder, 'suite')
    writeFileSync(suite, `#!/usr/bin/env node\n${script}`)
    chmodSync(suite, 0o755)
    const args = ['--import', 'tsx', MAIN, '--suite', suite, '--out', join(folder, 'out')]
    return spawnSync(process.execPath, args, { encoding: 'utf8' })
  }
  const bad = run(`
    const { readFileSync, writeFileSync } = require('node:fs')
    const { outdir, servers: [{ agent, url }] } = JSON.parse(readFileSync(process.argv.at(-1)))
    if (!/^ws:\\/\\/127\\.0\\.0\\.1:\\d+\\/v1\\/stream$/.test(url)) throw new Error(url)
    console.log('Autobahn Fuzzing WebSocket Client (Autobahn Testsuite Version 0 / Autobahn Version 1)')
    const report = { [agent]: { '1.1.1': { behavior: 'FAILED', behaviorClose: 'OK' } } }
    writeFileSync(outdir + '/index.json', JSON.stringify(report))
  `)
  t.equal(bad.status, 1)
  t.match(bad.stdout, /^Autobahn Testsuite Version 0 \/ Autobahn Version 1; uWebSockets/)
  t.match(
    bad.stdout,
    `FAILED: ${EXPECTED_CASES} cases were expected, the report has 1\nFAILED: 1.1.1 is FAILED\n`,
  )
  t.match(run(''), { status: 2, stdout: /did not run/ }, 'an older report does not count')
  t.match(run('process.exit(3)'), { status: 2, stdout: /did not run/ })
})
