/**
 * The audit: who streamed when, from where, how long, with which parameters, and how it ended; and who was not let in.
 * Never what was said.
 *
 * Each session has two records, so that one that a crash cuts off is there too. The second repeats the first: an auditor
 * needs no join. The lines have the form of the log's, with `"message":"audit"` and an `event`.
 */
import type { Clock } from '../clock.ts'
import type { SessionLog } from '../session/ports.ts'
import type { AddressMode } from './addresses.ts'
import { withAddress } from './addresses.ts'
import { LineQuota } from './line-quota.ts'

type Fields = Readonly<Record<string, unknown>>

export interface AuditOptions {
  readonly clock: Clock
  readonly logAddresses: AddressMode
  /** Writes one line. Never throws. */
  readonly write: (fields: Fields) => void
}

/** Strangers cause these. */
const REFUSED_LINES_PER_SECOND = 100

export class Audit {
  readonly #options: AuditOptions
  readonly #refusals: LineQuota
  /** First records of the sessions that run. */
  readonly #running = new Map<unknown, Fields>()
  lines = 0

  constructor(options: AuditOptions) {
    this.#options = options
    this.#refusals = new LineQuota(REFUSED_LINES_PER_SECOND, options.clock)
  }

  /** A log that tells the audit too. */
  besides(log: SessionLog): SessionLog {
    return {
      sessionOnStart: record => {
        log.sessionOnStart(record)
        this.#sessionOnStart(record)
      },
      sessionOnEnd: record => {
        log.sessionOnEnd(record)
        this.#sessionOnEnd(record)
      },
      sessionOnFailure: (sessionId, error) => log.sessionOnFailure(sessionId, error),
    }
  }

  /** Fields are snake_case. */
  clientOnRefused(record: Fields): void {
    const skipped = this.#refusals.take()
    if (skipped === null) return
    const shown = withAddress(record, this.#options.logAddresses)
    this.#write('access_refused', skipped === 0 ? shown : { ...shown, lines_left_out: skipped })
  }

  #sessionOnStart(record: Fields): void {
    const { clock, logAddresses } = this.#options
    const shown = {
      ...withAddress(record, logAddresses),
      started_at: new Date(clock.now()).toISOString(),
    }
    this.#running.set(record['session_id'], shown)
    this.#write('session_started', shown)
  }

  #sessionOnEnd(record: Fields): void {
    const { session_id: sessionId } = record
    const started = this.#running.get(sessionId) ?? {}
    this.#running.delete(sessionId)
    this.#write('session_ended', { ...started, ...record })
  }

  #write(event: string, fields: Fields): void {
    this.lines += 1
    this.#options.write({ event, ...fields })
  }
}
