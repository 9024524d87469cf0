/**
 * The log: JSON lines on the standard output, one object a line, through pino.
 *
 * Fields are snake_case. `log/redaction.ts` decides what a line may hold, `log/line-sink.ts` sees that a broken output
 * costs lines and nothing else. Lines are counted by level, for the metric.
 */
import { pino } from 'pino'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { AddressMode } from './log/addresses.ts'
import { withAddress } from './log/addresses.ts'
import { LineQuota } from './log/line-quota.ts'
import { ATOMIC_WRITE_BYTES, LineSink } from './log/line-sink.ts'
import { redactFields, redactText } from './log/redaction.ts'
import type { SessionLog } from './session/ports.ts'

export const LOG_LEVELS = Object.freeze(['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const)

export type LogLevel = (typeof LOG_LEVELS)[number]

/** Fields of a line. An `Error` may be a value anywhere. */
export type LogFields = Readonly<Record<string, unknown>>

export interface Logger {
  fatal(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  trace(message: string, fields?: LogFields): void
  /** A line of the audit, whatever the level. It is not among `lines`. */
  audit(fields: LogFields): void
  /** Whether lines of this level are written. Ask before building costly fields. */
  isEnabled(level: LogLevel): boolean
  /** Lines written so far, by level. The same object for ever: read it at scrape. */
  readonly lines: Readonly<Record<LogLevel, number>>
  /** Lines that were lost because the output does not take them. */
  lostLines(): number
  /** Before the process ends: resolves when the lines are out, at the latest after `timeoutMs`. Never rejects. */
  flush(timeoutMs: number): Promise<void>
}

/** Where lines go; `LineSink` is one. */
export interface LogSink {
  write(line: string): void
  flush(timeoutMs: number): Promise<void>
  readonly lostLines: number
}

export interface LoggerOptions {
  readonly level: LogLevel
  /** Of the relay; in every line. */
  readonly version: string
  /** Of a relay of several processes: the number of this one; in every line. */
  readonly worker?: number
  /** Other processes write to the standard output too: lines are kept whole between theirs. Default false. */
  readonly sharesOutput?: boolean
  /** Default: the standard output. */
  readonly sink?: LogSink
  readonly clock?: Clock
}

const STANDARD_OUTPUT = 1

/** A file may hold thousands of keys. */
const MAX_NAMES = 20

/** Whoever is refused can ask again at once: their lines may not fill a disk. */
const REFUSED_LINES_PER_SECOND = 10
/** A receiver that is gone is one fact, not one a batch. */
const TRACE_LINES_PER_SECOND = 1

export function createLogger(options: LoggerOptions): Logger {
  const { level, version, worker, clock = systemClock } = options
  const sharing = options.sharesOutput === true ? { maxWriteBytes: ATOMIC_WRITE_BYTES } : {}
  const sink = options.sink ?? new LineSink(STANDARD_OUTPUT, { clock, ...sharing })
  const base = { service: 'transcribe-relay', version, ...(worker === undefined ? {} : { worker }) }
  const ownNames = new Set([...WRITTEN_NAMES, ...Object.keys(base)])
  const format = {
    base,
    timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    messageKey: 'message',
  }
  const output = { write: (line: string) => sink.write(line) }
  const target = pino({ ...format, level }, output)
  const auditTarget = pino({ ...format, level: 'info' }, output)
  const lines: Record<LogLevel, number> = { fatal: 0, error: 0, warn: 0, info: 0, debug: 0, trace: 0 }
  const write = (lineLevel: LogLevel, message: string, fields: LogFields = {}): void => {
    if (!target.isLevelEnabled(lineLevel)) return
    lines[lineLevel] += 1
    target[lineLevel](withoutOwnNames(redactFields(fields), ownNames), redactText(message))
  }
  return Object.freeze({
    fatal: (message: string, fields?: LogFields) => write('fatal', message, fields),
    error: (message: string, fields?: LogFields) => write('error', message, fields),
    warn: (message: string, fields?: LogFields) => write('warn', message, fields),
    info: (message: string, fields?: LogFields) => write('info', message, fields),
    debug: (message: string, fields?: LogFields) => write('debug', message, fields),
    trace: (message: string, fields?: LogFields) => write('trace', message, fields),
    audit: (fields: LogFields) => auditTarget.info(withoutOwnNames(redactFields(fields), ownNames), 'audit'),
    isEnabled: (lineLevel: LogLevel) => target.isLevelEnabled(lineLevel),
    lines,
    lostLines: () => sink.lostLines,
    flush: (timeoutMs: number) => sink.flush(timeoutMs),
  })
}

/** The log lines of sessions. */
export function createSessionLog(
  logger: Logger,
  { logAddresses }: { readonly logAddresses: AddressMode },
): SessionLog {
  return Object.freeze({
    sessionOnStart(record: LogFields): void {
      logger.info('session started', withAddress(record, logAddresses))
    },
    sessionOnEnd(record: LogFields): void {
      logger.info('session ended', record)
    },
    sessionOnFailure(sessionId: string, error: unknown): void {
      logger.error('session failed', { session_id: sessionId, error: asError(error) })
    },
  })
}

/** The log lines of the dialling side; matched by shape with the port of `upstream/`, as adapters do not import each other. */
export function createDialLog(logger: Logger): {
  dialOnAttemptFailed(record: object): void
  dialOnClockCorrected(record: object): void
} {
  return Object.freeze({
    dialOnAttemptFailed(record: object): void {
      logger.warn('upstream connect failed', snakeCase(record))
    },
    dialOnClockCorrected(record: object): void {
      logger.warn('clock corrected', snakeCase(record))
    },
  })
}

/** The log lines of regions and Redis; matched by shape with the ports of `upstream/` and `redis/`. */
export function createRegionLog(logger: Logger): {
  regionOnBreaker(record: { readonly region: string; readonly state: 'open' | 'closed' }): void
  regionOnDrain(record: { readonly region: string; readonly isDraining: boolean }): void
  redisOnFailure(record: object): void
  redisOnReady(): void
} {
  return Object.freeze({
    regionOnBreaker({ region, state }: { readonly region: string; readonly state: 'open' | 'closed' }): void {
      if (state === 'open') logger.warn('region left alone', { region })
      else logger.info('region answers again', { region })
    },
    regionOnDrain({ region, isDraining }: { readonly region: string; readonly isDraining: boolean }): void {
      if (isDraining) logger.info('region draining', { region })
      else logger.info('region resumed', { region })
    },
    redisOnFailure(record: object): void {
      logger.error('redis failed', snakeCase(record))
    },
    redisOnReady(): void {
      logger.info('redis answers again')
    },
  })
}

/** The log lines of the certificate of the client port; matched by shape with the port of `server/`. */
export function createTlsLog(
  logger: Logger,
  clock: Clock,
): {
  certificateOnUse(facts: object & { readonly expiresAtMs: number }): void
  certificateOnFailure(file: string, error: unknown): void
} {
  return Object.freeze({
    certificateOnUse({ expiresAtMs, ...facts }: object & { readonly expiresAtMs: number }): void {
      const daysLeft = Math.floor((expiresAtMs - clock.now()) / 86_400_000)
      const expiresAt = new Date(expiresAtMs).toISOString()
      logger.info('certificate in use', snakeCase({ ...facts, expiresAt, daysLeft }))
    },
    certificateOnFailure(file: string, error: unknown): void {
      logger.error('certificate not reloaded', { file, error: asError(error) })
    },
  })
}

/** Matched by shape with the ports of `server/`. */
export interface AccessLogLines {
  fileOnReload(file: string, entries: number): void
  keysOnRevoke(names: readonly string[]): void
  fileOnFailure(file: string, error: unknown): void
  signingKeysOnLoad(keys: number | null, error: unknown): void
  /** Fields are snake_case. */
  clientOnRefused(record: LogFields): void
}

/** The log lines of the guard and the handshakes it refuses. */
export function createAccessLog(
  logger: Logger,
  { clock, logAddresses }: { readonly clock: Clock; readonly logAddresses: AddressMode },
): AccessLogLines {
  const quota = new LineQuota(REFUSED_LINES_PER_SECOND, clock)
  return Object.freeze({
    fileOnReload(file: string, entries: number): void {
      logger.info('file reloaded', { file, entries })
    },
    keysOnRevoke(names: readonly string[]): void {
      logger.warn('keys revoked', { keys: names.length, names: names.slice(0, MAX_NAMES) })
    },
    fileOnFailure(file: string, error: unknown): void {
      logger.error('file not reloaded', { file, error: asError(error) })
    },
    signingKeysOnLoad(keys: number | null, error: unknown): void {
      if (keys === null) logger.error('signing keys not loaded', { error: asError(error) })
      else logger.info('signing keys loaded', { keys })
    },
    clientOnRefused(record: LogFields): void {
      const skipped = quota.take()
      if (skipped === null) return
      logger.warn('client refused', {
        ...withAddress(record, logAddresses),
        ...(skipped === 0 ? {} : { lines_left_out: skipped }),
      })
    },
  })
}

/** The log line of the tracing side; matched by shape with its port. */
export function createTraceLog(
  logger: Logger,
  clock: Clock,
): { exportOnFailure(spans: number, error: Error | undefined): void } {
  const quota = new LineQuota(TRACE_LINES_PER_SECOND, clock)
  return Object.freeze({
    exportOnFailure(spans: number, error: Error | undefined): void {
      const skipped = quota.take()
      if (skipped === null) return
      const more = skipped === 0 ? {} : { lines_left_out: skipped }
      logger.warn('traces not exported', { spans, error: asError(error), ...more })
    },
  })
}

/** One spelling in the log, whatever the code calls it: `durationMs` is `duration_ms`, in whole numbers. */
export function snakeCase(record: object): LogFields {
  return Object.fromEntries(
    Object.entries(record).map(([name, value]: [string, unknown]) => [
      name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      typeof value === 'number' ? Math.round(value) : value,
    ]),
  )
}

const WRITTEN_NAMES = ['level', 'time', 'message'] as const

/** Fields that every line has: a second one of the same name would make the JSON ambiguous. */
function withoutOwnNames(
  fields: Record<string, unknown>,
  ownNames: ReadonlySet<string>,
): Record<string, unknown> {
  for (const name of ownNames) {
    if (!Object.hasOwn(fields, name)) continue
    fields[`field_${name}`] = fields[name]
    delete fields[name]
  }
  return fields
}

/** What is thrown is not always an error; its text may be anything, so only its kind is told. */
function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`something that is no Error was thrown: ${typeof error}`)
}
