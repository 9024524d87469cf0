/**
 * From the table of panels to the JSON of a Grafana dashboard (schema version 39, Grafana 10.4 and later).
 */
import type { Panel, Row } from './panels.ts'
import { ROWS } from './panels.ts'

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const
const GRID_COLUMNS = 24
const ROW_HEIGHT = 1
const HEIGHTS: Readonly<Record<Panel['kind'], number>> = { stat: 4, timeseries: 8, heatmap: 8, table: 6 }

/** The text of `dashboard.json`. */
export function renderDashboard(rows: readonly Row[] = ROWS): string {
  const dashboard = {
    title: 'transcribe-relay',
    uid: 'transcribe-relay',
    description: 'Sessions, latency, audio, Amazon Transcribe, clients and processes of transcribe-relay.',
    tags: ['transcribe-relay'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [] },
    links: [],
    templating: { list: variables() },
    panels: layOut(rows),
  }
  return `${JSON.stringify(dashboard, null, 2)}\n`
}

function variables(): readonly object[] {
  const source = {
    name: 'datasource',
    label: 'Data source',
    type: 'datasource',
    query: 'prometheus',
    refresh: 1,
  }
  return [
    source,
    choice('namespace', 'label_values(transcribe_relay_build_info, namespace)'),
    choice('job', 'label_values(transcribe_relay_build_info{namespace=~"$namespace"}, job)'),
    choice('pod', 'label_values(transcribe_relay_build_info{namespace=~"$namespace", job=~"$job"}, pod)'),
  ]
}

/**
 * For all, `.*` also matches series without the label, as outside of Kubernetes. All jobs are those of relays alone: the
 * metrics of a process have the same names everywhere. The canary of a relay has its job, so panels leave that out themselves.
 */
function choice(name: string, query: string): object {
  return {
    name,
    label: name,
    type: 'query',
    datasource: DATASOURCE,
    query: { query, refId: name },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    ...(name === 'job' ? {} : { allValue: '.*' }),
    current: { selected: true, text: ['All'], value: ['$__all'] },
  }
}

function layOut(rows: readonly Row[]): readonly object[] {
  const placed: object[] = []
  let y = 0
  for (const { title, panels } of rows) {
    placed.push({
      id: placed.length + 1,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: GRID_COLUMNS, h: ROW_HEIGHT },
    })
    y += ROW_HEIGHT
    let x = 0
    let lineHeight = 0
    for (const panel of panels) {
      if (x + panel.width > GRID_COLUMNS) {
        y += lineHeight
        x = 0
        lineHeight = 0
      }
      const height = HEIGHTS[panel.kind]
      placed.push(renderPanel(panel, placed.length + 1, { x, y, w: panel.width, h: height }))
      x += panel.width
      lineHeight = Math.max(lineHeight, height)
    }
    y += lineHeight
  }
  return placed
}

function renderPanel(panel: Panel, id: number, gridPos: object): object {
  const { title, description, kind, queries } = panel
  const isNow = kind === 'stat' || kind === 'table'
  return {
    id,
    type: kind,
    title,
    description,
    datasource: DATASOURCE,
    gridPos,
    fieldConfig: { defaults: fieldDefaults(panel), overrides: [] },
    options: optionsOf(kind),
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
      instant: isNow,
      range: !isNow,
      format: kind === 'heatmap' || kind === 'table' ? kind : 'time_series',
    })),
    ...(kind === 'table'
      ? { transformations: [{ id: 'organize', options: { excludeByName: { Time: true } } }] }
      : {}),
  }
}

function fieldDefaults({ kind, unit, stacked }: Panel): object {
  const custom = { fillOpacity: stacked === true ? 30 : 8, lineWidth: 1, showPoints: 'never' }
  return {
    unit,
    ...(kind === 'timeseries'
      ? {
          min: 0,
          custom: { ...custom, stacking: { mode: stacked === true ? 'normal' : 'none', group: 'A' } },
        }
      : {}),
  }
}

function optionsOf(kind: Panel['kind']): object {
  switch (kind) {
    case 'timeseries':
      return {
        legend: { displayMode: 'list', placement: 'bottom' },
        tooltip: { mode: 'multi', sort: 'desc' },
      }
    case 'stat':
      return { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'none' }
    case 'heatmap':
      return { calculate: false, yAxis: { unit: 's' }, color: { mode: 'scheme', scheme: 'Oranges' } }
    default:
      return { showHeader: true }
  }
}
