/**
 * What is asked of the dialer for each stream of a session: its parameters, whose it is, and where it may go.
 */
import { randomUUID } from 'node:crypto'
import type { RelayError } from '../errors.ts'
import type { StreamRequest } from '../protocol/stream-request.ts'
import type { SessionRequest } from './host.ts'
import type { DialRequest, UpstreamDialer } from './ports.ts'

export interface DialOrigin {
  readonly sessionId: string
  /** By name; by its address where nobody was asked who it is. */
  readonly principal: string
  /** `null`: it may go anywhere. */
  readonly regions: readonly string[] | null
}

/** Where both the client and its grants allow it to go. */
export function dialOrigin(
  { access, remoteAddress, sessionId }: SessionRequest,
  { regions }: StreamRequest,
): DialOrigin {
  const granted = access?.regions ?? null
  const allowed =
    regions === null || granted === null
      ? (regions ?? granted)
      : regions.filter(region => granted.includes(region))
  return { sessionId, principal: access?.principal ?? remoteAddress, regions: allowed }
}

const MS_PER_MINUTE = 60_000

export class DialRequests {
  readonly #origin: DialOrigin
  readonly #wire: Readonly<Record<string, string>>
  #count = 0
  #firstOpenedMs: number | null = null
  #throttledIn: string | null = null

  constructor(origin: DialOrigin, { parameters }: Pick<StreamRequest, 'parameters'>) {
    this.#origin = origin
    this.#wire = parameters.wire
  }

  /** How many streams were asked for. */
  get count(): number {
    return this.#count
  }

  next(nowMs: number): DialRequest {
    const { principal, regions, sessionId } = this.#origin
    const own = this.#wire['session-id'] ?? sessionId
    this.#count += 1
    const upstreamId = this.#count === 1 || this.#isResumable(nowMs) ? own : randomUUID()
    const throttledIn = this.#throttledIn
    this.#throttledIn = null
    return {
      sessionId,
      parameters: { ...this.#wire, 'session-id': upstreamId },
      isContinuation: this.#firstOpenedMs !== null,
      principal,
      regions,
      throttledIn,
    }
  }

  streamOpened(nowMs: number): void {
    this.#firstOpenedMs ??= nowMs
  }

  streamLost({ region }: { readonly region: string | null }, { code }: RelayError): void {
    if (code === 'upstream_throttled') this.#throttledIn = region
  }

  /** Whether the session is to go to another region, and can. */
  isLeaving(dialer: UpstreamDialer, { region }: { readonly region: string | null }): boolean {
    return region !== null && dialer.isLeaving?.(region, this.#origin.regions) === true
  }

  /**
   * The service takes a stream up again by its session id, within the window. Without one the id is a label, and a
   * stream that still lives would end the new one's predecessor with a ConflictException.
   */
  #isResumable(nowMs: number): boolean {
    const windowMs = Number(this.#wire['session-resume-window'] ?? 0) * MS_PER_MINUTE
    return nowMs - (this.#firstOpenedMs ?? 0) < windowMs
  }
}
