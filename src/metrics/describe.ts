/**
 * The table of metrics for people: the generated part of `docs/metrics.md`.
 */
import { CANARY_METRICS } from './canary.ts'
import type { LabelLists, MetricDefinition } from './definitions.ts'
import { METRICS, METRIC_PREFIX } from './definitions.ts'
import { WORKER_METRICS } from './workers.ts'

export function renderMetrics(lists: LabelLists): string {
  return [
    '## The relay\n',
    renderTable(Object.values<MetricDefinition>(METRICS), lists),
    '## Workers\n',
    WORKERS_PARAGRAPH,
    renderTable(Object.values<MetricDefinition>(WORKER_METRICS), lists),
    '## The canary\n',
    'Of `transcribe-relay canary`, on its own port.\n',
    renderTable(Object.values<MetricDefinition>(CANARY_METRICS), lists),
  ].join('\n')
}

const WORKERS_PARAGRAPH = [
  'Of `serve` with more than one of `workers`, where the primary process answers for all. Every metric above is then one',
  'for the whole relay: counters, histograms, sessions and buffers are sums, `ready` is what `/readyz` says,',
  '`credentials_expiry_timestamp_seconds` the earliest, `agg` = `max` the largest. Counts of a worker that is gone stay in',
  'the sums; what it counted after the last scrape is lost with it. CPU and memory (`process_*`) are of all processes',
  'together, the primary included; open files and their limit of the process with the most; `nodejs_*` of the workers, the',
  'lag of the event loop of the slowest.\n',
].join('\n')

function renderTable(definitions: readonly MetricDefinition[], lists: LabelLists): string {
  const rows = definitions.map(definition => renderRow(definition, lists))
  return `| metric | type | what it says | labels |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`
}

function renderRow({ name, type, help, series, buckets }: MetricDefinition, lists: LabelLists): string {
  const values = new Map<string, Set<string>>()
  for (const labels of series?.(lists) ?? []) {
    for (const [label, value] of Object.entries(labels)) {
      values.set(label, (values.get(label) ?? new Set()).add(value))
    }
  }
  const labels = [...values].map(([label, list]) => `\`${label}\`: ${[...list].join(', ')}`).join('<br>')
  const bounds = buckets === undefined ? '' : ` Buckets: ${buckets.join(', ')}.`
  return `| \`${METRIC_PREFIX}${name}\` | ${type} | ${help}${bounds} | ${labels} |`
}
