/**
 * Draws `docs/operations/dashboard.svg`: a relay with a local Amazon Transcribe, people who come and go, failures made on
 * purpose, a canary, a real Prometheus (Debian package `prometheus`), and the main panels of what it gathered.
 *
 *     node --import tsx scripts/dashboard-picture.ts [seconds]
 *
 * Run by hand after a change of the panels. Who comes when is drawn from a fixed seed; what is measured is measured.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createRandom } from '../test/support/random.ts'
import { startOperatedWorld } from '../test/support/operated-world.ts'
import type { OperatedWorld } from '../test/support/operated-world.ts'
import type { QuerySeries } from '../test/support/prometheus.ts'
import type { Speech } from '../test/support/speech.ts'
import { BYTES_PER_SECOND_16K, readSpeech } from '../test/support/speech.ts'
import { ROWS } from './dashboard/panels.ts'
import type { Panel } from './dashboard/panels.ts'
import { renderPicture } from './dashboard/picture.ts'
import type { PicturePanel } from './dashboard/picture.ts'

const PICTURE_FILE = fileURLToPath(new URL('../docs/operations/dashboard.svg', import.meta.url))
export const MAIN_PANELS: readonly string[] = [
  'Sessions open',
  'New sessions and refusals',
  'Failed sessions',
  'Audio to first result',
  'Audio to final result',
  'Latency as a client sees it',
  'Audio',
  'Ends of sessions',
  'Rollovers',
  'Streams',
  'Replayed and lost',
  'Streams of the quota',
  'Streams opened',
  'Load of the busiest',
  'Event-loop delay',
]
const SEED = 1
const DEFAULT_SECONDS = 120
const STEP_SECONDS = 1
const TICK_MS = 250
/** New sessions a second at the busiest. */
const MOST_STARTS_PER_SECOND = 8
const PIECE_MS = 100
const MAX_SESSIONS = 60
/** About what results take to come from the service. */
const UPSTREAM_LATENCY_MS = 400
/** One session in so many goes wrong. */
const FAULT_EVERY = 25
/** One in so many says nothing for a while before it ends. */
const PAUSE_EVERY = 4
const PAUSE_MS = 6000

/** `steps`: the times asked for, Unix seconds; a panel that shows nothing at first begins with the others all the same. */
export function toPicturePanel(
  panel: Panel,
  results: readonly (readonly QuerySeries[])[],
  steps: readonly number[],
): PicturePanel {
  const [startSeconds = 0] = steps
  return {
    title: panel.title,
    unit: panel.unit,
    stacked: panel.stacked === true,
    series: panel.queries.flatMap(({ legend }, index) =>
      (results[index] ?? []).map(({ metric, values = [] }) => ({
        name: legend.replace(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? ''),
        points: pointsOf(values, panel.stacked === true ? steps : values.map(([at]) => at), startSeconds),
      })),
    ),
  }
}

/** What is stacked needs a value at every step: what was not there was none. */
function pointsOf(
  values: readonly (readonly [number, string])[],
  steps: readonly number[],
  startSeconds: number,
): readonly (readonly [number, number])[] {
  const known = new Map(values)
  return steps
    .map(at => [Math.round(at - startSeconds), Number(known.get(at) ?? 0)] as const)
    .filter(([, value]) => Number.isFinite(value))
}

async function drawPicture(seconds: number): Promise<void> {
  const closings: (() => unknown)[] = []
  try {
    const operated = await startOperatedWorld(
      { teardown: action => closings.push(action) },
      {
        relay: { maxSessions: MAX_SESSIONS, regionStreams: MAX_SESSIONS },
        emulator: { latencyMs: UPSTREAM_LATENCY_MS },
      },
    )
    await operated.prometheus.nextScrape()
    // Whole seconds, so that steps are the same numbers here and at Prometheus.
    const fromMs = Math.ceil(Date.now() / 1000) * 1000
    await comeAndGo(operated, seconds)
    const toMs = Date.now()
    const steps = Array.from(
      { length: Math.floor((toMs - fromMs) / 1000 / STEP_SECONDS) + 1 },
      (_, index) => fromMs / 1000 + index * STEP_SECONDS,
    )
    const panels = ROWS.flatMap(row => row.panels).filter(({ title }) => MAIN_PANELS.includes(title))
    const drawn = await Promise.all(
      panels.map(async panel => {
        const results = panel.queries.map(({ expr }) =>
          operated.prometheus.queryRange(fillIn(expr), fromMs, toMs, STEP_SECONDS),
        )
        return toPicturePanel(panel, await Promise.all(results), steps)
      }),
    )
    drawn.sort((a, b) => MAIN_PANELS.indexOf(a.title) - MAIN_PANELS.indexOf(b.title))
    mkdirSync(dirname(PICTURE_FILE), { recursive: true })
    writeFileSync(PICTURE_FILE, renderPicture(drawn))
  } finally {
    for (const close of closings.toReversed()) await close()
  }
}

/** More and more people, then fewer. */
async function comeAndGo(operated: OperatedWorld, seconds: number): Promise<void> {
  const random = createRandom(SEED)
  const speeches = readSpeech()
  const sessions: Promise<void>[] = []
  const startedAtMs = performance.now()
  await new Promise<void>(resolve => {
    const timer = setInterval(() => {
      const share = (performance.now() - startedAtMs) / 1000 / seconds
      if (share >= 1) {
        clearInterval(timer)
        resolve()
        return
      }
      const perSecond = MOST_STARTS_PER_SECOND * Math.sin(Math.PI * share) ** 2
      if (random() > (perSecond * TICK_MS) / 1000 / 2) return
      for (const speech of [0, 1].map(() => speeches[Math.floor(random() * speeches.length)])) {
        if (speech !== undefined) sessions.push(speak(operated, speech, sessions.length + 1))
      }
    }, TICK_MS)
  })
  await Promise.allSettled(sessions)
}

async function speak({ world }: OperatedWorld, { pcm }: Speech, number: number): Promise<void> {
  if (number % FAULT_EVERY === 0) world.faultNext({ do: 'close', code: 1011, reason: '', atSeconds: 1 })
  const client = await world.connect()
  if (number % FAULT_EVERY === 1) client.say('nonsense')
  const pieceBytes = (BYTES_PER_SECOND_16K * PIECE_MS) / 1000
  await new Promise<void>(resolve => {
    let offset = 0
    const timer = setInterval(() => {
      client.send(pcm.subarray(offset, offset + pieceBytes))
      offset += pieceBytes
      if (offset < pcm.length && client.webSocket.readyState === client.webSocket.OPEN) return
      clearInterval(timer)
      resolve()
    }, PIECE_MS)
  })
  if (number % PAUSE_EVERY === 0) {
    client.say({ type: 'Pause' })
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  }
  await client.finish()
}

function fillIn(expr: string): string {
  return expr
    .replaceAll('$job', 'transcribe-relay')
    .replace(/\$(namespace|pod)\b/g, '.*')
    .replaceAll('$__rate_interval', '10s')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await drawPicture(Number(process.argv[2] ?? DEFAULT_SECONDS))
}
