import t from 'tap'
import { readDocuments } from '../../scripts/docs.ts'
import { ERROR_CODES } from '../../src/errors.ts'
import { LOG_LEVELS } from '../../src/log.ts'
import type { MetricDefinition } from '../../src/metrics/definitions.ts'
import { METRICS } from '../../src/metrics/definitions.ts'
import { VIOLATION_CODES } from '../../src/server/metrics.ts'
import { CONNECT_REASONS } from '../../src/upstream/connect-failure.ts'

const LISTS = { connectReasons: CONNECT_REASONS, violationReasons: VIOLATION_CODES }
const DEFINITIONS = Object.values<MetricDefinition>(METRICS)

t.test('names follow the rules of Prometheus: base units, _total for counters alone (OB-02)', async t => {
  for (const { name, type, help } of DEFINITIONS) {
    t.match(name, /^[a-z]+(_[a-z]+)*$/)
    t.equal(name.endsWith('_total'), type === 'counter', name)
    t.notMatch(name, /_(ms|milliseconds|minutes|hours|kb|kilobytes|percent|count|sum|bucket)(_|$)/)
    if (type === 'histogram') t.match(name, /_seconds$/)
    t.match(help, /^[A-Z0-9].*\.$/, `${name} has a sentence`)
  }
  t.equal(new Set(DEFINITIONS.map(({ name }) => name)).size, DEFINITIONS.length)
})

t.test('labels are few, closed and harmless; no combination occurs twice', async t => {
  for (const { name, series } of DEFINITIONS) {
    const labels = series?.(LISTS) ?? []
    t.ok(labels.length <= ERROR_CODES.length + 1, `${name} has ${labels.length} series`)
    t.equal(new Set(labels.map(each => JSON.stringify(each))).size, labels.length)
    for (const each of labels) {
      t.same(Object.keys(each), Object.keys(labels[0] ?? {}))
      for (const value of Object.values(each)) t.match(value, /^[A-Za-z0-9_-]+$/)
    }
  }
})

t.test('buckets rise, and there are at most ten', async t => {
  for (const { name, type, buckets } of DEFINITIONS) {
    t.equal(buckets !== undefined, type === 'histogram', name)
    if (buckets === undefined) continue
    t.same(
      [...buckets].sort((a, b) => a - b),
      buckets,
    )
    t.ok(buckets.length <= 10)
  }
})

t.test('log levels are those of the log', async t => {
  t.same(
    METRICS.logLines.series().map(({ level }) => level),
    LOG_LEVELS,
  )
})

t.test('docs/metrics.md is what the table says (node --import tsx scripts/docs.ts writes it)', async t => {
  const document = readDocuments().find(({ name }) => name === 'metrics.md')
  t.equal(document?.actual, document?.expected)
  for (const { name } of DEFINITIONS)
    t.ok(document?.actual.includes(`| \`transcribe_relay_${name}\` |`), name)
  for (const row of document?.actual.split('\n').filter(line => line.startsWith('|')) ?? []) {
    t.equal(row.split('|').length, 6, row)
  }
})
