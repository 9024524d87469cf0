/**
 * The table of metrics for people: the generated part of `docs/metrics.md`.
 */
import { CANARY_METRICS } from './canary.ts'
import type { LabelLists, MetricDefinition } from './definitions.ts'
import { METRICS, METRIC_PREFIX } from './definitions.ts'

export function renderMetrics(lists: LabelLists): string {
  return [
    '## The relay\n',
    renderTable(Object.values<MetricDefinition>(METRICS), lists),
    '## The canary\n',
    'Of `transcribe-relay canary`, on its own port.\n',
    renderTable(Object.values<MetricDefinition>(CANARY_METRICS), lists),
  ].join('\n')
}

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
