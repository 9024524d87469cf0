/**
 * What a bench leaves behind: `bench/results/<name>.json`, from which `bench/report/` renders docs/performance.md.
 *
 * A file describes itself: each figure has its unit and all its repeats, each table its charts, each bar its outcome, and
 * the method and the caveats are beside the figures. So the report needs to know no bench, and a new bench needs
 * nothing but `writeResults`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { format, resolveConfig } from 'prettier'

export const RESULTS_FORMAT_VERSION = 1
export const ROOT_DIRECTORY = fileURLToPath(new URL('..', import.meta.url))
export const RESULTS_DIRECTORY = join(ROOT_DIRECTORY, 'bench', 'results')

/** `×` is a ratio; `count` anything counted; rates are per second of real time. */
export type Unit = 'ns' | 'µs' | 'ms' | 's' | 'bytes' | 'KiB' | 'MiB' | 'count' | 'per second' | '%' | '×'

/** One measured quantity over all repeats. `iqr` is the distance between the quartiles. */
export interface Figure {
  readonly unit: Unit
  /** One per repeat, in the order of measuring. */
  readonly values: readonly number[]
  readonly median: number
  readonly min: number
  readonly max: number
  readonly iqr: number
}

export interface ResultRow {
  /** Unique in its group; comments in src/ name it. */
  readonly id: string
  /** Who or what was measured; the series of a chart and the first column of a table. */
  readonly subject: string
  /** What was varied: `{ 'audio bytes': 3200 }`, `{ sessions: 100, 'frame ms': 20 }`. Columns of the table. */
  readonly dimensions: Readonly<Record<string, string | number>>
  /** By name: `{ time: … }`, `{ 'p50 added latency': …, 'CPU per frame': … }`. Columns of the table. */
  readonly figures: Readonly<Record<string, Figure>>
}

/** A chart of one figure: groups along the x axis by one dimension, one series a subject. */
export interface ChartSpec {
  /** Unique over all results; name of the SVG file. */
  readonly id: string
  readonly title: string
  readonly kind: 'bar' | 'line'
  readonly figure: string
  readonly dimension: string
  readonly scale: 'linear' | 'log'
}

export interface ResultGroup {
  readonly id: string
  readonly title: string
  /** Paragraphs between the title and the table. */
  readonly text: readonly string[]
  readonly charts: readonly ChartSpec[]
  readonly rows: readonly ResultRow[]
}

/** A promise about the figures, and whether it is kept. Judged by the median. */
export interface Bar {
  readonly id: string
  readonly title: string
  readonly relation: 'at least' | 'at most'
  readonly limit: number
  readonly figure: Figure
  readonly reached: boolean
  /** What the profile shows; printed when the bar is not reached. */
  readonly explanation: readonly string[]
}

/** What a bench knows; the rest is found out by `writeResults`. */
export interface ResultsPayload {
  readonly title: string
  /** How often everything was measured, each time in fresh processes. */
  readonly repeats: number
  /** A run of seconds that shows that the bench works. Its figures mean nothing and are never rendered. */
  readonly isSmoke: boolean
  /** How it was measured, a paragraph each. */
  readonly method: readonly string[]
  /** What a reader could conclude wrongly, a paragraph each. */
  readonly misleads: readonly string[]
  readonly groups: readonly ResultGroup[]
  readonly bars: readonly Bar[]
}

export interface Environment {
  readonly commit: string
  /** Whether the code measured differs from that commit. */
  readonly isModified: boolean
  /** ISO 8601, UTC. */
  readonly date: string
  readonly node: string
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  /** Runnable processes over the last minute: above `cores`, others disturbed the figures. */
  readonly loadAverage: number
}

export interface Results extends ResultsPayload {
  readonly formatVersion: typeof RESULTS_FORMAT_VERSION
  readonly name: string
  readonly environment: Environment
}

/** Throws `RangeError` without values, or when one is no finite number: a broken bench must not look like a figure. */
export function figureOf(unit: Unit, values: readonly number[]): Figure {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new RangeError(`A figure needs finite values; got [${values.join(', ')}].`)
  }
  const sorted = values.toSorted((a, b) => a - b)
  return {
    unit,
    values: values.map(round),
    median: round(quantile(sorted, 0.5)),
    min: round(quantile(sorted, 0)),
    max: round(quantile(sorted, 1)),
    iqr: round(quantile(sorted, 0.75) - quantile(sorted, 0.25)),
  }
}

/** Judges `figure` by its median. */
export function barOf(bar: Omit<Bar, 'reached'>): Bar {
  const { relation, limit, figure } = bar
  return { ...bar, reached: relation === 'at least' ? figure.median >= limit : figure.median <= limit }
}

/** Of sorted values, with linear interpolation. */
export function quantile(sorted: readonly number[], share: number): number {
  const position = share * (sorted.length - 1)
  const below = sorted[Math.floor(position)] ?? Number.NaN
  const above = sorted[Math.ceil(position)] ?? Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}

/** Six digits: more is noise, and makes files that nobody can compare. */
function round(value: number): number {
  return Number(value.toPrecision(6))
}

/** Writes `<name>.json` whole or not at all, and returns its path. `name` is also the order key of the report. */
export async function writeResults(
  name: string,
  payload: ResultsPayload,
  directory = RESULTS_DIRECTORY,
): Promise<string> {
  if (!/^[a-z][a-z0-9-]*$/.test(name)) throw new RangeError(`name is "${name}"; it must be lower-case words.`)
  const results: Results = {
    formatVersion: RESULTS_FORMAT_VERSION,
    name,
    environment: describeEnvironment(),
    ...payload,
  }
  const path = join(directory, `${name}.json`)
  mkdirSync(directory, { recursive: true })
  writeFileSync(`${path}.part`, await prettify(JSON.stringify(results), path))
  renameSync(`${path}.part`, path)
  return path
}

/** Reads what `writeResults` wrote. Throws for a file of another format version. */
export function readResults(path: string): Results {
  const results = JSON.parse(readFileSync(path, 'utf8')) as Partial<Results>
  if (results.formatVersion !== RESULTS_FORMAT_VERSION) {
    throw new RangeError(
      `${path} has format version ${results.formatVersion}; this tree reads ${RESULTS_FORMAT_VERSION}.`,
    )
  }
  return results as Results
}

/** As the project formats such a file: generated files pass the same check as written ones. */
export async function prettify(text: string, path: string): Promise<string> {
  const config = await resolveConfig(join(ROOT_DIRECTORY, 'package.json'))
  return format(text, { ...config, filepath: path })
}

function describeEnvironment(): Environment {
  const processors = cpus()
  return {
    commit: git('rev-parse', '--short=12', 'HEAD') ?? 'unknown',
    isModified: git('status', '--porcelain', '--', 'src', 'bench/*.ts', 'package-lock.json') !== '',
    date: new Date().toISOString(),
    node: process.version,
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    kernel: release(),
    loadAverage: round(loadavg()[0] ?? 0),
  }
}

/** `null` outside a git checkout: a bench runs from a tarball too. */
function git(...args: readonly string[]): string | null {
  try {
    return execFileSync('git', args, {
      cwd: ROOT_DIRECTORY,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return null
  }
}
