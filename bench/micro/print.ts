/** What a bench of functions prints: a table for each group, then its bars. */
import type { Bar, Figure, ResultGroup } from '../results-format.ts'

export function printGroup({ title, rows }: ResultGroup): void {
  const lines = rows.map(({ subject, dimensions, figures }) => [
    subject,
    ...Object.values(dimensions).map(String),
    ...Object.values(figures).flatMap(describeFigure),
  ])
  const columns = [
    '',
    ...Object.keys(rows[0]?.dimensions ?? {}),
    'time',
    'min – max',
    'IQR',
    'ratio',
    'min – max',
    'IQR',
  ]
  process.stdout.write(`\n${title}\n${alignColumns([columns, ...lines])}`)
}

export function printBars(bars: readonly Bar[]): void {
  const lines = bars.map(({ title, relation, limit, figure, reached }) => [
    title,
    `${relation} ${limit}${figure.unit}`,
    ...describeFigure(figure),
    reached ? 'reached' : 'NOT reached',
  ])
  if (lines.length > 0) process.stdout.write(`\nBars\n${alignColumns(lines)}`)
}

function describeFigure({ unit, median, min, max, iqr }: Figure): string[] {
  return [`${short(median)} ${unit}`, `${short(min)} – ${short(max)}`, short(iqr)]
}

function short(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)
}

/** Words to the left, numbers to the right. */
function alignColumns(lines: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const line of lines) {
    for (const [column, cell] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length)
  }
  return lines
    .map(line => {
      const cells = line.map((cell, column) => {
        const width = widths[column] ?? 0
        return column === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      return `  ${cells.join('  ').trimEnd()}\n`
    })
    .join('')
}
