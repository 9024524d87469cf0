/**
 * Dials Amazon Transcribe: credentials, signature, connection, and again where that makes sense.
 *
 *     credentials → turn → sign → connect ─ open ───────────────────→ UpstreamSocket
 *          ↑                         ├─ passing trouble: wait, try again (attempts and deadline are bounded)
 *          ├─────────────────────────├─ refused, and the clock is wrong: correct it, once a dial
 *          └─────────────────────────└─ refused otherwise: fetch other credentials, once a dial
 *
 * Each attempt waits for its turn (`DialSlots`), and only once it has credentials: those of one region may not come, and must
 * not keep the others from their turns. The signature is made in the turn, anew for every attempt. The URL goes to the socket
 * and nowhere else. As many dials wait for credentials as there are sessions that want a stream, each until its deadline.
 */
import type { Timer } from '../clock.ts'
import { RelayError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { RecycledBuffers } from '../recycled-buffers.ts'
import type { Dial, DialRequest, UpstreamDialer, UpstreamListener } from '../session/ports.ts'
import type { Endpoint } from '../transcribe/endpoints.ts'
import { expiryOf } from './aws-credentials.ts'
import type { AwsCredentials } from './aws-credentials.ts'
import { ClockSkew } from './clock-skew.ts'
import { Connector } from './connect.ts'
import type { ConnectListener, ConnectorOptions, OpenedConnection } from './connect.ts'
import type { ConnectFailure, ConnectReason } from './connect-failure.ts'
import type { CredentialSource } from './credentials.ts'
import { backoffDelay, codeOfFailure, errorOfFailure, isTransient } from './dial-policy.ts'
import { MAX_EXPIRES_SECONDS, presignUrl } from './presign.ts'
import { DialSlots, type DialSlot, type DialSlotMetrics } from './dial-slots.ts'
import { createWriteMemory } from './frame-writer.ts'
import { HostPings } from './host-pings.ts'
import { UpstreamSocket } from './upstream-socket.ts'

const DIAL_DEFAULTS = Object.freeze({
  /** Attempts at the same time, of all dials of one dialer. */
  concurrentDials: 32,
  /** Connections tried because of passing troubles. The two corrections of a refusal come on top. */
  dialAttempts: 3,
  /** Longest wait before the first retry; doubles with each. */
  dialBackoffMs: 200,
  /** From the call of `dial` to the last failure. Audio waits meanwhile. */
  dialDeadlineMs: 15_000,
  /** One attempt: name, TCP, TLS, upgrade. */
  connectTimeoutMs: 5000,
  closeTimeoutMs: 2000,
  /** 0: no pings. Amazon does not document what it does with them. */
  pingIntervalMs: 0,
  /**
   * Life of a signature. The longest allowed: a clock that is late by more than this and less than the four minutes
   * from which skew is recognised would be refused for ever.
   */
  expiresSeconds: MAX_EXPIRES_SECONDS,
  /** Credentials with less left are refreshed before they are used. */
  minCredentialsMs: 60_000,
})

export type DialLimits = { readonly [name in keyof typeof DIAL_DEFAULTS]: number }

export interface DialerOptions extends Omit<ConnectorOptions, 'closeTimeoutMs'> {
  /** Where to. A function is asked once a dial. */
  readonly endpoint: Endpoint | ((request: DialRequest) => Endpoint)
  readonly credentials: CredentialSource
  readonly log: DialLog
  readonly metrics: DialMetrics
  readonly limits?: Partial<DialLimits>
  /** `Origin` header. That of the endpoint unless given. */
  readonly origin?: string | undefined
  /** Shared by dialers of one machine: its clock is wrong for all of them. */
  readonly clockSkew?: ClockSkew
  /** Those of all dialers of a process; own ones unless given. */
  readonly slots?: DialSlots
  readonly writeMemory?: RecycledBuffers
  /** 0 ≤ x < 1. */
  readonly random?: () => number
}

/** Everything in it may be logged. */
export interface FailedAttempt {
  readonly sessionId: string
  readonly region: string
  /** 1 for the first. */
  readonly attempt: number
  readonly reason: ConnectReason
  readonly code: ErrorCode
  readonly httpStatus: number | null
  /** Name of the service's error, `ECONNREFUSED` and the like, or `null`. */
  readonly errorName: string | null
  readonly requestId: string | null
  readonly durationMs: number
  readonly willRetry: boolean
}

export interface DialLog {
  dialOnAttemptFailed(record: FailedAttempt): void
  /** The clock of this machine is wrong by `offsetMs`; from now on signatures take it into account. */
  dialOnClockCorrected(record: { readonly sessionId: string; readonly offsetMs: number }): void
}

export interface DialMetrics extends DialSlotMetrics {
  /** Once an attempt that came to an end by itself. `reason` is `none` for `ok`. */
  countConnect(outcome: 'ok' | 'error', reason: ConnectReason | 'none', durationSeconds: number): void
}

/**
 * Asked around every connection of a dial, by whoever has an eye on all of them. For each `enter` that said yes, one of the
 * other two is called.
 */
export interface DialGate {
  /** Whether a connection may be tried now. */
  enter(): boolean
  /** `null`: it opened. */
  settle(failure: ErrorCode | null): void
  /** It was given up before that was known. */
  abandon(): void
  /** Whether to try again after a passing trouble. */
  mayRetry(): boolean
}

/** What one dial is given besides the limits of the dialer. */
export interface DialTerms {
  readonly gate: DialGate
  /** In place of `dialDeadlineMs`. */
  readonly deadlineMs: number
}

/** A dialer that goes to one place. */
export interface RegionalDialer extends UpstreamDialer {
  dial(request: DialRequest, listener: UpstreamListener, terms?: DialTerms): Dial
}

export function createDialer(options: DialerOptions): RegionalDialer {
  const limits = Object.freeze({ ...DIAL_DEFAULTS, ...options.limits })
  const shared: DialerParts = {
    ...options,
    clockSkew: options.clockSkew ?? new ClockSkew(),
    connector: new Connector({ ...options, closeTimeoutMs: limits.closeTimeoutMs }),
    hostPings: new HostPings(),
    limits,
    random: options.random ?? Math.random,
    slots: options.slots ?? new DialSlots(limits.concurrentDials, options.metrics),
    writeMemory: options.writeMemory ?? createWriteMemory(),
  }
  return {
    dial(request, listener, terms) {
      return new UpstreamDial(shared, request, listener, terms)
    },
  }
}

interface DialerParts extends DialerOptions {
  readonly clockSkew: ClockSkew
  readonly connector: Connector
  readonly hostPings: HostPings
  readonly limits: DialLimits
  readonly random: () => number
  readonly slots: DialSlots
  readonly writeMemory: RecycledBuffers
}

/** Nobody has an eye on it. */
const OPEN_GATE: DialGate = {
  enter: () => true,
  settle: () => {},
  abandon: () => {},
  mayRetry: () => true,
}

class UpstreamDial implements Dial, ConnectListener {
  readonly #parts: DialerParts
  readonly #request: DialRequest
  readonly #listener: UpstreamListener
  readonly #gate: DialGate
  readonly #deadlineAtMs: number
  readonly #deadlineTimer: Timer
  #endpoint: Endpoint | null = null
  #attempts = 0
  #retries = 0
  #clockCorrected = false
  #credentialsForced = false
  /** Of the attempt under way. */
  #usedOffsetMs = 0
  #credentialsExpireAtMs: number | null = null
  /** Waited for, or held. */
  #slot: DialSlot | null = null
  #connecting: { cancel(): void } | null = null
  #backoffTimer: Timer | null = null
  #lastError: RelayError | null = null
  #socket: UpstreamSocket | null = null
  #done = false

  constructor(
    parts: DialerParts,
    request: DialRequest,
    listener: UpstreamListener,
    terms: DialTerms | undefined,
  ) {
    this.#parts = parts
    this.#request = request
    this.#listener = listener
    this.#gate = terms?.gate ?? OPEN_GATE
    const { clock, limits } = parts
    const deadlineMs = terms?.deadlineMs ?? limits.dialDeadlineMs
    this.#deadlineAtMs = clock.monotonicMs() + deadlineMs
    this.#deadlineTimer = clock.setTimer(deadlineMs, () => this.#clockOnDeadline())
    void this.#attempt(false)
  }

  cancel(): void {
    this.#finish()
    this.#socket?.abandon()
  }

  /** Never rejects. */
  async #attempt(forceCredentials: boolean): Promise<void> {
    try {
      const credentials = await this.#parts.credentials.get({
        minRemainingMs: this.#parts.limits.minCredentialsMs,
        force: forceCredentials,
      })
      if (!this.#done) this.#slot = this.#parts.slots.take(() => void this.#connect(credentials))
    } catch (error) {
      this.#failOf(error)
    }
  }

  /** The turn came. Never rejects. */
  async #connect(credentials: AwsCredentials): Promise<void> {
    try {
      const target = await this.#sign(credentials)
      if (this.#done) return
      if (!this.#gate.enter()) return this.#fail(this.#lastError ?? new RelayError('upstream_unavailable'))
      this.#attempts += 1
      this.#connecting = this.#parts.connector.connect(target, this)
    } catch (error) {
      this.#failOf(error)
    }
  }

  async #sign(credentials: AwsCredentials) {
    const { clock, clockSkew, limits } = this.#parts
    const endpoint = this.#resolveEndpoint()
    const { host, path, secure, region } = endpoint
    const offsetMs = clockSkew.offsetMs
    const expiresAtMs = expiryOf(credentials)
    this.#usedOffsetMs = offsetMs
    // Amazon's time, told in the time of this machine, which is what a session compares it with.
    this.#credentialsExpireAtMs = expiresAtMs === null ? null : expiresAtMs - offsetMs
    const url = await presignUrl({
      host,
      path,
      secure,
      region,
      parameters: this.#request.parameters,
      credentials,
      signingDateMs: clock.now() + offsetMs,
      expiresSeconds: limits.expiresSeconds,
    })
    const origin = this.#parts.origin ?? `${secure ? 'https' : 'http'}://${host}`
    return { url, host, secure, origin, timeoutMs: Math.min(limits.connectTimeoutMs, this.#remainingMs()) }
  }

  #resolveEndpoint(): Endpoint {
    const { endpoint } = this.#parts
    this.#endpoint ??= typeof endpoint === 'function' ? endpoint(this.#request) : endpoint
    return this.#endpoint
  }

  connectOnOpen({ webSocket, stream, requestId, upstreamSessionId, connectMs }: OpenedConnection): void {
    const { clock, hostPings, limits, metrics, writeMemory } = this.#parts
    const pingHost = hostPings.of(this.#resolveEndpoint().host)
    this.#connecting = null
    this.#gate.settle(null)
    this.#finish()
    metrics.countConnect('ok', 'none', connectMs / 1000)
    const socket = new UpstreamSocket(webSocket, stream, this.#listener, {
      ...limits,
      clock,
      pingHost,
      writeMemory,
    })
    this.#socket = socket
    socket.guard(() =>
      this.#listener.upstreamOnOpen(socket, {
        region: this.#resolveEndpoint().region,
        upstreamSessionId: upstreamSessionId ?? this.#request.parameters['session-id'] ?? null,
        requestId,
        connectMs,
        attempts: this.#attempts,
        credentialsExpireAtMs: this.#credentialsExpireAtMs,
      }),
    )
  }

  connectOnFailure(failure: ConnectFailure): void {
    this.#connecting = null
    this.#slot?.release()
    this.#lastError = errorOfFailure(failure)
    this.#gate.settle(this.#lastError.code)
    this.#parts.metrics.countConnect('error', failure.reason, failure.durationMs / 1000)
    const retry = this.#planRetry(failure)
    this.#logFailure(failure, retry !== null)
    if (this.#done) return
    if (retry === null) this.#fail(this.#lastError)
    else if (retry.delayMs === 0) void this.#attempt(retry.forceCredentials)
    else this.#backoffTimer = this.#parts.clock.setTimer(retry.delayMs, () => void this.#attempt(false))
  }

  #planRetry(failure: ConnectFailure): { delayMs: number; forceCredentials: boolean } | null {
    if (codeOfFailure(failure) === 'upstream_auth') return this.#planCorrection(failure)
    const { limits, random } = this.#parts
    if (!isTransient(failure) || this.#retries + 1 >= limits.dialAttempts) return null
    if (!this.#gate.mayRetry()) return null
    this.#retries += 1
    const delayMs = backoffDelay(this.#retries, limits.dialBackoffMs, random())
    return delayMs >= this.#remainingMs() ? null : { delayMs, forceCredentials: false }
  }

  /** The clock first: new credentials would be refused just the same. */
  #planCorrection({ refusal, durationMs }: ConnectFailure): { delayMs: 0; forceCredentials: boolean } | null {
    if (this.#remainingMs() <= 0) return null
    if (!this.#clockCorrected && refusal !== null && this.#correctClock(refusal, durationMs)) {
      this.#clockCorrected = true
      return { delayMs: 0, forceCredentials: false }
    }
    if (this.#credentialsForced) return null
    this.#credentialsForced = true
    return { delayMs: 0, forceCredentials: true }
  }

  #correctClock({ date, age }: { date: string | null; age: string | null }, roundTripMs: number): boolean {
    const { clock, clockSkew, log } = this.#parts
    const time = { date, age, receivedAtMs: clock.now(), roundTripMs }
    if (!clockSkew.correct(time, this.#usedOffsetMs)) return false
    log.dialOnClockCorrected({ sessionId: this.#request.sessionId, offsetMs: clockSkew.offsetMs })
    return true
  }

  #logFailure(failure: ConnectFailure, willRetry: boolean): void {
    const { reason, errorCode, refusal, durationMs } = failure
    this.#parts.log.dialOnAttemptFailed({
      sessionId: this.#request.sessionId,
      region: this.#resolveEndpoint().region,
      attempt: this.#attempts,
      reason,
      code: codeOfFailure(failure),
      httpStatus: refusal?.status ?? null,
      errorName: refusal?.exception.name ?? errorCode,
      requestId: refusal?.requestId ?? null,
      durationMs,
      willRetry,
    })
  }

  /** A connection under way has a time-out of its own that is due by now. */
  #clockOnDeadline(): void {
    if (this.#connecting === null) this.#fail(this.#lastError ?? new RelayError('upstream_timeout'))
  }

  #remainingMs(): number {
    return this.#deadlineAtMs - this.#parts.clock.monotonicMs()
  }

  #failOf(error: unknown): void {
    this.#fail(error instanceof RelayError ? error : new RelayError('internal', { cause: error }))
  }

  #fail(error: RelayError): void {
    if (this.#done) return
    this.#finish()
    this.#listener.upstreamOnFailure(error)
  }

  #finish(): void {
    this.#done = true
    this.#deadlineTimer.cancel()
    this.#backoffTimer?.cancel()
    this.#slot?.release()
    if (this.#connecting === null) return
    this.#connecting.cancel()
    this.#connecting = null
    this.#gate.abandon()
  }
}
