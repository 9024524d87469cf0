/** Results of a bench that never ran: every kind of row, chart and bar the report has to render. */
import { barOf, figureOf, type Results } from '../../bench/results-format.ts'

export function benchResults(changes: Partial<Results> = {}): Results {
  return {
    formatVersion: 1,
    name: 'framing',
    environment: {
      commit: 'abcdef012345',
      isModified: false,
      date: '2026-01-02T03:04:05.678Z',
      node: 'v20.15.0',
      cpu: 'Example CPU <8 & more>',
      cores: 2,
      memoryBytes: 8 * 1024 ** 3,
      kernel: '6.1.0',
      loadAverage: 0.5,
    },
    title: 'Framing of audio',
    repeats: 5,
    isSmoke: false,
    method: ['How it was done.'],
    misleads: ['What it is not.'],
    groups: [
      {
        id: 'encode',
        title: 'Encoding',
        text: ['What goes in | what comes out.'],
        charts: [
          {
            id: 'bars',
            title: 'Bars <of> time',
            kind: 'bar',
            figure: 'time',
            dimension: 'bytes',
            scale: 'log',
          },
          { id: 'lines', title: 'Lines', kind: 'line', figure: 'time', dimension: 'bytes', scale: 'linear' },
        ],
        rows: [
          row('ours', 640, [300, 310, 290, 305, 400]),
          row('theirs & others', 640, [6000, 6100, 5900, 6050, 7000]),
          row('ours', 3200, [1200, 1210, 1190, 1250, 1230]),
        ],
      },
    ],
    bars: [
      barOf({
        id: 'reached',
        title: 'a bar that is reached',
        relation: 'at least',
        limit: 10,
        figure: figureOf('×', [19, 20, 21]),
        explanation: ['never printed'],
      }),
      barOf({
        id: 'missed',
        title: 'a bar that is missed',
        relation: 'at most',
        limit: 1.5,
        figure: figureOf('×', [1.7, 1.8, 1.9]),
        explanation: ['The profile shows why.'],
      }),
    ],
    ...changes,
  }
}

function row(subject: string, bytes: number, timesNs: readonly number[]) {
  return {
    id: `encode/${subject}/${bytes}`,
    subject,
    dimensions: { bytes },
    figures: { time: figureOf('ns', timesNs) },
  }
}
