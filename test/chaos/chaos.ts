/**
 * Sessions of real speech whose streams are killed all the time, in every way that another stream cures: no client may
 * miss a word, hear one twice, or see time go back, and every byte of it has to arrive.
 *
 *      this process            `serve`          upstream.ts
 *      clients  ──ws──▶  relay process  ──▶  bad network ──▶ emulator that kills and compares
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Child } from '../../bench/e2e/child.ts'
import { usageOf } from '../support/process-usage.ts'
import { createRandom } from '../support/random.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import type { Closing } from '../support/world.ts'
import { compareWords, type PlacedWord } from './compare.ts'
import { ChaosSession, type SessionResult } from './session.ts'
import { createTape, TAPE_BYTES_PER_SECOND } from './tape.ts'
import type { UpstreamConfig, UpstreamReport } from './upstream.ts'
import { hearUndisturbed } from './undisturbed.ts'

export interface ChaosOptions {
  readonly sessions: number
  /** Of audio for each session. */
  readonly audioSeconds: number
  /** Times real time. */
  readonly speed: number
  readonly seed: number
  /** Mean life of a stream, seconds of real time. */
  readonly killEverySeconds: number
}

export interface ChaosReport {
  /** What is wrong; empty if nothing is. */
  readonly problems: readonly string[]
  readonly wallSeconds: number
  readonly words: number
  readonly lostWords: number
  readonly repeatedWords: number
  readonly maxShiftSeconds: number
  readonly kills: Readonly<Record<string, number>>
  readonly rollovers: Readonly<Record<string, number>>
  readonly replayedSeconds: number
  readonly connections: number
  readonly relayCpuSeconds: number
  readonly relayRssMiB: { readonly start: number; readonly peak: number; readonly end: number }
}

const UPSTREAM = fileURLToPath(new URL('upstream.ts', import.meta.url))
const SEND_INTERVAL_MS = 20
/** Sessions begin over so much of the run. */
const RAMP_SHARE = 0.05
/** Places of words are rounded to milliseconds, twice; a word that a replay cuts begins at the cut. */
const MAX_SHIFT_SECONDS = 0.12
const MAX_PROBLEMS = 20

/** For deaths every few seconds instead of every few hours, and for audio that comes many times as fast. */
function relayFlags({ sessions, speed }: ChaosOptions, endpoint: string): Record<string, string | number> {
  return {
    endpoint,
    'max-sessions': sessions + 10,
    'log-level': 'info',
    'pace-rate': speed * 3,
    'pace-burst-ms': 120_000,
    'messages-per-second': 10_000,
    'replay-seconds': 300,
    'rollover-attempts': 100,
    'rollover-backoff-ms': 50,
    'dial-attempts': 10,
    'dial-backoff-ms': 20,
    'connect-timeout-ms': 3000,
    'rollover-gap-ms': 120_000,
    'upstream-stall-ms': 2000,
    'upstream-ping-interval-ms': 1000,
    'upstream-close-timeout-ms': 1000,
    'pending-audio-bytes': 16 * 1024 * 1024,
    'upstream-buffer-bytes': 33 * 1024 * 1024,
    'client-soft-buffer-bytes': 4 * 1024 * 1024,
    'client-partials-buffer-bytes': 1024 * 1024,
    'client-hard-buffer-bytes': 8 * 1024 * 1024,
    'tick-ms': 20,
  }
}

export async function runChaos(t: Closing, options: ChaosOptions): Promise<ChaosReport> {
  const { audioSeconds, seed, sessions, speed } = options
  const tape = createTape(audioSeconds, seed)
  const expected = hearUndisturbed(tape)
    .flatMap(({ words }) => words)
    .map(({ Content: text, EndTime: end, StartTime: start }): PlacedWord => ({ text, start, end }))
  const upstream = startUpstream(t, { ...options, tapeSeconds: audioSeconds })
  const { url: endpoint } = await upstream.ask<{ url: string }>('start')
  const relay = await startRelayProcess(t, { flags: relayFlags(options, endpoint) })
  await upstream.ask('arm')

  const startedMs = performance.now()
  const rss = { start: usageOf(relay.pid).residentMiB, peak: 0, end: 0 }
  const clients = startClients(t, relay.url, tape.pcm, options)
  const results = await Promise.all(clients.map(client => client.then(({ done }) => done)))
  const wallSeconds = (performance.now() - startedMs) / 1000
  const usage = usageOf(relay.pid)
  rss.peak = usage.peakResidentMiB
  rss.end = usage.residentMiB
  const heard = await upstream.ask<UpstreamReport>('report')
  const exitCode = await relay.stop()

  const problems: string[] = []
  if (exitCode !== 0) problems.push(`the relay ended with ${exitCode}`)
  for (const line of relay.lines()) {
    const isBad = line['level'] === 'error' || line['level'] === 'fatal'
    const hasFailed = line.message === 'session ended' && line['reason'] !== 'normal'
    if (isBad || hasFailed) problems.push(`the relay logged ${JSON.stringify(line)}`)
  }
  const sums = { lost: 0, repeated: 0, maxShiftSeconds: 0, replayedSeconds: 0 }
  const rollovers: Record<string, number> = {}
  for (const [number, result] of results.entries()) {
    const { lost, maxShiftSeconds, repeated } = compareWords(expected, result.words)
    sums.lost += lost.length
    sums.repeated += repeated.length
    sums.maxShiftSeconds = Math.max(sums.maxShiftSeconds, maxShiftSeconds)
    sums.replayedSeconds += result.replayedSeconds
    for (const [reason, count] of Object.entries(result.rollovers)) {
      rollovers[reason] = (rollovers[reason] ?? 0) + count
    }
    const about = heard.heard.find(({ client }) => client === nameOf(number))
    problems.push(
      ...problemsOf(result).map(text => `session ${number}: ${text}`),
      ...(lost.length > 0 ? [`session ${number}: lost ${describe(lost)}`] : []),
      ...(repeated.length > 0 ? [`session ${number}: once too often ${describe(repeated)}`] : []),
    )
    if (maxShiftSeconds > MAX_SHIFT_SECONDS) {
      problems.push(`session ${number}: a word is ${maxShiftSeconds.toFixed(3)} s from its place`)
    }
    if (about?.wholeBytes !== tape.pcm.length || about.foreignPieces > 0) {
      problems.push(
        `session ${number}: ${about?.wholeBytes ?? 0} of ${tape.pcm.length} bytes arrived whole, ${about?.foreignPieces ?? 0} pieces are not of the client`,
      )
    }
  }
  if (results.length !== sessions) problems.push(`${results.length} of ${sessions} sessions`)
  return {
    problems: problems.slice(0, MAX_PROBLEMS),
    wallSeconds,
    words: expected.length * sessions,
    lostWords: sums.lost,
    repeatedWords: sums.repeated,
    maxShiftSeconds: sums.maxShiftSeconds,
    kills: heard.kills,
    rollovers,
    replayedSeconds: sums.replayedSeconds,
    connections: heard.connections,
    relayCpuSeconds: usage.cpuSeconds,
    relayRssMiB: rss,
  }

  function describe(words: readonly PlacedWord[]): string {
    const places = words.slice(0, 3).map(({ start, text }) => `"${text}" at ${start.toFixed(3)} s`)
    return `${words.length} words: ${places.join(', ')}`
  }

  function problemsOf(result: SessionResult): string[] {
    return [
      ...(result.close === '1000 normal' ? [] : [`closed with ${result.close}`]),
      ...(result.lostSeconds > 0 ? [`${result.lostSeconds} s said to be lost`] : []),
      ...result.disorder,
    ]
  }

  function startClients(
    closing: Closing,
    url: string,
    pcm: Buffer,
    { speed: times }: ChaosOptions,
  ): Promise<ChaosSession>[] {
    const open = new Map<ChaosSession, number>()
    const sender = setInterval(() => {
      for (const [session, sinceMs] of open) {
        session.sendUntil(((performance.now() - sinceMs) / 1000) * times * TAPE_BYTES_PER_SECOND)
      }
    }, SEND_INTERVAL_MS)
    closing.teardown(() => clearInterval(sender))
    const rampMs = (audioSeconds / speed) * 1000 * RAMP_SHARE
    return Array.from({ length: sessions }, async (_, number) => {
      await new Promise(resolve => setTimeout(resolve, (number / sessions) * rampMs))
      const query = `words=true&vocabulary-name=${nameOf(number)}&partials=${number % 4 === 0}`
      const session = new ChaosSession(`${url}?${query}`, pcm, createRandom(seed + number))
      open.set(session, performance.now())
      closing.teardown(() => session.terminate())
      return session
    })
  }
}

function nameOf(number: number): string {
  return `chaos-${number}`
}

function startUpstream(t: Closing, config: UpstreamConfig): Child {
  const child = new Child(
    fork(UPSTREAM, [JSON.stringify(config)], {
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  )
  t.teardown(() => child.kill())
  return child
}
