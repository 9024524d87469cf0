/**
 * Runs a bench of functions.
 *
 * Each row of each repeat is measured in a process of its own, so that no row runs on code that another one made the
 * compiler specialize; odd repeats go backwards, so that a machine that slows down or speeds up hits all rows alike.
 * Each process checks its row before it times it; a wrong answer disqualifies and the run fails. A smoke run takes all
 * rows in one process, a blink each, and writes nothing unless told where to.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { runCommand, type FlagTable, type FlagValues } from '../command-line.ts'
import { figureOf, RESULTS_DIRECTORY, writeResults } from '../results-format.ts'
import type { Bar, ChartSpec, Figure, ResultGroup } from '../results-format.ts'
import { takeCode } from './built.ts'
import { FULL_BUDGET, measureCall, SMOKE_BUDGET, type Contender } from './measure.ts'
import { printBars, printGroup } from './print.ts'

export interface MicroRow {
  readonly subject: string
  readonly dimensions: Readonly<Record<string, string | number>>
  prepare(): Contender | Promise<Contender>
}

export interface MicroGroup {
  readonly id: string
  readonly title: string
  readonly text: readonly string[]
  readonly charts: readonly ChartSpec[]
  /** The subject that the others are compared with, where both have a row of the same dimensions. */
  readonly reference: string
  readonly rows: readonly MicroRow[]
}

export interface MicroBench {
  readonly name: string
  readonly title: string
  readonly method: readonly string[]
  readonly misleads: readonly string[]
  readonly groups: readonly MicroGroup[]
  bars(outcome: Outcome): Bar[]
}

/** Name of the figure of every row: CPU time a call. */
export const TIME = 'time'

const LEAST_REPEATS = 5
const MOST_REPEATS = 100
const DEFAULT_REPEATS = 7
const WORKER_FLAG = '--worker'

const METHOD = [
  'Each figure is CPU time of the process a call (user and system, helper threads of the garbage collector included), ' +
    'measured by mitata in batches of about 2 ms over 0.4 s, after a warm-up of 0.2 s. The mean of the batches counts, so garbage collection is in it.',
  'Every row of every repeat runs in a process of its own; odd repeats go through the rows backwards. Before it is timed, a ' +
    'row has to give the right answer, else it is disqualified and the run fails. What is measured is the compiled code of dist/.',
  'Ratios are taken within a repeat, then their median.',
]

/** Times of all rows, nanoseconds, by id and repeat. */
export class Outcome {
  readonly #timesNs: ReadonlyMap<string, readonly number[]>

  constructor(timesNs: ReadonlyMap<string, readonly number[]>) {
    this.#timesNs = timesNs
  }

  timesNs(id: string): readonly number[] {
    const times = this.#timesNs.get(id)
    if (times === undefined) throw new RangeError(`no row ${id}`)
    return times
  }

  medianNs(id: string): number {
    return figureOf('ns', this.timesNs(id)).median
  }

  /** How many times as long `id` takes as `other`, repeat by repeat. */
  ratio(id: string, other: string): Figure {
    const others = this.timesNs(other)
    return figureOf(
      '×',
      this.timesNs(id).map((time, repeat) => time / (others[repeat] ?? Number.NaN)),
    )
  }

  has(id: string): boolean {
    return this.#timesNs.has(id)
  }
}

/** A row gave a wrong answer. */
class DisqualifiedError extends Error {
  override readonly name = 'DisqualifiedError'
}

function rowId(group: { readonly id: string }, row: Pick<MicroRow, 'subject' | 'dimensions'>): string {
  return [group.id, row.subject, ...Object.values(row.dimensions)].join('/')
}

const FLAGS = {
  repeats: {
    kind: 'number',
    value: 'N',
    default: DEFAULT_REPEATS,
    min: LEAST_REPEATS,
    max: MOST_REPEATS,
    doc: 'Of every row; fewer show no spread',
  },
  only: {
    kind: 'text',
    value: 'TEXT',
    default: '',
    doc: 'Rows whose id contains it; prints, writes nothing',
  },
  output: { kind: 'text', value: 'DIR', doc: 'Where the JSON goes instead of bench/results' },
  from: {
    kind: 'text',
    value: 'dist|src',
    default: 'dist',
    doc: 'Code; src goes through tsx, not for figures',
  },
  smoke: { kind: 'switch', doc: 'Every row for a blink: shows that it works, writes nothing' },
} as const satisfies FlagTable

/** Runs as the command line says. Does not return in a worker before its rows are measured. */
export async function runMicroBench(bench: MicroBench, moduleUrl: string): Promise<void> {
  const words = process.argv.slice(2)
  if (words.includes(WORKER_FLAG)) {
    const ids = words.filter(word => !word.startsWith('--'))
    return work(bench, ids, words.includes('--smoke'))
  }
  const page = { command: `npm run bench:${bench.name}`, about: bench.title, flags: FLAGS }
  await runCommand(page, flags => measureAll(bench, moduleUrl, flags))
}

async function measureAll(
  bench: MicroBench,
  moduleUrl: string,
  flags: FlagValues<typeof FLAGS>,
): Promise<void> {
  const repeats = flags.smoke ? 1 : Math.round(flags.repeats)
  const codeFlag = takeCode()
  const ids = idsOf(bench).filter(id => id.includes(flags.only))
  const timesNs = new Map<string, number[]>(ids.map(id => [id, []]))
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const order = repeat % 2 === 0 ? ids : ids.toReversed()
    for (const batch of flags.smoke ? [order] : order.map(id => [id])) {
      for (const [id, timeNs] of measureInProcess(moduleUrl, [
        ...(flags.smoke ? ['--smoke'] : []),
        codeFlag,
        ...batch,
      ])) {
        timesNs.get(id)?.push(timeNs)
      }
    }
    process.stderr.write(`${bench.name}: repeat ${repeat + 1} of ${repeats} done\n`)
  }
  const outcome = new Outcome(timesNs)
  const groups = bench.groups.map(group => resultGroup(group, outcome)).filter(({ rows }) => rows.length > 0)
  for (const group of groups) printGroup(group)
  // Bars and files are about the whole bench.
  if (flags.only !== '') return
  const bars = bench.bars(outcome)
  printBars(bars)
  const directory = flags.output ?? (flags.smoke ? null : RESULTS_DIRECTORY)
  if (directory === null) return
  const { name, title, misleads } = bench
  const payload = {
    title,
    repeats,
    isSmoke: flags.smoke,
    method: [...METHOD, ...bench.method],
    misleads,
    groups,
    bars,
  }
  process.stdout.write(`\nwritten: ${await writeResults(name, payload, directory)}\n`)
}

/** In the worker: each row checked, timed, and checked again. A line of JSON for each; exit code 1 for a wrong answer. */
async function work(bench: MicroBench, ids: readonly string[], isSmoke: boolean): Promise<void> {
  for (const group of bench.groups) {
    for (const row of group.rows) {
      const id = rowId(group, row)
      if (!ids.includes(id)) continue
      const timeNs = await measureRow(row, isSmoke).catch((error: unknown) => {
        process.stderr.write(
          `${id} is disqualified: ${error instanceof Error ? error.message : String(error)}\n`,
        )
        return null
      })
      if (timeNs === null) process.exitCode = 1
      else process.stdout.write(`${JSON.stringify([id, timeNs])}\n`)
    }
  }
}

async function measureRow(row: MicroRow, isSmoke: boolean): Promise<number> {
  const contender = await row.prepare()
  await contender.check()
  const timeNs = await measureCall(contender, isSmoke ? SMOKE_BUDGET : FULL_BUDGET)
  contender.checkAfter?.()
  return timeNs
}

/** Throws when a row is disqualified; the worker has said which. */
function measureInProcess(moduleUrl: string, workerArgs: readonly string[]): [string, number][] {
  const args = ['--expose-gc', ...process.execArgv, fileURLToPath(moduleUrl), WORKER_FLAG, ...workerArgs]
  const { status, stdout } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new DisqualifiedError('a row does not give the right answer: nothing is compared')
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line) as [string, number])
}

function resultGroup(group: MicroGroup, outcome: Outcome): ResultGroup {
  const { id, title, text, charts, reference } = group
  const measured = group.rows.filter(row => outcome.has(rowId(group, row)))
  return {
    id,
    title,
    text,
    charts,
    rows: measured.map(row => {
      const own = rowId(group, row)
      const other = rowId(group, { subject: reference, dimensions: row.dimensions })
      const isCompared = own !== other && outcome.has(other)
      return {
        id: own,
        subject: row.subject,
        dimensions: row.dimensions,
        figures: {
          [TIME]: figureOf('ns', outcome.timesNs(own)),
          ...(isCompared ? { [`against ${reference}`]: outcome.ratio(own, other) } : {}),
        },
      }
    }),
  }
}

function idsOf({ groups }: MicroBench): string[] {
  return groups.flatMap(group => group.rows.map(row => rowId(group, row)))
}
