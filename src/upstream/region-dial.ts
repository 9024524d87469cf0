/**
 * One stream on its way to a region, and then the stream itself, as far as its quota is concerned.
 *
 * The listener hears of one open stream or of one failure, however many regions were tried.
 */
import type { Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type {
  Dial,
  DialRequest,
  UpstreamEnd,
  UpstreamListener,
  UpstreamOpening,
  UpstreamPort,
} from '../session/ports.ts'
import type { QueueRefusal, SpillReason } from '../session/region-labels.ts'
import type { RegionDialer } from './region-dialer.ts'
import type { RegionGate, RegionLine } from './region-line.ts'
import type { Waiter } from './start-queue.ts'
import type { Lease } from './stream-quota.ts'

/** A stream that may be dialled. */
export interface Seat {
  readonly line: RegionLine
  readonly lease: Lease
}

/** Failures of one region that another one may not have. */
const SPILLING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_error',
  'upstream_protocol',
  'upstream_closed',
  'upstream_auth',
  'upstream_throttled',
  'not_ready',
])

/** Failures after which the same region may do a moment later. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_error',
])

const ANY_LANE = '*'
/** Time left below which another connection makes no sense. */
const MIN_DIAL_MS = 50

export class RegionDial implements Dial, UpstreamListener, Waiter {
  #lane: string
  readonly principal: string
  readonly isContinuation: boolean
  readonly #dialer: RegionDialer
  readonly #request: DialRequest
  readonly #listener: UpstreamListener
  readonly #startedMs: number
  /** Regions that failed; they are not asked again. */
  readonly #failed = new Set<RegionLine>()
  readonly #spills = new Set<string>()
  #seat: Seat | null = null
  #gate: RegionGate | null = null
  #inner: Dial | null = null
  #port: UpstreamPort | null = null
  #attempts = 0
  #lastError: RelayError | null = null
  /** In the queue, all waits that came to an end; one dial may have several. */
  #waitedMs = 0
  #waitingSinceMs = 0
  #waitTimer: Timer | null = null
  #isOver = false

  constructor(dialer: RegionDialer, request: DialRequest, listener: UpstreamListener) {
    this.#dialer = dialer
    this.#request = request
    this.#listener = listener
    this.#startedMs = dialer.clock.monotonicMs()
    this.#lane = request.regions == null ? ANY_LANE : laneOf(request.regions)
    this.principal = request.principal ?? request.sessionId
    this.isContinuation = request.isContinuation ?? false
    dialer.budget.deposit()
    const throttled = dialer.lines.find(({ name }) => name === request.throttledIn)
    if (throttled === undefined) return
    throttled.throttle()
    this.#countSpill(throttled, 'throttled')
  }

  /** Of those who may go to the same regions. Without the ones that failed: who waits for the rest keeps nobody from them. */
  get lane(): string {
    return this.#lane
  }

  /** Never rejects. */
  async run(): Promise<void> {
    if (this.#isOver) return
    const found = this.#dialer.mustWait(this) ? 0 : await this.findSeat()
    if (typeof found !== 'number') this.#open(found)
    else if (!this.#isOver) this.#wait(found)
  }

  cancel(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopWaiting()
    if (this.#port !== null) return this.#port.close()
    this.#inner?.cancel()
    this.#release()
  }

  /** A stream of the first region that has one, or milliseconds until asking again makes sense. Never rejects. */
  async findSeat(): Promise<Seat | number> {
    let retryInMs = Infinity
    for (const line of this.#ranked()) {
      const { obstacle } = line
      if (obstacle !== null) {
        this.#countSpill(line, obstacle)
        retryInMs = Math.min(retryInMs, line.obstacleMs)
        continue
      }
      const answer = await line.quota.take(this.isContinuation)
      if (!answer.isGranted) {
        if (this.#isOver) break
        this.#countSpill(line, 'quota')
        retryInMs = Math.min(retryInMs, answer.retryInMs)
      } else if (line.obstacle === null) {
        line.started()
        this.#countPassedOver(line)
        return { line, lease: answer.lease }
      } else {
        // Others came in between.
        answer.lease.release()
        retryInMs = Math.min(retryInMs, line.obstacleMs)
      }
    }
    return retryInMs
  }

  /** The turn came. */
  takeSeat(seat: Seat): void {
    if (this.#waitTimer !== null) {
      const waitedMs = this.#dialer.clock.monotonicMs() - this.#waitingSinceMs
      this.#waitedMs += waitedMs
      this.#dialer.metrics.observeQueueSeconds(waitedMs / 1000)
      this.#stopWaiting()
    }
    this.#open(seat)
  }

  /** Somebody else got the place in the queue. */
  displace(): void {
    this.#refuse('displaced')
  }

  // ── what the region says ────────────────────────────────────────────────────────────────────────────────────────

  upstreamOnOpen(upstream: UpstreamPort, opening: UpstreamOpening): void {
    const line = this.#seat?.line
    this.#port = upstream
    if (this.#isOver || line === undefined) return upstream.close()
    this.#dialer.metrics.countRegionStream(line.name)
    this.#listener.upstreamOnOpen(upstream, {
      ...opening,
      attempts: this.#attempts + opening.attempts,
      hasAlternative: this.#hasOther(line),
    })
  }

  upstreamOnMessage(message: Uint8Array): void {
    if (!this.#isOver) this.#listener.upstreamOnMessage(message)
  }

  upstreamOnClose(end: UpstreamEnd): void {
    this.#release()
    if (this.#isOver) return
    this.#isOver = true
    this.#listener.upstreamOnClose(end)
  }

  upstreamOnFailure(error: RelayError): void {
    const line = this.#seat?.line
    const wasRefused = this.#gate?.wasRefused === true
    this.#inner = null
    this.#release()
    if (this.#isOver || line === undefined) return
    this.#attempts += this.#gate?.connections ?? 0
    if (wasRefused) this.#lastError ??= error
    else this.#note(line, error)
    if (!SPILLING.has(error.code)) return this.#fail(error)
    if (this.#candidates().length === 0 || this.#remainingMs() < MIN_DIAL_MS) return this.#fail(error)
    // A connection more than the one that was asked for.
    if (!wasRefused && !this.#dialer.budget.withdraw()) return this.#fail(error)
    void this.run()
  }

  // ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #candidates(): readonly RegionLine[] {
    return this.#dialer.linesOf(this.#request.regions).filter(line => !this.#failed.has(line))
  }

  /** Where credentials are not to be had comes last: nobody waits for them who can go elsewhere. */
  #ranked(): readonly RegionLine[] {
    const lines = this.#candidates()
    return [
      ...lines.filter(({ lacksCredentials }) => !lacksCredentials),
      ...lines.filter(({ lacksCredentials }) => lacksCredentials),
    ]
  }

  #note(line: RegionLine, error: RelayError): void {
    this.#lastError = error
    if (error.code === 'upstream_throttled') {
      line.throttle()
      this.#countSpill(line, 'throttled')
    } else if (!this.#mayComeBack(line, error)) {
      this.#failed.add(line)
      const left = this.#candidates()
      this.#lane = laneOf(left.map(({ name }) => name))
      if (left.length > 0) this.#countSpill(line, 'failed')
    }
  }

  /** The breaker keeps it from another attempt, which it would have had: it waits until the region is back. */
  #mayComeBack(line: RegionLine, { code }: RelayError): boolean {
    if (!PASSING.has(code) || line.obstacle !== 'breaker') return false
    return this.#attempts < this.#dialer.limits.dialAttempts
  }

  #open(seat: Seat): void {
    if (this.#isOver) return this.#giveBack(seat)
    this.#seat = seat
    const { line } = seat
    const gate = line.createGate(() => !this.#hasOtherNow(line) && this.#dialer.budget.withdraw())
    this.#gate = gate
    const deadlineMs = Math.max(MIN_DIAL_MS, this.#remainingMs())
    this.#inner = line.dialer.dial(this.#request, this, { gate, deadlineMs })
  }

  /** Whether another region would take the stream, as far as that is known; it may be full at the moment. */
  #hasOther(line: RegionLine): boolean {
    return this.#candidates().some(other => other !== line && other.isOpen)
  }

  /** The same at this moment: who has nowhere else to go tries again here. */
  #hasOtherNow(line: RegionLine): boolean {
    return this.#candidates().some(other => other !== line && other.isOpen && other.hasRoom)
  }

  #wait(retryInMs: number): void {
    const { clock, limits } = this.#dialer
    this.#waitingSinceMs = clock.monotonicMs()
    const leftMs = Math.min(limits.startQueueMs - this.#waitedMs, this.#remainingMs() - MIN_DIAL_MS)
    if (leftMs <= 0) return this.#refuse('timeout')
    if (!this.#dialer.enterQueue(this, retryInMs)) return this.#refuse('full')
    this.#waitTimer = clock.setTimer(leftMs, () => this.#refuse('timeout'))
  }

  #refuse(reason: QueueRefusal): void {
    this.#stopWaiting()
    this.#dialer.metrics.countQueueRefusal(reason)
    this.#fail(this.#lastError ?? this.#whyNoSeat(reason))
  }

  /** Full wherever it may go; or else nowhere is in order. */
  #whyNoSeat(reason: QueueRefusal): RelayError {
    const obstacles = this.#candidates().map(({ obstacle }) => obstacle)
    const isFull = obstacles.some(obstacle => obstacle === null || obstacle === 'throttled')
    return new RelayError(isFull ? 'upstream_throttled' : 'upstream_unavailable', {
      detail: `start queue ${reason}`,
      ...(isFull ? {} : { retryAfterMs: Math.max(1000, this.#soonestMs()) }),
    })
  }

  #soonestMs(): number {
    const waits = this.#candidates().map(({ obstacleMs }) => Math.ceil(obstacleMs))
    return waits.length === 0 ? 0 : Math.min(...waits)
  }

  #countPassedOver(taken: RegionLine): void {
    if (taken.lacksCredentials) return
    const lines = this.#candidates()
    for (const line of lines.slice(0, lines.indexOf(taken))) {
      if (line.lacksCredentials) this.#countSpill(line, 'failed')
    }
  }

  /** Once a dial: who waits asks many times. */
  #countSpill(line: RegionLine, reason: SpillReason): void {
    const spill = `${line.name} ${reason}`
    if (this.#spills.has(spill)) return
    this.#spills.add(spill)
    this.#dialer.metrics.countSpill(line.name, reason)
  }

  #stopWaiting(): void {
    this.#waitTimer?.cancel()
    this.#waitTimer = null
    this.#dialer.leaveQueue(this)
  }

  #remainingMs(): number {
    const { clock, limits } = this.#dialer
    return this.#startedMs + limits.dialDeadlineMs - clock.monotonicMs()
  }

  #fail(error: RelayError): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#listener.upstreamOnFailure(error)
  }

  #release(): void {
    const seat = this.#seat
    this.#seat = null
    if (seat !== null) this.#giveBack(seat)
  }

  #giveBack({ lease, line }: Seat): void {
    lease.release()
    line.freed()
  }
}

function laneOf(regions: readonly string[]): string {
  return [...regions].sort().join()
}
