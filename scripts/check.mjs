/**
 * The whole check of a working tree, as CI runs it: types, lint, format, tests, coverage. Ends with one plain line,
 * `N passed, N failed`; exit code 0 only if nothing failed.
 *
 * `node scripts/check.mjs [test file…]` runs the tests named alone, without the coverage floor; `--long` names those of
 * `*.long.ts`, which take longer than one waits for: real time, whole benches, a bad network.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'

/** Least coverage of src/ over all tests, per cent. Raise it when it rises; never lower it to get through. */
const COVERAGE_FLOOR = { lines: 95, branches: 90, functions: 95 }

/** Of what is said of one failed assertion. */
const REASON_LINES = 40

const RESULTS_FILE = '.tap/results.tap'
const V8_COVERAGE_DIR = '.tap/v8'
const COVERAGE_DIR = '.tap/coverage-report'

/** A module without any is types only: nothing of it runs, so nothing of it can be covered. */
const RUNTIME_CODE = /^(?:export )?(?:const|let|class|function|async function|abstract class|export \{)/m

const [first] = process.argv.slice(2)
const isLong = first === '--long'
const testFiles = isLong ? longTests() : process.argv.slice(2)
const failures = []
/** What the tests that failed said of it. */
const reasons = []
let passedCount = 0

if (!isLong) {
  step('types', 'tsc', ['--noEmit'])
  step('lint', 'oxlint', ['--type-aware', '--deny-warnings'])
  step('format', 'prettier', ['--check', '--log-level=warn', '.'])
}
if (!existsSync('.tap/plugins')) step('test runner', 'tap', ['build'])
runTests()
if (testFiles.length === 0) checkCoverage()

for (const reason of reasons) process.stdout.write(`${reason}\n`)
for (const failure of failures) process.stdout.write(`FAILED: ${failure}\n`)
process.stdout.write(`${passedCount} passed, ${failures.length} failed\n`)
process.exitCode = failures.length === 0 ? 0 : 1

function longTests() {
  return readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.long.ts'))
    .map(name => `test/${name}`)
}

function step(name, command, args) {
  const startedMs = performance.now()
  const { status, error } = spawnSync(`node_modules/.bin/${command}`, args, { stdio: 'inherit' })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  if (status === 0) passedCount += 1
  else failures.push(`${name}${error === undefined ? '' : ` (${error.message})`}`)
  process.stdout.write(`${status === 0 ? 'ok' : 'not ok'} - ${name} (${seconds} s)\n`)
}

/**
 * Counts the tests inside the files: TAP lines at the first level of indentation. Coverage is collected by Node.js itself,
 * in every process of the tests: the one of tap does not see through the loader.
 */
function runTests() {
  rmSync(V8_COVERAGE_DIR, { recursive: true, force: true })
  rmSync(RESULTS_FILE, { force: true })
  const args = [`--output-file=${RESULTS_FILE}`, '--reporter=terse', '--disable-coverage', ...testFiles]
  const env = testFiles.length === 0 ? { ...process.env, NODE_V8_COVERAGE: V8_COVERAGE_DIR } : process.env
  const { status } = spawnSync('node_modules/.bin/tap', args, { stdio: 'inherit', env })
  const results = existsSync(RESULTS_FILE) ? readFileSync(RESULTS_FILE, 'utf8') : ''
  reasons.push(...readReasons(results))
  let file = ''
  let failedCount = 0
  for (const line of results.split('\n')) {
    const subtest = /^# Subtest: (.+)$/.exec(line)
    if (subtest !== null) file = subtest[1]
    const outcome = /^ {4}(not )?ok \d+(?: - (.*?))?(?: #.*| \{)?$/.exec(line)
    if (outcome === null) continue
    if (outcome[1] === undefined) passedCount += 1
    else {
      failedCount += 1
      failures.push(`${file}: ${outcome[2] ?? 'unnamed'}`)
    }
  }
  if (status !== 0 && failedCount === 0) failures.push(`the test run ended with status ${status}`)
}

/**
 * The first lines of each failed assertion: with the names alone, a failure that comes once in a hundred runs is lost. A
 * `not ok` of a test around it says only where that test stands, and follows upon lines of deeper indentation.
 */
function readReasons(results) {
  const lines = results.split('\n')
  const found = []
  let file = ''
  for (const [index, line] of lines.entries()) {
    file = /^# Subtest: (.+)$/.exec(line)?.[1] ?? file
    const indent = /^( {8,})not ok /.exec(line)?.[1].length
    const before = lines.slice(0, index).findLast(text => text.trim() !== '') ?? ''
    if (indent === undefined || before.startsWith(' '.repeat(indent + 1)) || /^ *1\.\./.test(before)) continue
    const end = lines.findIndex((text, at) => at > index && text.trim() === '...')
    const text = lines.slice(index, Math.min(end + 1, index + REASON_LINES)).map(each => each.slice(indent))
    found.push(`${file}:\n${text.join('\n')}`)
  }
  return found
}

function checkCoverage() {
  const typeOnly = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.ts') && !RUNTIME_CODE.test(readFileSync(`src/${name}`, 'utf8')))
    .map(name => `--exclude=src/${name}`)
  const args = [
    'report',
    `--temp-directory=${V8_COVERAGE_DIR}`,
    `--reports-dir=${COVERAGE_DIR}`,
    '--all',
    '--src=src',
    '--include=src/**/*.ts',
    '--exclude-after-remap',
    ...typeOnly,
    '--reporter=json-summary',
    '--reporter=html',
  ]
  const { status } = spawnSync('node_modules/.bin/c8', args, { stdio: 'inherit' })
  if (status !== 0) {
    failures.push(`coverage: the report ended with status ${status}`)
    return
  }
  const { total } = JSON.parse(readFileSync(`${COVERAGE_DIR}/coverage-summary.json`, 'utf8'))
  for (const [kind, floor] of Object.entries(COVERAGE_FLOOR)) {
    const percent = total[kind].pct
    process.stdout.write(`coverage of ${kind}: ${percent} % (floor ${floor} %)\n`)
    if (percent >= floor) passedCount += 1
    else failures.push(`coverage of ${kind}: ${percent} %, must be at least ${floor} %`)
  }
}
