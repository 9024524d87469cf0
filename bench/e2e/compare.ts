/**
 * `npm run bench:compare`: our relay, the plain relay that most people write, the relay on AWS's SDK and the floor, in one
 * run, alternating, with TLS to the upstream. Writes bench/results/compare.json.
 */
import { FlagError, runCommand, type BenchPage, type FlagTable, type FlagValues } from '../command-line.ts'
import { figureOf, writeResults, type ResultGroup, type ResultRow } from '../results-format.ts'
import { judge, type Lookup } from './bars.ts'
import { makeCertificate } from './certificates.ts'
import { takeCode } from './code.ts'
import { canPin } from './child.ts'
import { measure, type Measurement } from './measure.ts'
import { ProgressLine, table } from './progress.ts'
import type { Candidate } from './relay-process.ts'
import { SCENARIOS, smokeOf, type Scenario } from './scenarios.ts'
import { CAVEATS, EXPLANATIONS, METHOD } from './texts.ts'

const SUBJECTS: Readonly<Record<Candidate, string>> = {
  ours: 'transcribe-relay',
  plain: 'plain relay (ws + AWS codec)',
  sdk: 'SDK relay (HTTP/2)',
  floor: 'floor (no relay logic)',
}
const KIB = 1024

const PAGE = {
  command: 'npm run bench:compare',
  about:
    'Our relay, the plain relay that most people write, the relay on the AWS SDK and the floor, in one run, alternating, with TLS to the upstream.',
  flags: {
    repeats: { kind: 'number', value: 'N', default: 5, min: 1, max: 20, doc: 'Of every measurement' },
    only: { kind: 'text', value: 'ID,…', doc: 'These scenarios alone; see --list' },
    candidates: { kind: 'text', value: 'NAME,…', doc: 'These alone of ours, plain, sdk, floor' },
    list: { kind: 'switch', doc: 'Prints the scenarios' },
    directory: { kind: 'text', value: 'DIR', doc: 'Where the JSON goes instead of bench/results' },
    profile: { kind: 'text', value: 'DIR', doc: 'Writes CPU profiles of the relays there' },
    from: { kind: 'text', value: 'dist|src', default: 'dist', doc: 'Code of our relay' },
    smoke: { kind: 'switch', doc: 'Ten sessions for a second: shows that it works' },
  },
} as const satisfies BenchPage<FlagTable>
type Flags = FlagValues<typeof PAGE.flags>

const progress = new ProgressLine()

await runCommand(PAGE, async flags => {
  const scenarios = chooseScenarios(flags)
  if (flags.list) for (const { id, title } of scenarios) process.stdout.write(`${id}: ${title}\n`)
  else await compare(flags, scenarios)
})

async function compare(flags: Flags, scenarios: readonly Scenario[]): Promise<void> {
  const repeats = flags.smoke ? 1 : Math.round(flags.repeats)
  if (!canPin()) progress.say('taskset is missing: processes move between cores, and figures with them')
  const measurements = await measureAll(flags, scenarios, repeats)
  const lookup: Lookup = (scenario, candidate) =>
    measurements.filter(entry => entry.scenario === scenario && entry.candidate === candidate)
  const groups = scenarios.map(scenario => groupOf(scenario, lookup))
  const bars = judge(lookup, EXPLANATIONS)
  const path = await writeResults(
    flags.smoke ? 'compare-smoke' : 'compare',
    {
      title: 'Our relay, two others and the floor',
      repeats,
      isSmoke: flags.smoke,
      method: METHOD,
      misleads: [...CAVEATS, ...doubtsOf(measurements)],
      groups,
      bars,
    },
    flags.directory,
  )
  // Of a smoke run they would say nothing.
  for (const { figure, limit, reached, relation, title } of flags.smoke ? [] : bars) {
    const { median, max, min, unit } = figure
    progress.say(
      `${reached ? 'reached' : 'MISSED '}  ${title}: ${median} ${unit} (${min}–${max}), ${relation} ${limit}`,
    )
  }
  progress.say(`written: ${path}`)
}

/** Candidates alternate within a scenario, so that a machine that changes changes for all. */
async function measureAll(
  flags: Flags,
  scenarios: readonly Scenario[],
  repeats: number,
): Promise<readonly Measurement[]> {
  const code = takeCode(flags.from)
  const certificate = makeCertificate()
  const measurements: Measurement[] = []
  try {
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const scenario of scenarios) {
        const { candidates } = scenario
        for (let turn = 0; turn < candidates.length; turn++) {
          const candidate = candidates[(turn + repeat) % candidates.length]
          if (candidate === undefined) continue
          // Never two at a time.
          // oxlint-disable-next-line no-await-in-loop
          const measurement = await measure(candidate, flags.smoke ? smokeOf(scenario) : scenario, {
            certificate,
            entryFile: code.entryFile,
            generators: 1,
            profileFolder: flags.profile ?? null,
            onProgress: text => progress.show(`${repeat + 1}/${repeats} ${text}`),
          })
          measurements.push(measurement)
          progress.say(summaryOf(measurement))
        }
      }
    }
  } finally {
    certificate.remove()
    code.remove()
  }
  return measurements
}

function groupOf(scenario: Scenario, lookup: Lookup): ResultGroup {
  const rows = scenario.candidates.flatMap((candidate): ResultRow[] => {
    const all = lookup(scenario.id, candidate)
    return all.length === 0 ? [] : [rowOf(scenario, candidate, all)]
  })
  const errors = scenario.candidates.flatMap(candidate =>
    lookup(scenario.id, candidate).flatMap(({ errors: counts }) =>
      Object.entries(counts).map(([code, count]) => `${SUBJECTS[candidate]}: ${count} × ${code}`),
    ),
  )
  return {
    id: scenario.id,
    title: scenario.title,
    text:
      errors.length === 0 ? [] : [`Sessions that ended with an error: ${[...new Set(errors)].join('; ')}.`],
    charts: [],
    rows,
  }
}

function rowOf(scenario: Scenario, candidate: Candidate, all: readonly Measurement[]): ResultRow {
  const hasAudio = !scenario.isIdle
  const hasResults = all.every(({ added }) => added.count > 0)
  const isStorm = scenario.warmupMs === 0
  return {
    id: `${scenario.id}-${candidate}`,
    subject: SUBJECTS[candidate],
    dimensions: { sessions: scenario.sessions, 'frame ms': scenario.chunkMs },
    figures: {
      ...(hasAudio
        ? {
            'CPU per frame': figureOf(
              'µs',
              all.map(entry => entry.cpuPerFrameMicros),
            ),
            'of it in the kernel': figureOf(
              'µs',
              all.map(entry => entry.systemPerFrameMicros),
            ),
            'CPU per audio second': figureOf(
              'µs',
              all.map(entry => entry.cpuPerAudioSecondMicros),
            ),
          }
        : {}),
      'CPU of one core': figureOf(
        '%',
        all.map(entry => entry.relayShare * 100),
      ),
      ...(hasResults
        ? {
            'added p50': figureOf(
              'ms',
              all.map(entry => entry.added.p50Ms),
            ),
            'added p90': figureOf(
              'ms',
              all.map(entry => entry.added.p90Ms),
            ),
            'added p99': figureOf(
              'ms',
              all.map(entry => entry.added.p99Ms),
            ),
            'added p99.9': figureOf(
              'ms',
              all.map(entry => entry.added.p999Ms),
            ),
          }
        : {}),
      ...(isStorm
        ? {
            'connect p99': figureOf(
              'ms',
              all.map(entry => entry.connect.p99Ms),
            ),
          }
        : {}),
      'memory per session': figureOf(
        'KiB',
        all.map(entry => entry.bytesPerSession / KIB),
      ),
      'resident memory': figureOf(
        'MiB',
        all.map(entry => entry.peakRssBytes / KIB / KIB),
      ),
      'loop delay p99': figureOf(
        'ms',
        all.map(entry => entry.loopDelayP99Ms),
      ),
      sessions: figureOf(
        'count',
        all.map(entry => entry.openSessions),
      ),
      'load core': figureOf(
        '%',
        all.map(entry => entry.loadShare * 100),
      ),
    },
  }
}

function summaryOf(entry: Measurement): string {
  const cells = [
    `${entry.scenario.padEnd(18)} ${entry.candidate.padEnd(5)}`,
    `${entry.cpuPerFrameMicros.toFixed(1)} µs/frame`,
    `kernel ${entry.systemPerFrameMicros.toFixed(1)}`,
    `core ${(entry.relayShare * 100).toFixed(0)} %`,
    `added p50 ${entry.added.p50Ms.toFixed(2)} p99 ${entry.added.p99Ms.toFixed(2)} ms`,
    `${(entry.bytesPerSession / KIB).toFixed(0)} KiB/session`,
    `load ${(entry.loadShare * 100).toFixed(0)} %`,
    ...Object.entries(entry.errors).map(([code, count]) => `${count}×${code}`),
    ...entry.doubts,
  ]
  return table([cells])
}

function doubtsOf(measurements: readonly Measurement[]): string[] {
  return measurements.flatMap(({ candidate, doubts, scenario }) =>
    doubts.map(doubt => `Not valid, ${scenario}, ${SUBJECTS[candidate]}: ${doubt}.`),
  )
}

function chooseScenarios(flags: Flags): readonly Scenario[] {
  const only = flags.only?.split(',')
  const candidates = flags.candidates?.split(',')
  const unknown = only?.filter(id => !SCENARIOS.some(scenario => scenario.id === id)) ?? []
  if (unknown.length > 0) throw new FlagError(`--only names no scenario: ${unknown.join(', ')}; see --list`)
  return SCENARIOS.filter(({ id }) => only?.includes(id) ?? true).map(scenario => ({
    ...scenario,
    candidates: scenario.candidates.filter(name => candidates?.includes(name) ?? true),
  }))
}
