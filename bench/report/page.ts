/**
 * docs/performance.md, from whatever results there are: bars first, then a section for each bench with its method, figures
 * and caveats. Knows nothing of any bench; results that are not there have no section.
 */
import type { Bar, ResultGroup, ResultRow, Results } from '../results-format.ts'
import { renderChart } from './charts.ts'
import { describeFigure, describeLimit, describeOutcome } from './numbers.ts'

export interface Page {
  readonly markdown: string
  /** File name to SVG. */
  readonly charts: ReadonlyMap<string, string>
}

/** Sections in this order, then the others by name. */
const ORDER = ['framing', 'decode', 'hot-path', 'load', 'compare']

/** `chartFolder`: from the page to its charts. Throws `RangeError` when there is nothing but smoke. */
export function renderPage(allResults: readonly Results[], chartFolder: string): Page {
  const results = allResults.filter(({ isSmoke }) => !isSmoke).sort(byPlace)
  if (results.length === 0) throw new RangeError('there are no results to report; run a bench first')
  const charts = new Map<string, string>()
  const sections = results.flatMap(result => renderSection(result, charts, chartFolder))
  const lines = [...introduction(), ...renderBars(results.flatMap(({ bars }) => bars)), ...sections]
  return { markdown: `${lines.join('\n\n')}\n`, charts }
}

function introduction(): string[] {
  return [
    '# Performance',
    'Written by `npm run bench:report` from [bench/results/](../bench/results/); how to get figures of your own: [bench/README.md](../bench/README.md).',
    'Each figure is the median of all repeats, with [least – greatest] and the interquartile range (IQR). Whiskers in charts go from the least to the greatest. ' +
      'They are figures of one machine: ratios travel further than times.',
  ]
}

function renderBars(bars: readonly Bar[]): string[] {
  if (bars.length === 0) return []
  const table = renderTable(
    ['bar', 'asked', 'measured', 'outcome'],
    bars.map(bar => [bar.title, describeLimit(bar), describeFigure(bar.figure), describeOutcome(bar)]),
  )
  const missed = bars.filter(({ reached }) => !reached)
  return [
    '## Bars',
    'What the project asks of itself. A bar is judged by the median; no bench was changed to reach one.',
    table,
    ...(missed.length === 0 ? [] : ['### Why some are not reached']),
    ...missed.flatMap(({ title, explanation }) => [`**${title}.** ${explanation.join(' ')}`]),
  ]
}

function renderSection(result: Results, charts: Map<string, string>, chartFolder: string): string[] {
  return [
    `## ${result.title}`,
    describeRun(result),
    ...result.groups.flatMap(group => renderGroup(group, charts, chartFolder)),
    '### Method',
    renderList(result.method),
    '### What would mislead',
    renderList(result.misleads),
  ]
}

function describeRun({ environment, repeats }: Results): string {
  const { commit, isModified, date, node, cpu, cores, memoryBytes, kernel, loadAverage } = environment
  const code = `commit \`${commit}\`${isModified ? ' with local changes' : ''}`
  const machine = `${cores} × ${cpu}, ${Math.round(memoryBytes / 1024 ** 3)} GiB, Linux ${kernel}`
  const noise =
    loadAverage > cores
      ? ` The machine was busy with other work (load average ${loadAverage.toFixed(1)} on ${cores} cores).`
      : ''
  return `${date.slice(0, 10)}, ${code}, Node.js ${node}, ${machine}; ${repeats} repeats.${noise}`
}

function renderGroup(group: ResultGroup, charts: Map<string, string>, chartFolder: string): string[] {
  const images = group.charts.map(spec => {
    const file = `${spec.id}.svg`
    if (charts.has(file)) throw new RangeError(`two charts have the id ${spec.id}`)
    charts.set(file, renderChart(group, spec))
    return `![${spec.title}](${chartFolder}/${file})`
  })
  return [`### ${group.title}`, ...group.text, ...images, renderRows(group.rows)]
}

function renderRows(rows: readonly ResultRow[]): string {
  const dimensions = [...new Set(rows.flatMap(row => Object.keys(row.dimensions)))]
  const figures = [...new Set(rows.flatMap(row => Object.keys(row.figures)))]
  return renderTable(
    ['', ...dimensions, ...figures],
    rows.map(row => [
      row.subject,
      ...dimensions.map(name => describeDimension(row.dimensions[name])),
      ...figures.map(name => {
        const figure = row.figures[name]
        return figure === undefined ? '' : describeFigure(figure)
      }),
    ]),
  )
}

function describeDimension(value: string | number | undefined): string {
  return typeof value === 'number' ? value.toLocaleString('en-US') : (value ?? '')
}

function renderTable(columns: readonly string[], lines: readonly (readonly string[])[]): string {
  const cells = [columns, columns.map(() => '---'), ...lines]
  return cells.map(line => `| ${line.map(escapeCell).join(' | ')} |`).join('\n')
}

function escapeCell(cell: string): string {
  return cell.replaceAll('|', String.raw`\|`)
}

function renderList(paragraphs: readonly string[]): string {
  return paragraphs.map(paragraph => `- ${paragraph}`).join('\n')
}

function byPlace(a: Results, b: Results): number {
  return placeOf(a) - placeOf(b) || (a.name < b.name ? -1 : 1)
}

function placeOf({ name }: Results): number {
  const place = ORDER.indexOf(name)
  return place === -1 ? ORDER.length : place
}
