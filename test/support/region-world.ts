/**
 * Regions in memory: a region dialer over dials that the test plays, with a clock that stands still.
 */
import { RelayError } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import type {
  Dial,
  DialRequest,
  UpstreamEnd,
  UpstreamListener,
  UpstreamOpening,
} from '../../src/session/ports.ts'
import type { DialTerms } from '../../src/upstream/dial.ts'
import { RegionDialer } from '../../src/upstream/region-dialer.ts'
import type { RegionDialerLimits } from '../../src/upstream/region-dialer.ts'
import { RegionLine } from '../../src/upstream/region-line.ts'
import type { RegionLineParts } from '../../src/upstream/region-line.ts'
import type { StreamQuota } from '../../src/upstream/stream-quota.ts'
import { LocalQuota } from '../../src/upstream/stream-quota.ts'
import { ManualClock } from './manual-clock.ts'
import { MemoryUpstream, OPENING } from './memory-ports.ts'

/** One dial in one region, as the region dialer started it. */
export class PlayedDial implements Dial {
  readonly region: string
  readonly request: DialRequest
  readonly terms: DialTerms
  readonly upstream: MemoryUpstream
  readonly #listener: UpstreamListener
  isCanceled = false

  constructor(region: string, request: DialRequest, listener: UpstreamListener, terms: DialTerms) {
    this.region = region
    this.request = request
    this.terms = terms
    this.#listener = listener
    this.upstream = new MemoryUpstream(listener)
  }

  cancel(): void {
    this.isCanceled = true
    this.terms.gate.abandon()
  }

  /** Says whether the breaker let it through; a dial that was not let through fails. */
  enter(): boolean {
    const isLetThrough = this.terms.gate.enter()
    if (!isLetThrough) this.#listener.upstreamOnFailure(new RelayError('upstream_unavailable'))
    return isLetThrough
  }

  open(): void {
    if (!this.enter()) return
    this.terms.gate.settle(null)
    this.#listener.upstreamOnOpen(this.upstream, { ...OPENING, region: this.region })
  }

  /** One connection, which fails, and no other is tried. */
  fail(code: ErrorCode): void {
    if (!this.enter()) return
    this.terms.gate.settle(code)
    this.#listener.upstreamOnFailure(new RelayError(code))
  }

  end(end: Partial<UpstreamEnd> = {}): void {
    this.#listener.upstreamOnClose({ closeCode: 1000, reason: '', error: null, ...end })
  }
}

export class PlayedListener implements UpstreamListener {
  opening: UpstreamOpening | null = null
  upstream: MemoryUpstream | null = null
  error: RelayError | null = null
  messages = 0
  isClosed = false

  upstreamOnOpen(upstream: MemoryUpstream, opening: UpstreamOpening): void {
    this.upstream = upstream
    this.opening = opening
  }

  upstreamOnMessage(): void {
    this.messages += 1
  }

  upstreamOnClose(): void {
    this.isClosed = true
  }

  upstreamOnFailure(error: RelayError): void {
    this.error = error
  }
}

export interface PlayedRegion {
  readonly name: string
  readonly streams?: number
  readonly startsPerSecond?: number
  readonly reservedStreams?: number
  readonly quota?: StreamQuota
  readonly credentials?: RegionLineParts['credentials']
}

const READY: RegionLineParts['credentials'] = { readiness: () => ({ ready: true, reason: null }) }

const STEP_MS = 50

const LIMITS: RegionDialerLimits = {
  dialAttempts: 3,
  dialDeadlineMs: 15_000,
  startQueueLength: 100,
  startQueueMs: 5000,
}

export class RegionWorld {
  readonly clock = new ManualClock()
  readonly dials: PlayedDial[] = []
  readonly spills: string[] = []
  readonly refusals: string[] = []
  readonly queueSeconds: number[] = []
  readonly log: string[] = []
  readonly dialer: RegionDialer
  #sessions = 0

  constructor(regions: readonly PlayedRegion[], limits: Partial<RegionDialerLimits> = {}) {
    const { clock } = this
    this.dialer = new RegionDialer({
      clock,
      limits: { ...LIMITS, ...limits },
      metrics: {
        countSpill: (region, reason) => this.spills.push(`${region} ${reason}`),
        countRegionStream: () => {},
        observeQueueSeconds: seconds => this.queueSeconds.push(seconds),
        countQueueRefusal: reason => this.refusals.push(reason),
      },
      createLines: onRoom =>
        regions.map(given => {
          const { name, quota, credentials = READY } = given
          const { streams = 0, startsPerSecond = 0, reservedStreams = 0 } = given
          const size = { streams, startsPerSecond, reservedStreams }
          return new RegionLine({
            name,
            clock,
            dialer: {
              dial: (request, listener, terms) => {
                if (terms === undefined) throw new Error('a dial without terms')
                const dial = new PlayedDial(name, request, listener, terms)
                this.dials.push(dial)
                return dial
              },
            },
            quota: quota ?? new LocalQuota(size, clock),
            credentials,
            breaker: { failures: 2, openMs: 1000 },
            log: {
              regionOnBreaker: ({ region, state }) => this.log.push(`${region} ${state}`),
              regionOnDrain: ({ region, isDraining }) => this.log.push(`${region} draining ${isDraining}`),
            },
            onRoom,
          })
        }),
    })
  }

  get last(): PlayedDial {
    const dial = this.dials.at(-1)
    if (dial === undefined) throw new Error('nothing was dialled')
    return dial
  }

  /** Regions dialled so far. */
  get route(): string {
    return this.dials.map(({ region }) => region).join(' ')
  }

  used(region: string): number {
    return this.dialer.report().find(report => report.region === region)?.streams ?? -1
  }

  async dial(request: Partial<DialRequest> = {}): Promise<PlayedListener & { cancel(): void }> {
    const listener = new PlayedListener()
    this.#sessions += 1
    const dial = this.dialer.dial({ sessionId: `s${this.#sessions}`, parameters: {}, ...request }, listener)
    await settle()
    return Object.assign(listener, { cancel: () => dial.cancel() })
  }

  /** In steps: what a timer starts has to happen before the next one fires. */
  async advance(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      this.clock.advance(Math.min(STEP_MS, leftMs))
      await settle()
    }
  }
}

/** Whatever was decided has happened. */
export async function settle(): Promise<void> {
  await new Promise<void>(resolve => setImmediate(resolve))
}
