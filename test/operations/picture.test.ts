/** The picture of the dashboard in the documents: drawn from data as Prometheus gives them. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { MAIN_PANELS, toPicturePanel } from '../../scripts/dashboard-picture.ts'
import { ROWS } from '../../scripts/dashboard/panels.ts'
import type { Panel } from '../../scripts/dashboard/panels.ts'
import { renderPicture } from '../../scripts/dashboard/picture.ts'

const START = 1_700_000_000

function panelOf(title: string): Panel {
  const panel = ROWS.flatMap(row => row.panels).find(each => each.title === title)
  if (panel === undefined) throw new Error(`no panel ${title}`)
  return panel
}

const STEPS = [0, 1, 2].map(second => START + second)

function values(...numbers: readonly string[]): readonly (readonly [number, string])[] {
  return numbers.map((value, index) => [START + index, value] as const)
}

const ends = toPicturePanel(
  panelOf('Ends of sessions'),
  [
    [
      { metric: { class: 'ok', reason: 'normal' }, values: values('1', '2', '3') },
      {
        metric: { class: 'upstream_error', reason: 'upstream_closed' },
        values: values('0', '0', '0.5').slice(2),
      },
    ],
  ],
  STEPS,
)
const lag = toPicturePanel(
  panelOf('Audio to final result'),
  [
    [{ metric: {}, values: values('NaN', '0.2', '0.3') }],
    [{ metric: {}, values: values('NaN', '0.4', '0.5') }],
    [],
  ],
  STEPS,
)
const late = toPicturePanel(
  panelOf('Rollovers'),
  [[{ metric: { reason: 'x' }, values: values('0', '1', '2').slice(1) }]],
  STEPS,
)

t.test('series are named by their labels, times start at zero, what is no number is left out', async t => {
  t.strictSame(ends.series, [
    {
      name: 'ok: normal',
      points: [
        [0, 1],
        [1, 2],
        [2, 3],
      ],
    },
    {
      name: 'upstream_error: upstream_closed',
      points: [
        [0, 0],
        [1, 0],
        [2, 0.5],
      ],
    },
  ])
  t.strictSame(
    late.series[0]?.points,
    [
      [0, 0],
      [1, 1],
      [2, 2],
    ],
    'what begins late begins late in the picture',
  )
  t.strictSame(
    lag.series.map(({ name, points }) => ({ name, points })),
    [
      {
        name: 'p50',
        points: [
          [1, 0.2],
          [2, 0.3],
        ],
      },
      {
        name: 'p95',
        points: [
          [1, 0.4],
          [2, 0.5],
        ],
      },
    ],
  )
})

t.test('the picture shows every panel, and the same data give the same bytes', async t => {
  const svg = renderPicture([ends, lag, ends, lag])
  t.match(svg, /^<svg [^>]*width="1260" height="500"/)
  for (const text of ['Ends of sessions, a second', 'Audio to final result, seconds', 'ok: normal', 'p95']) {
    t.ok(svg.includes(text), text)
  }
  t.equal(renderPicture([ends, lag, ends, lag]), svg)
  t.throws(() => renderPicture([]), /nothing to draw for a picture/)
  t.throws(() => renderPicture([{ ...ends, series: [] }]), /nothing to draw for Ends of sessions/)
})

t.test('the picture in the documents is one of them, and names nothing of the machine', async t => {
  const svg = readFileSync(new URL('../../docs/operations/dashboard.svg', import.meta.url), 'utf8')
  t.match(svg, /^<svg /)
  for (const title of MAIN_PANELS) t.ok(svg.includes(title), title)
  t.notMatch(svg, /127\.0\.0\.1|\/home\/|\/tmp\//)
})
