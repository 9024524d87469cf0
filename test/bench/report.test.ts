import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { renderPage } from '../../bench/report/page.ts'
import { describeFigure, describeNumber } from '../../bench/report/numbers.ts'
import { figureOf, writeResults, type ChartSpec, type Results } from '../../bench/results-format.ts'
import { benchResults } from '../support/bench-results.ts'
import { checkXml } from '../support/xml.ts'

t.test('a page has the bars, and the figures, method and caveats of each result', t => {
  const { markdown, charts } = renderPage([benchResults()], 'performance')
  for (const expected of [
    '| a bar that is reached | at least 10 × | 20.0 × [19.0 – 21.0, IQR 1.00] | reached |',
    '| a bar that is missed | at most 1.5 × | 1.80 × [1.70 – 1.90, IQR 0.10] | **not reached**: 20.0 % above |',
    '**a bar that is missed.** The profile shows why.',
    '## Framing of audio',
    '2026-01-02, commit `abcdef012345`, Node.js v20.15.0, 2 × Example CPU <8 & more>, 8 GiB, Linux 6.1.0; 5 repeats.',
    '![Bars <of> time](performance/bars.svg)',
    '|  | bytes | time |',
    '| ours | 640 | 305 ns [290 – 400, IQR 10.0] |',
    '| ours | 3,200 | 1,210 ns [1,190 – 1,250, IQR 30.0] |',
    '- How it was done.',
    '- What it is not.',
  ]) {
    t.ok(markdown.includes(expected), expected)
  }
  t.notMatch(markdown, /never printed/)
  t.same([...charts.keys()], ['bars.svg', 'lines.svg'])
  t.end()
})

t.test('charts are well-formed SVG with every subject in them, and the same each time', t => {
  const [first, second] = [1, 2].map(() => renderPage([benchResults()], 'performance'))
  t.same(first, second)
  for (const [name, svg] of first?.charts ?? []) {
    t.equal(checkXml(svg), 'svg', name)
    for (const text of ['ours', 'theirs &amp; others', '640', '3200', 'time, ns']) {
      t.ok(svg.includes(`>${text}</text>`), `${name} shows ${text}`)
    }
  }
  t.end()
})

t.test('sections come in the order of the reader, not of the files', t => {
  const named = ['zebra', 'compare', 'hot-path', 'framing', 'apple', 'load', 'decode']
  const { markdown } = renderPage(
    named.map(name => benchResults({ name, title: name, groups: [], bars: [] })),
    'performance',
  )
  const order = [...markdown.matchAll(/^## (.+)$/gm)].map(([, title]) => title)
  t.same(order, ['framing', 'decode', 'hot-path', 'load', 'compare', 'apple', 'zebra'])
  t.end()
})

t.test('a busy machine and local changes are said', t => {
  const { environment } = benchResults()
  const { markdown } = renderPage(
    [benchResults({ environment: { ...environment, isModified: true, loadAverage: 3.4 } })],
    'performance',
  )
  t.match(markdown, '`abcdef012345` with local changes')
  t.match(markdown, 'busy with other work (load average 3.4 on 2 cores)')
  t.end()
})

function withCharts(change: (chart: ChartSpec) => ChartSpec[]): Results {
  return benchResults({
    groups: benchResults().groups.map(group => ({ ...group, charts: group.charts.flatMap(change) })),
  })
}

t.test('smoke is no result, and a chart that cannot be drawn is an error', t => {
  t.throws(() => renderPage([benchResults({ isSmoke: true })], 'performance'), /no results to report/)
  t.throws(
    () => renderPage([withCharts(chart => [{ ...chart, figure: 'speed' }])], 'performance'),
    /no row has both/,
  )
  t.throws(
    () => renderPage([withCharts(chart => [chart, chart])], 'performance'),
    /two charts have the id bars/,
  )
  t.end()
})

t.test('figures have a unit that fits', t => {
  t.equal(describeFigure(figureOf('ns', [34_567])), '34.6 µs [34.6 – 34.6, IQR 0]')
  t.equal(describeFigure(figureOf('µs', [12_345_678])), '12.3 s [12.3 – 12.3, IQR 0]')
  t.equal(describeFigure(figureOf('bytes', [64 * 1024])), '64.0 KiB [64.0 – 64.0, IQR 0]')
  t.equal(describeFigure(figureOf('count', [3])), '3.00 count [3.00 – 3.00, IQR 0]')
  t.equal(describeNumber(0), '0')
  t.end()
})

t.test('the command writes the page and its charts, formatted, and again the same', async t => {
  const results = t.testdir({ results: {}, docs: { performance: { 'gone.svg': 'of an earlier run' } } })
  const { formatVersion: _version, name, environment: _environment, ...payload } = benchResults()
  await writeResults(name, payload, join(results, 'results'))
  const run = () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        'bench/report/render.ts',
        `--results=${join(results, 'results')}`,
        `--output=${join(results, 'docs')}`,
      ],
      { encoding: 'utf8' },
    )
    t.equal(status, 0, stderr)
    t.match(stdout, 'performance.md: 1 results, 2 charts')
    t.same(readdirSync(join(results, 'docs', 'performance')).sort(), ['bars.svg', 'lines.svg'])
    return readFileSync(join(results, 'docs', 'performance.md'), 'utf8')
  }
  const markdown = run()
  t.match(markdown, /^# Performance\n\n/)
  t.equal(run(), markdown)
})
