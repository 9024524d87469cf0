/**
 * The dashboard and the alerts against a real Prometheus that scrapes a relay at work: Prometheus takes every
 * expression, and every panel has something to show.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { DASHBOARD_FILE } from '../../scripts/dashboard.ts'
import { renderDashboard } from '../../scripts/dashboard/grafana.ts'
import { CANARY_METRICS } from '../../src/metrics/canary.ts'
import { findUnknown } from '../support/expressions.ts'
import { fetchText } from '../support/metric-values.ts'
import { startOperatedWorld } from '../support/operated-world.ts'
import { hasProgram } from '../support/programs.ts'
import type { QuerySeries } from '../support/prometheus.ts'
import { readRules } from '../support/rules.ts'

interface DashboardPanel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: readonly { readonly expr: string }[]
}

interface Dashboard {
  readonly panels: readonly DashboardPanel[]
  readonly templating: { readonly list: readonly { readonly name: string }[] }
}

const text = readFileSync(DASHBOARD_FILE, 'utf8')
const dashboard = JSON.parse(text) as Dashboard
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })))

/** Load is repeated until every panel shows it. */
const MAX_ROUNDS = 30
const MAX_SERIES = 400

/** What Grafana puts in for the variables when nothing is chosen. */
function fillIn(expr: string): string {
  return expr
    .replaceAll('$job', 'transcribe-relay')
    .replace(/\$(namespace|pod)\b/g, '.*')
    .replaceAll('$__rate_interval', '15s')
}

function hasData(series: readonly QuerySeries[]): boolean {
  return series.some(({ value }) => value !== undefined && value[1] !== 'NaN')
}

t.test('dashboard.json is what the table of panels says (scripts/dashboard.ts writes it)', async t => {
  t.equal(text, renderDashboard())
})

t.test('panels have titles and explanations, and do not overlap', async t => {
  t.ok(panels.length > 25, `${panels.length} panels`)
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  const taken = new Set<string>()
  for (const { title, type, description, gridPos, targets } of dashboard.panels) {
    t.ok(title)
    if (type !== 'row') t.ok(description && targets?.length, `${title} says what it shows`)
    t.ok(gridPos.x + gridPos.w <= 24, title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        if (taken.has(`${x} ${y}`)) t.fail(`${title} lies over another`)
        taken.add(`${x} ${y}`)
      }
    }
  }
})

t.test('every metric, label and value exists, every variable is defined', async t => {
  const variables = ['__rate_interval', ...dashboard.templating.list.map(({ name }) => name)]
  for (const { title, expr } of queries) {
    t.strictSame(await findUnknown(expr), [], title)
    for (const [, name = ''] of expr.matchAll(/\$(\w+)/g))
      t.ok(variables.includes(name), `${title}: $${name}`)
  }
})

t.test('what every process exposes is shown of relays alone, not of the canary beside them', async t => {
  const ofProcesses = queries.filter(({ expr }) => /\b(?:process|nodejs)_/.test(expr))
  t.ok(ofProcesses.length > 8)
  for (const { title, expr } of ofProcesses)
    t.match(expr, ' and on (namespace, job, instance) transcribe_relay_build_info{', title)
  t.notOk('build_info' in CANARY_METRICS, 'which has no such metric')
})

t.test('OB-02 a real Prometheus has data for every panel, and takes every alert', async t => {
  if (!hasProgram(t, 'prometheus')) return
  const operated = await startOperatedWorld(t)
  const { world, prometheus, canaryUrl } = operated
  let missing = queries
  for (let round = 0; round < MAX_ROUNDS && missing.length > 0; round++) {
    await operated.runRound()
    await prometheus.nextScrape()
    const results = await Promise.all(
      missing.map(async query => ({ query, series: await prometheus.query(fillIn(query.expr)) })),
    )
    missing = results.filter(({ series }) => !hasData(series)).map(({ query }) => query)
  }
  t.strictSame(missing, [], `data for ${queries.length} expressions of ${panels.length} panels`)

  for (const { alert, expr } of readRules()) await t.resolves(prometheus.query(expr), alert)
  const rules = await prometheus.rules()
  t.strictSame(
    rules.map(({ name }) => name).sort(),
    readRules()
      .map(({ alert }) => alert)
      .sort(),
  )
  t.strictSame(
    rules.filter(({ health, lastError }) => health === 'err' || lastError),
    [],
    'Prometheus evaluates every rule without an error',
  )

  const seriesCount = (await prometheus.query('count({job="transcribe-relay"})'))[0]?.value?.[1]
  t.ok(Number(seriesCount) < MAX_SERIES, `${seriesCount} series under load, fewer than ${MAX_SERIES}`)
  for (const url of [world.opsUrl, canaryUrl]) {
    const scrape = await fetchText(`${url}/metrics`)
    const { stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
      input: scrape,
      encoding: 'utf8',
    })
    t.equal(stdout + stderr, '', 'promtool finds nothing wrong with the metrics')
  }
})
