import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { barOf, figureOf, quantile, readResults, writeResults } from '../../bench/results-format.ts'
import { benchResults } from '../support/bench-results.ts'

t.test('a figure is the median of its repeats, with their spread', t => {
  t.same(figureOf('ns', [5, 1, 4, 2, 3]), {
    unit: 'ns',
    values: [5, 1, 4, 2, 3],
    median: 3,
    min: 1,
    max: 5,
    iqr: 2,
  })
  t.equal(figureOf('ms', [1, 2]).median, 1.5, 'between the two in the middle')
  t.equal(figureOf('µs', [7]).iqr, 0)
  t.equal(figureOf('ns', [1234.56789]).median, 1234.57, 'six digits')
  t.equal(quantile([10, 20, 30, 40], 0.25), 17.5)
  t.end()
})

t.test('what was not measured is no figure', t => {
  for (const values of [[], [1, Number.NaN], [Infinity]]) t.throws(() => figureOf('ns', values), RangeError)
  t.end()
})

function judge(relation: 'at least' | 'at most', limit: number): boolean {
  return barOf({ id: 'b', title: 'b', relation, limit, figure: figureOf('×', [1, 2, 9]), explanation: [] })
    .reached
}

t.test('a bar is judged by the median, the limit included', t => {
  t.ok(judge('at least', 2))
  t.notOk(judge('at least', 2.1))
  t.ok(judge('at most', 2))
  t.notOk(judge('at most', 1.9))
  t.end()
})

t.test('results come back as they were written, with the machine they are of', async t => {
  const directory = t.testdir({})
  const { formatVersion: _version, name, environment: _environment, ...payload } = benchResults()
  const path = await writeResults(name, payload, directory)
  t.equal(path, join(directory, 'framing.json'))
  t.same(readdirSync(directory), ['framing.json'], 'nothing half-written beside it')
  const { environment, ...results } = readResults(path)
  t.same(results, { formatVersion: 1, name, ...payload })
  t.match(environment, {
    commit: /^[0-9a-f]{12}$|^unknown$/,
    date: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/,
    node: process.version,
    cpu: String,
    kernel: String,
  })
  t.ok(environment.cores > 0 && environment.memoryBytes > 0 && environment.loadAverage >= 0)
})

t.test('a name that is no file name, and a file of another format, are refused', async t => {
  const directory = t.testdir({})
  const { formatVersion: _version, name, environment: _environment, ...payload } = benchResults()
  for (const bad of ['', '../up', 'Upper', 'a.json']) {
    await t.rejects(writeResults(bad, payload, directory), RangeError)
  }
  const path = await writeResults(name, payload, directory)
  writeFileSync(path, readFileSync(path, 'utf8').replace('"formatVersion": 1', '"formatVersion": 99'))
  t.throws(() => readResults(path), /has format version 99/)
})
