/**
 * A picture of dashboard panels as SVG, by Apache ECharts on the server. The same data give the same bytes.
 */
import * as echarts from 'echarts'
import type { EChartsOption } from 'echarts'

export interface PictureSeries {
  readonly name: string
  /** Seconds since the start, value. */
  readonly points: readonly (readonly [number, number])[]
}

export interface PicturePanel {
  readonly title: string
  /** A unit of Grafana, as in the table of panels. */
  readonly unit: string
  readonly stacked: boolean
  readonly series: readonly PictureSeries[]
}

const COLUMNS = 3
const CELL_WIDTH_PX = 420
const CELL_HEIGHT_PX = 250
const MARGIN = { left: 58, right: 26, top: 36, bottom: 62 } as const
/** Okabe and Ito: told apart by everybody. */
const COLORS = ['#0072b2', '#e69f00', '#009e73', '#d55e00', '#cc79a7', '#56b4e9', '#555555']
/** More names than this do not fit below a panel. */
const MAX_NAMES = 7

const UNIT_LABELS: Readonly<Record<string, string>> = {
  ops: 'a second',
  s: 'seconds',
  percentunit: '%',
  Bps: 'bytes/s',
  bytes: 'bytes',
  short: '',
}

/** Throws `RangeError` where there is nothing to draw. */
export function renderPicture(panels: readonly PicturePanel[]): string {
  const empty = panels.find(({ series }) => series.every(({ points }) => points.length === 0))
  if (panels.length === 0 || empty !== undefined)
    throw new RangeError(`nothing to draw for ${empty?.title ?? 'a picture'}`)
  const rowCount = Math.ceil(panels.length / COLUMNS)
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: COLUMNS * CELL_WIDTH_PX,
    height: rowCount * CELL_HEIGHT_PX,
  })
  try {
    chart.setOption(toOption(panels))
    return `${withPlainIds(chart.renderToSVGString())}\n`
  } finally {
    chart.dispose()
  }
}

/** The library counts names up within a process; here they start anew with each picture. */
function withPlainIds(svg: string): string {
  const names = new Map<string, string>()
  return svg.replace(/\bzr\d+-[a-z]+-?\d+/g, name => {
    const plain = names.get(name) ?? `n${names.size}`
    names.set(name, plain)
    return plain
  })
}

function toOption(panels: readonly PicturePanel[]): EChartsOption {
  const corners = panels.map((_, index) => ({
    x: (index % COLUMNS) * CELL_WIDTH_PX,
    y: Math.floor(index / COLUMNS) * CELL_HEIGHT_PX,
  }))
  const seconds = panels.flatMap(({ series }) => series.flatMap(({ points }) => points.map(([at]) => at)))
  const lastSecond = Math.max(...seconds)
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'Arial, Helvetica, sans-serif' },
    title: panels.map(({ title, unit }, index) => ({
      text: UNIT_LABELS[unit] === '' ? title : `${title}, ${UNIT_LABELS[unit] ?? unit}`,
      left: (corners[index]?.x ?? 0) + MARGIN.left,
      top: (corners[index]?.y ?? 0) + 8,
      textStyle: { fontSize: 13 },
    })),
    legend: panels.map(({ series }, index) => ({
      data: series.slice(0, MAX_NAMES).map(({ name }) => nameIn(index, name)),
      formatter: (name: string) => name.slice(name.indexOf(' ') + 1),
      left: (corners[index]?.x ?? 0) + MARGIN.left - 10,
      top: (corners[index]?.y ?? 0) + CELL_HEIGHT_PX - MARGIN.bottom + 22,
      width: CELL_WIDTH_PX - MARGIN.left,
      itemWidth: 12,
      itemHeight: 8,
      itemGap: 16,
      textStyle: { fontSize: 10 },
    })),
    grid: corners.map(({ x, y }) => ({
      left: x + MARGIN.left,
      top: y + MARGIN.top,
      width: CELL_WIDTH_PX - MARGIN.left - MARGIN.right,
      height: CELL_HEIGHT_PX - MARGIN.top - MARGIN.bottom,
    })),
    xAxis: panels.map((_, index) => ({
      type: 'value',
      gridIndex: index,
      min: 0,
      max: lastSecond,
      axisLabel: { formatter: '{value} s', fontSize: 10 },
      splitLine: { show: false },
    })),
    yAxis: panels.map(({ unit }, index) => ({
      type: 'value',
      gridIndex: index,
      min: 0,
      splitNumber: 4,
      axisLabel: { fontSize: 10, formatter: (value: number) => describeValue(value, unit) },
    })),
    series: panels.flatMap(({ series, stacked }, index) =>
      series.map(({ name, points }, order) => {
        const color = COLORS[order % COLORS.length] ?? '#000000'
        return {
          type: 'line' as const,
          name: nameIn(index, name),
          xAxisIndex: index,
          yAxisIndex: index,
          showSymbol: false,
          lineStyle: { width: 1.5, color },
          itemStyle: { color },
          ...(stacked ? { stack: String(index), areaStyle: { opacity: 0.3, color } } : {}),
          data: points.map(([at, value]) => [at, value]),
        }
      }),
    ),
  }
}

/** Names of a legend are those of one picture, so each begins with the number of its panel. */
function nameIn(index: number, name: string): string {
  return `${index} ${name}`
}

function describeValue(value: number, unit: string): string {
  if (unit === 'percentunit') return `${Number((value * 100).toPrecision(3))}`
  return value >= 10_000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)))
}
