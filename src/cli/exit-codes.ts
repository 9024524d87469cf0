/**
 * What the process says when it ends. 64 and 78 are those of sysexits.h, so that a supervisor can tell a wrong command
 * line and a wrong configuration, which no restart mends, from a failure.
 */
export const EXIT_OK = 0
/** Something failed at run time: a port in use, a refused stream, a recognised error of the relay. */
export const EXIT_FAILURE = 1
/** EX_USAGE: the command line is wrong. */
export const EXIT_USAGE = 64
/** EX_CONFIG: an option has a value that is not allowed. */
export const EXIT_CONFIG = 78

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** 128 + signal number, as a shell reports it: a second signal ended the process before it was done. */
export const EXIT_FORCED: Readonly<Record<StopSignal, number>> = { SIGINT: 130, SIGTERM: 143 }

export interface ExitCodeRow {
  readonly code: number
  readonly doc: string
}

export const USAGE_ROW: ExitCodeRow = { code: EXIT_USAGE, doc: 'the command line is wrong' }
export const CONFIG_ROW: ExitCodeRow = {
  code: EXIT_CONFIG,
  doc: 'an option is not valid; every problem is listed',
}
export const FORCED_ROWS: readonly ExitCodeRow[] = [
  { code: EXIT_FORCED.SIGINT, doc: 'a second SIGINT ended it at once' },
  { code: EXIT_FORCED.SIGTERM, doc: 'a second SIGTERM ended it at once' },
]
