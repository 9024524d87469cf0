/**
 * Drives the listener with the fuzzing client of the Autobahn test suite, which is not a package of this project:
 *
 *     npm run conformance -- --suite path/to/wstest                     twenty seconds
 *     npm run conformance -- --suite path/to/wstest --out reports       keeps the whole report, as HTML too
 *
 * `docs/conformance.md` says how to get it. Exit code 1 for a case that is neither OK nor a known deviation, 2 if the suite
 * cannot be run.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { Cleanup } from '../support/cleanup.ts'
import { DEVIATIONS, EXCLUDED_CASES, EXPECTED_CASES } from './deviations.ts'
import { judgeReport, readReport } from './report.ts'
import { startEchoTarget } from './target.ts'

const AGENT = 'transcribe-relay'
const MOST_MS = 10 * 60_000
const MOST_OUTPUT_BYTES = 16 * 1024 * 1024

const { values } = parseArgs({ options: { suite: { type: 'string' }, out: { type: 'string' } } })
const cleanup = new Cleanup()
try {
  if (values.suite === undefined) throw new Error('--suite must name the program wstest')
  process.exitCode = await runConformance(values.suite, values.out ?? null)
} catch (error) {
  say(`the suite did not run: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 2
} finally {
  await cleanup.run()
}

async function runConformance(suite: string, out: string | null): Promise<number> {
  const folder = out === null ? makeFolder() : resolve(out)
  mkdirSync(folder, { recursive: true })
  const target = await startEchoTarget(cleanup)
  const spec = join(folder, 'spec.json')
  writeFileSync(spec, JSON.stringify(describeRun(target.url, folder)))
  const index = join(folder, 'index.json')
  rmSync(index, { force: true })
  const { stdout } = await promisify(execFile)(suite, ['--mode', 'fuzzingclient', '--spec', spec], {
    cwd: folder,
    timeout: MOST_MS,
    maxBuffer: MOST_OUTPUT_BYTES,
  })
  const [version = 'a suite that does not say its version'] =
    /Autobahn Testsuite Version [^)\n]*/.exec(stdout) ?? []
  say(`${version}; ${target.build}; Node.js ${process.version}`)
  const expectations = { caseCount: EXPECTED_CASES, deviations: DEVIATIONS }
  const { counts, deviating, problems } = judgeReport(
    readReport(readFileSync(index, 'utf8'), AGENT),
    expectations,
  )
  for (const { id, says, reason } of deviating) {
    if (!says.startsWith('UNIMPLEMENTED')) say(`${id} ${says}: ${reason ?? 'not known'}`)
  }
  say(
    Object.entries(counts)
      .map(([behaviour, count]) => `${behaviour} ${count}`)
      .join(', '),
  )
  const failures = target.failures.map(failure => `the target failed: ${String(failure)}`)
  for (const problem of [...problems, ...failures]) say(`FAILED: ${problem}`)
  return problems.length + failures.length === 0 ? 0 : 1
}

function describeRun(url: string, outdir: string): object {
  return {
    outdir,
    servers: [{ agent: AGENT, url }],
    cases: ['*'],
    'exclude-cases': EXCLUDED_CASES,
    'exclude-agent-cases': {},
  }
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'relay-conformance-'))
  cleanup.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
