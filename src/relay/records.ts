/**
 * The part of the wiring that writes down what happens: the two lines of each session, those of clients that are refused,
 * and the audit beside them.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import { createAccessLog, createLogger, createSessionLog } from '../log.ts'
import type { AccessLogLines, Logger } from '../log.ts'
import { AppendFile } from '../log/append-file.ts'
import { Audit } from '../log/audit.ts'
import type { SessionLog } from '../session/ports.ts'
import { VERSION } from '../version.ts'
import { badOption } from './endpoint.ts'

export interface RelayRecords {
  readonly session: SessionLog
  readonly access: AccessLogLines
  readonly auditLines: number
  readonly lostAuditLines: number
  /** Opens the file of the audit, if there is one. @throws ConfigError */
  start(): void
  /** Resolves when the audit is written, after a bounded time in any case. Never rejects. */
  close(): Promise<void>
}

export function createRecords(options: RelayOptions, clock: Clock, logger: Logger): RelayRecords {
  const { auditLog, logAddresses } = options
  const session = createSessionLog(logger, { logAddresses })
  const access = createAccessLog(logger, { clock, logAddresses })
  if (auditLog === 'off') {
    return { session, access, auditLines: 0, lostAuditLines: 0, start: () => {}, close: async () => {} }
  }
  let file: AppendFile | null = null
  let target = logger
  const audit = new Audit({ clock, logAddresses, write: fields => target.audit(fields) })
  return {
    session: audit.besides(session),
    access: {
      ...access,
      clientOnRefused: record => {
        access.clientOnRefused(record)
        audit.clientOnRefused(record)
      },
    },
    get auditLines() {
      return audit.lines
    },
    get lostAuditLines() {
      return file?.lostLines ?? 0
    },
    start: () => {
      if (auditLog === 'stdout') return
      file = openAuditFile(auditLog, clock, logger)
      target = createLogger({ level: 'info', version: VERSION, clock, sink: file })
    },
    close: async () => file?.close(),
  }
}

function openAuditFile(path: string, clock: Clock, logger: Logger): AppendFile {
  const onFailure = (lostLines: number, error: unknown): void => {
    const { code } = (error ?? {}) as { readonly code?: unknown }
    logger.error('audit not written', { lost_lines: lostLines, ...(code === undefined ? {} : { code }) })
  }
  try {
    return new AppendFile({ path, clock, onFailure })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw badOption('auditLog', path, `must be a file that can be written (${code ?? 'unknown error'})`)
  }
}
