/**
 * One measurement: upstream, relay and generators in fresh processes, ramp, warm-up, a steady window between two
 * marks, and an end in good order.
 *
 * The relay has a core of its own; generators and upstream share another. Whether they were the bottleneck is part of
 * the result.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { BenchCertificate } from './certificates.ts'
import { canPin, startChild, type Child } from './child.ts'
import type { UpstreamConfig } from './emulator-process.ts'
import { Fleet, type FleetReport, type Quantiles } from './fleet.ts'
import type { Candidate, RelayConfig } from './relay-process.ts'
import type { Scenario } from './scenarios.ts'
import { readProcess, type Usage } from './usage.ts'

export interface Measurement {
  readonly candidate: Candidate
  readonly scenario: string
  readonly openSessions: number
  readonly framesPerSecond: number
  readonly resultsPerSecond: number
  /** CPU of the relay for one frame of a client, and for one second of audio. */
  readonly cpuPerFrameMicros: number
  readonly cpuPerAudioSecondMicros: number
  /** Of the CPU for one frame, in the kernel. */
  readonly systemPerFrameMicros: number
  /** CPU time of the relay over time: 1 is one core. */
  readonly relayShare: number
  readonly added: Quantiles
  readonly connect: Quantiles
  readonly loopDelayP99Ms: number
  readonly idleRssBytes: number
  readonly rssBytes: number
  readonly peakRssBytes: number
  readonly bytesPerSession: number
  readonly errors: Readonly<Record<string, number>>
  /** Sessions that the relay did not close after the end of their audio. */
  readonly leftOpen: number
  /** Generators and upstream together, which share a core where processes can be pinned. */
  readonly loadShare: number
  readonly generatorShare: number
  readonly upstreamShare: number
  readonly generatorLateP99Ms: number
  /** Empty: the figures are the relay's. */
  readonly doubts: readonly string[]
}

export interface MeasureOptions {
  readonly certificate: BenchCertificate
  /** Of our relay. */
  readonly entryFile: string
  readonly generators: number
  /** Folder for a CPU profile of the relay in the steady window, which makes it slower; or `null`. */
  readonly profileFolder: string | null
  readonly onProgress: (text: string) => void
}

const RELAY_CORE = 0
const LOAD_CORE = 1
/** Above it, the load's own core delays what is measured. */
export const MAX_LOAD_SHARE = 0.85
const MAX_LATE_P99_MS = 10
const PROGRESS_MS = 1000
const RAMP_GRACE_MS = 15_000
const EXAMPLE_CREDENTIALS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}

interface UpstreamAddress {
  readonly webSocketUrl: string
  readonly http2Url: string
}

export async function measure(
  candidate: Candidate,
  scenario: Scenario,
  options: MeasureOptions,
): Promise<Measurement> {
  const isPinned = canPin()
  const { certificate } = options
  const upstream = startChild('emulator-process.ts', {
    config: { ...certificate, ...scenario, isSlow: scenario.isUpstreamSlow } satisfies UpstreamConfig,
    core: isPinned ? LOAD_CORE : null,
  })
  let relay: Child | null = null
  let fleet: Fleet | null = null
  try {
    const address = await upstream.ask<UpstreamAddress>('start')
    relay = startChild('relay-process.ts', {
      config: {
        ...relayConfig(candidate, scenario, address),
        entryFile: options.entryFile,
      } satisfies RelayConfig,
      core: isPinned ? RELAY_CORE : null,
      env: { NODE_EXTRA_CA_CERTS: certificate.certFile },
    })
    const { url } = await relay.ask<{ url: string }>('start')
    fleet = new Fleet({
      ...scenario,
      url,
      token: null,
      isSlow: scenario.isClientSlow,
      processes: options.generators,
      core: isPinned ? LOAD_CORE : null,
      caFile: null,
    })
    return await run(candidate, scenario, { upstream, relay, fleet, isPinned }, options)
  } finally {
    await Promise.all([fleet?.kill(), relay?.kill(), upstream.kill()])
  }
}

interface Parts {
  readonly upstream: Child
  readonly relay: Child
  readonly fleet: Fleet
  readonly isPinned: boolean
}

async function run(
  candidate: Candidate,
  scenario: Scenario,
  { fleet, isPinned, relay, upstream }: Parts,
  { onProgress, profileFolder }: MeasureOptions,
): Promise<Measurement> {
  const say = (phase: string, text: string): void =>
    onProgress(`${candidate}: ${scenario.title}: ${phase}, ${text}`)
  const idle = await relay.ask<Usage>('usage')
  if (scenario.warmupMs === 0) await fleet.mark()
  const beforeRamp = await relay.ask<Usage>('usage')
  const upstreamBeforeRamp = await upstream.ask<Usage>('usage')
  await fleet.start()
  let peakRssBytes = 0
  const isStorm = scenario.warmupMs === 0
  if (!isStorm) {
    await waitForRamp(fleet, scenario, open => say('ramp', `${open} open`))
    await wait(scenario.warmupMs)
    await fleet.mark()
  }
  const before = isStorm ? beforeRamp : await relay.ask<Usage>('usage')
  const upstreamBefore = isStorm ? upstreamBeforeRamp : await upstream.ask<Usage>('usage')
  if (profileFolder !== null) await relay.ask<null>('profileStart')
  const endsMs = performance.now() + scenario.steadyMs
  for (let leftMs = scenario.steadyMs; leftMs > 0; leftMs = endsMs - performance.now()) {
    // One second after the other is the point.
    // oxlint-disable-next-line no-await-in-loop
    await wait(Math.min(PROGRESS_MS, leftMs))
    const rssBytes = readProcess(relay.pid)?.rssBytes ?? 0
    peakRssBytes = Math.max(peakRssBytes, rssBytes)
    // oxlint-disable-next-line no-await-in-loop
    const { errorCount, openSessions, sentFrames } = await fleet.progress()
    const mib = (rssBytes / 1024 / 1024).toFixed(0)
    say('steady', `${openSessions} open, ${sentFrames} frames, ${mib} MiB, ${errorCount} errors`)
  }
  const [after, upstreamAfter, report] = await Promise.all([
    relay.ask<Usage>('usage'),
    upstream.ask<Usage>('usage'),
    fleet.report(),
  ])
  if (profileFolder !== null) {
    const profile = await relay.ask<string>('profileStop')
    mkdirSync(profileFolder, { recursive: true })
    writeFileSync(join(profileFolder, `${scenario.id}-${candidate}.cpuprofile`), profile)
  }
  say('stop', 'waiting for the last results')
  const leftOpen = scenario.isClientSlow || scenario.isUpstreamSlow ? 0 : await fleet.finish()
  const relayMicros = after.cpuMicros - before.cpuMicros
  const upstreamShare = (upstreamAfter.cpuMicros - upstreamBefore.cpuMicros) / 1000 / report.elapsedMs
  const generatorShare = report.cpuMicros / 1000 / report.elapsedMs
  const loadShare = isPinned ? generatorShare + upstreamShare : Math.max(report.busiestShare, upstreamShare)
  const audioSeconds = (report.sentFrames * scenario.chunkMs) / 1000
  return {
    candidate,
    scenario: scenario.id,
    openSessions: report.openSessions,
    framesPerSecond: report.sentFrames / (report.elapsedMs / 1000),
    resultsPerSecond: report.results / (report.elapsedMs / 1000),
    cpuPerFrameMicros: relayMicros / Math.max(1, report.sentFrames),
    cpuPerAudioSecondMicros: relayMicros / Math.max(1, audioSeconds),
    systemPerFrameMicros: (after.systemMicros - before.systemMicros) / Math.max(1, report.sentFrames),
    relayShare: relayMicros / 1000 / report.elapsedMs,
    added: report.latency,
    connect: report.connect,
    loopDelayP99Ms: after.loopDelayP99Ms,
    idleRssBytes: idle.rssBytes,
    rssBytes: after.rssBytes,
    peakRssBytes: Math.max(peakRssBytes, after.rssBytes),
    bytesPerSession: (after.rssBytes - idle.rssBytes) / scenario.sessions,
    errors: report.errors,
    leftOpen,
    loadShare,
    generatorShare,
    upstreamShare,
    generatorLateP99Ms: report.lateness.p99Ms,
    doubts: doubtsOf(scenario, report, loadShare),
  }
}

function doubtsOf(scenario: Scenario, report: FleetReport, loadShare: number): readonly string[] {
  const doubts: string[] = []
  const percent = Math.round(loadShare * 100)
  if (loadShare > MAX_LOAD_SHARE) doubts.push(`the load's own core was the bottleneck (${percent} %)`)
  const isSlow = scenario.isClientSlow || scenario.isUpstreamSlow
  if (!isSlow && scenario.warmupMs > 0 && report.lateness.p99Ms > MAX_LATE_P99_MS) {
    doubts.push(`the generator was late (p99 ${report.lateness.p99Ms.toFixed(1)} ms)`)
  }
  if (!isSlow && report.openSessions < scenario.sessions) {
    doubts.push(`${report.openSessions} of ${scenario.sessions} sessions were open`)
  }
  return doubts
}

async function waitForRamp(fleet: Fleet, scenario: Scenario, onOpen: (open: number) => void): Promise<void> {
  const deadlineMs = performance.now() + (scenario.sessions / scenario.rampPerSecond) * 1000 + RAMP_GRACE_MS
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop
    const { openSessions } = await fleet.progress()
    onOpen(openSessions)
    if (openSessions >= scenario.sessions || performance.now() > deadlineMs) return
    // oxlint-disable-next-line no-await-in-loop
    await wait(PROGRESS_MS / 4)
  }
}

function relayConfig(
  candidate: Candidate,
  { sessions }: Scenario,
  address: UpstreamAddress,
): Omit<RelayConfig, 'entryFile'> {
  return {
    ...address,
    candidate,
    region: 'us-east-1',
    credentials: EXAMPLE_CREDENTIALS,
    // Sessions of the ramp before may still be closing.
    maxSessions: sessions * 2,
  }
}
