/** A chart of a group of results as SVG, by Apache ECharts on the server. The same results give the same bytes. */
import * as echarts from 'echarts'
import type { CustomSeriesOption, EChartsOption, SeriesOption } from 'echarts'
import type { ChartSpec, Figure, ResultGroup } from '../results-format.ts'

const WIDTH_PX = 1000
const HEIGHT_PX = 420
/** Okabe and Ito: told apart by everybody. */
const COLORS = ['#0072b2', '#e69f00', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#000000']
const LEGEND_WIDTH_PX = 270
const WHISKER_COLOR = '#333333'
const WHISKER_HALF_WIDTH_PX = 4

/** Bars or lines at the medians, a whisker from the least to the greatest repeat. Throws when no row has the figure. */
export function renderChart(group: ResultGroup, spec: ChartSpec): string {
  const rows = group.rows.filter(
    ({ figures, dimensions }) => spec.figure in figures && spec.dimension in dimensions,
  )
  const [first] = rows
  if (first === undefined)
    throw new RangeError(`chart ${spec.id}: no row has both ${spec.figure} and ${spec.dimension}`)
  const categories = [...new Set(rows.map(({ dimensions }) => dimensions[spec.dimension]))]
  const subjects = [...new Set(rows.map(({ subject }) => subject))]
  const cells = subjects.map(subject =>
    categories.map(category => {
      const row = rows.find(
        ({ subject: own, dimensions }) => own === subject && dimensions[spec.dimension] === category,
      )
      return row?.figures[spec.figure] ?? null
    }),
  )
  return draw({
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'Arial, Helvetica, sans-serif' },
    title: { text: spec.title, left: 'center', textStyle: { fontSize: 15 } },
    legend: { data: subjects, orient: 'vertical', left: WIDTH_PX - LEGEND_WIDTH_PX + 12, top: 'middle' },
    grid: { left: 70, right: LEGEND_WIDTH_PX, top: 48, bottom: 48 },
    xAxis: {
      type: 'category',
      data: categories.map(String),
      name: spec.dimension,
      nameLocation: 'middle',
      nameGap: 28,
    },
    yAxis: {
      type: spec.scale === 'log' ? 'log' : 'value',
      ...(spec.scale === 'log' ? { min: decadeBelow(cells.flat()) } : {}),
      name: `${spec.figure}, ${first.figures[spec.figure]?.unit}`,
      nameLocation: 'middle',
      nameGap: 50,
    },
    series: subjects.flatMap((subject, index) => [
      medians(spec, index, subject, cells[index] ?? []),
      whiskers(spec, index, subjects.length, cells[index] ?? []),
    ]),
  })
}

/** Where a logarithmic axis starts: bars need a foot, and there is no zero. */
function decadeBelow(figures: readonly (Figure | null)[]): number {
  const least = Math.min(...figures.map(figure => figure?.min ?? Infinity))
  return 10 ** Math.floor(Math.log10(least))
}

function medians(
  { kind }: ChartSpec,
  index: number,
  subject: string,
  figures: readonly (Figure | null)[],
): SeriesOption {
  const data = figures.map(figure => figure?.median ?? '-')
  // Named here, because whiskers are series too, and would take every second color of a palette.
  const color = COLORS[index % COLORS.length] ?? WHISKER_COLOR
  if (kind === 'bar') return { type: 'bar', name: subject, data, itemStyle: { color } }
  return {
    type: 'line',
    name: subject,
    data,
    symbolSize: 7,
    itemStyle: { color },
    lineStyle: { color },
  }
}

function whiskers(
  { kind }: ChartSpec,
  index: number,
  seriesCount: number,
  figures: readonly (Figure | null)[],
): CustomSeriesOption {
  return {
    type: 'custom',
    silent: true,
    z: 5,
    data: figures.flatMap((figure, category) =>
      figure === null ? [] : [[category, figure.min, figure.max]],
    ),
    encode: { x: 0, y: [1, 2] },
    renderItem(_parameters, api) {
      const x = api.value(0)
      const bar = kind === 'bar' ? api.barLayout?.({ count: seriesCount })?.[index] : undefined
      const [centre = 0, bottom = 0] = api.coord([x, api.value(1)])
      const [, top = 0] = api.coord([x, api.value(2)])
      const at = centre + (bar?.offsetCenter ?? 0)
      return {
        type: 'group',
        children: [
          line(at, bottom, at, top),
          line(at - WHISKER_HALF_WIDTH_PX, bottom, at + WHISKER_HALF_WIDTH_PX, bottom),
          line(at - WHISKER_HALF_WIDTH_PX, top, at + WHISKER_HALF_WIDTH_PX, top),
        ],
      }
    },
  }
}

function line(x1: number, y1: number, x2: number, y2: number) {
  return { type: 'line', shape: { x1, y1, x2, y2 }, style: { stroke: WHISKER_COLOR, lineWidth: 1 } } as const
}

function draw(option: EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH_PX, height: HEIGHT_PX })
  try {
    chart.setOption(option)
    return `${renumber(chart.renderToSVGString())}\n`
  } finally {
    chart.dispose()
  }
}

/** ECharts numbers classes and clip paths through all charts of the process: here by their order in this one. */
function renumber(svg: string): string {
  const names = new Map<string, string>()
  return svg.replaceAll(/\bzr\d+-[a-z]+-?\d+/g, name => {
    const renamed = names.get(name) ?? `part-${names.size}`
    names.set(name, renamed)
    return renamed
  })
}
