/** The alert rules of the chart: promtool takes them, each fires when it should and not when it should not. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { findUnknown } from '../support/expressions.ts'
import { hasProgram } from '../support/programs.ts'
import { CAPACITY_CASES } from '../support/rule-cases/capacity.ts'
import { REGION_CASES } from '../support/rule-cases/regions.ts'
import type { FiringCase, RuleCase } from '../support/rule-cases/series.ts'
import { SERVICE_CASES } from '../support/rule-cases/service.ts'
import { STREAM_CASES } from '../support/rule-cases/streams.ts'
import type { AlertRule } from '../support/rules.ts'
import { readRules, RULES_FILE } from '../support/rules.ts'

const TARGET = { namespace: 'live', job: 'relay' } as const
const RULE_CASES = { ...SERVICE_CASES, ...CAPACITY_CASES, ...STREAM_CASES, ...REGION_CASES }
const rules = readRules()

/** A selector with the labels of the target added. */
function withTarget(selector: string): string {
  const target = `namespace="${TARGET.namespace}",job="${TARGET.job}"`
  return selector.includes('{') ? selector.replace('{', `{${target},`) : `${selector}{${target}}`
}

function expectedAlert({ labels, annotations }: AlertRule, { labels: own, description }: FiringCase) {
  const all = Object.entries({ ...(own === null ? {} : TARGET), ...own, ...labels })
  return {
    exp_labels: Object.fromEntries(all.filter(([, value]) => value !== '')),
    exp_annotations: { ...annotations, description },
  }
}

function toUnitTest(rule: AlertRule, { series, at }: RuleCase, expected: readonly unknown[]) {
  return {
    interval: '1m',
    input_series: Object.entries(series).map(([selector, values]) => ({
      series: withTarget(selector),
      values,
    })),
    alert_rule_test: [{ eval_time: at, alertname: rule.alert, exp_alerts: expected }],
  }
}

t.test('every rule has its cases, severity, runbook, and no other', async t => {
  t.strictSame(rules.map(({ alert }) => alert).sort(), Object.keys(RULE_CASES).sort())
  const operations = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  for (const { alert, labels, annotations } of rules) {
    t.match(labels.severity, /^(critical|warning|info)$/, alert)
    t.equal(annotations.runbook_url, `docs/operations.md#${alert.toLowerCase()}`)
    t.match(operations, new RegExp(`^### ${alert}$`, 'm'), `${alert} has a section in docs/operations.md`)
    t.ok(RULE_CASES[alert]?.fires.length, `${alert} is seen firing`)
    t.ok(RULE_CASES[alert]?.quiet.length, `${alert} is seen quiet`)
  }
  const sections = [...operations.matchAll(/^### (TranscribeRelay\w+)$/gm)].map(([, name = '']) => name)
  t.strictSame(
    sections.sort(),
    rules.map(({ alert }) => alert).sort(),
    'no section is left of an alert that is gone',
  )
})

t.test('every metric, label and value that a rule names exists', async t => {
  for (const { alert, expr } of rules) t.strictSame(await findUnknown(expr), [], alert)
  t.strictSame(
    await findUnknown('transcribe_relay_nothing + transcribe_relay_ready{x="1"} + nodejs_none'),
    [
      'transcribe_relay_nothing is not exposed',
      'transcribe_relay_ready has no label x',
      'nodejs_none is not exposed',
    ],
    'and what does not exist is seen',
  )
  t.strictSame(await findUnknown('transcribe_relay_handshakes_total{reason=~"overloaded|nonsense"}'), [
    'transcribe_relay_handshakes_total has no reason nonsense',
  ])
})

t.test('promtool takes the rules', async t => {
  if (!hasProgram(t, 'promtool', 'prometheus')) return
  const { status, stdout, stderr } = spawnSync(
    'promtool',
    ['check', 'rules', '--lint=all', '--lint-fatal', RULES_FILE],
    {
      encoding: 'utf8',
    },
  )
  t.equal(status, 0, stderr)
  t.match(stdout, `${rules.length} rules found`)
})

t.test(
  'each alert fires when it should, with these words, and is quiet when it should be (OB-03)',
  async t => {
    if (!hasProgram(t, 'promtool', 'prometheus')) return
    for (const rule of rules) {
      const cases = RULE_CASES[rule.alert]
      const tests = [
        ...(cases?.fires ?? []).map(each => toUnitTest(rule, each, [expectedAlert(rule, each)])),
        ...(cases?.quiet ?? []).map(each => toUnitTest(rule, each, [])),
      ]
      // YAML takes JSON.
      const folder = t.testdir({
        'test.yaml': JSON.stringify({ rule_files: [RULES_FILE], evaluation_interval: '1m', tests }),
      })
      const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', join(folder, 'test.yaml')], {
        encoding: 'utf8',
      })
      t.equal(status, 0, `${rule.alert}: ${status === 0 ? `${tests.length} cases` : stdout + stderr}`)
    }
  },
)
