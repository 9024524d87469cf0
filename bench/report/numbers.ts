/** Figures as a reader wants them: three or four digits, a unit that fits, the spread beside it. */
import type { Bar, Figure, Unit } from '../results-format.ts'

interface Scale {
  readonly unit: string
  readonly factor: number
}

/** Larger units of a unit, smallest first, each from ten of it on: 9,900 ns stay, 10,000 ns are 10 µs. */
const LARGER: Readonly<Partial<Record<Unit, readonly Scale[]>>> = {
  ns: [
    { unit: 'µs', factor: 1e3 },
    { unit: 'ms', factor: 1e6 },
  ],
  µs: [
    { unit: 'ms', factor: 1e3 },
    { unit: 's', factor: 1e6 },
  ],
  bytes: [
    { unit: 'KiB', factor: 1024 },
    { unit: 'MiB', factor: 1024 ** 2 },
  ],
}
const FROM = 10

/** `1,240 ns [1,190 – 1,310, IQR 40]`. */
export function describeFigure(figure: Figure): string {
  const { unit, factor } = scaleOf(figure)
  const [median, min, max, iqr] = [figure.median, figure.min, figure.max, figure.iqr].map(value =>
    describeNumber(value / factor),
  )
  return `${median} ${unit} [${min} – ${max}, IQR ${iqr}]`
}

/** `at least 20 ×`. */
export function describeLimit({ relation, limit, figure }: Bar): string {
  return `${relation} ${limit.toLocaleString('en-US')} ${figure.unit}`
}

/** How far the median is from the limit, in per cent of the limit. */
export function describeOutcome({ relation, limit, figure, reached }: Bar): string {
  if (reached) return 'reached'
  const share = Math.abs(figure.median - limit) / limit
  return `**not reached**: ${describeNumber(share * 100)} % ${relation === 'at least' ? 'below' : 'above'}`
}

export function describeNumber(value: number): string {
  const size = Math.abs(value)
  const digits = size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function scaleOf({ unit, median }: Figure): Scale {
  const larger = LARGER[unit]?.findLast(({ factor }) => Math.abs(median) >= FROM * factor)
  return larger ?? { unit, factor: 1 }
}
