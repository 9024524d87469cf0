/**
 * How a relay stops in order: nobody new is let in, sessions end in their own time, then in ours, spread over a window
 * so that their clients do not all come back to the other instances in one moment.
 *
 *     0 ──────── drainTimeoutMs ──── drainSpreadMs ──── flushTimeoutMs + slack ──── clientCloseTimeoutMs
 *     Draining   the first is ended  the last is ended  what is left is cut         sockets that do not close are cut
 *
 * Each step is over as soon as there is nothing left to wait for.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import type { ClientServer } from '../server/app.ts'
import type { SessionRegistry } from '../session/registry.ts'

/** On top of the flush: the time for the closing handshake of the upstream. */
const DRAIN_SLACK_MS = 2_000

export interface DrainParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly registry: SessionRegistry
  readonly server: Pick<ClientServer, 'whenSocketsClosed'> | null
}

/** The longest time of a drain. */
export function longestDrainMs(options: RelayOptions): number {
  const { clientCloseTimeoutMs, drainSpreadMs, drainTimeoutMs, flushTimeoutMs } = options
  return drainTimeoutMs + drainSpreadMs + flushTimeoutMs + DRAIN_SLACK_MS + clientCloseTimeoutMs
}

/** Resolves when no session and no socket of a client is left, at the latest after `longestDrainMs`. */
export async function drainSessions(options: RelayOptions, parts: DrainParts): Promise<void> {
  const { clock, logger, registry, server } = parts
  const { clientCloseTimeoutMs, drainSpreadMs, drainTimeoutMs, flushTimeoutMs } = options
  logger.info('draining', { sessions: registry.activeCount })
  registry.announceDrain()
  if (!(await within(clock, registry.whenEmpty(), drainTimeoutMs))) {
    logger.warn('drain deadline', { sessions: registry.activeCount, spread_ms: drainSpreadMs })
    registry.finishAll(drainSpreadMs)
    await within(clock, registry.whenEmpty(), drainSpreadMs + flushTimeoutMs + DRAIN_SLACK_MS)
  }
  registry.abortAll()
  await within(clock, server?.whenSocketsClosed() ?? Promise.resolve(), clientCloseTimeoutMs)
}

/** Whether `event` came before the time was over. */
export async function within(clock: Clock, event: Promise<void>, timeoutMs: number): Promise<boolean> {
  return new Promise(resolve => {
    const timer = clock.setTimer(timeoutMs, () => resolve(false))
    void event.then(() => {
      timer.cancel()
      return resolve(true)
    })
  })
}
