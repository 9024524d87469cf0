/**
 * A relay, or something with a relay in it, as a service that tells the log and lets it out at the end.
 */
import type { Logger } from '../log.ts'
import type { Service } from './service-loop.ts'

/** Ours: the last log lines do not hold the process longer. */
const LOG_FLUSH_MS = 1000

export function loggedService(ends: Pick<Service, 'drain' | 'close'>, logger: Logger): Service {
  return {
    drain: () => flushAfter(ends.drain(), logger),
    close: () => flushAfter(ends.close(), logger),
    serviceOnStop: signal => logger.info('stopping', { signal }),
    serviceOnCrash: error => logger.fatal('the relay failed', { error }),
  }
}

async function flushAfter(end: Promise<void>, logger: Logger): Promise<void> {
  try {
    await end
  } finally {
    await logger.flush(LOG_FLUSH_MS)
  }
}
