/**
 * The part of the wiring that decides who comes in: the guard, its log lines, and the warning for a relay without one.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import { isLoopback, letsAnybodyIn } from '../config/rules.ts'
import type { Logger } from '../log.ts'
import type { AccessLogLines } from '../log.ts'
import { snakeCase } from '../log.ts'
import type { SharedUsedTokens } from '../server/auth/client-tokens.ts'
import { AccessGuard } from '../server/auth/guard.ts'
import type { AccessRefusal } from '../server/options.ts'
import { asConfigProblem } from './network.ts'

export interface AccessDependencies {
  readonly clock: Clock
  readonly logger: Logger
  readonly log: AccessLogLines
  readonly regions: readonly string[]
  /** Where relays remember used client tokens together; `null`: each for itself. */
  readonly usedTokens: SharedUsedTokens | null
  /** The program that embeds the relay decides by itself. */
  readonly hasAuthorize: boolean
}

export interface RelayAccess {
  readonly guard: AccessGuard
  readonly onRefused: (refusal: AccessRefusal) => void
  /** Reads what the guard needs. @throws ConfigError for a file that cannot be used. */
  start(): Promise<void>
  close(): void
}

export function createAccess(options: RelayOptions, deps: AccessDependencies): RelayAccess {
  const { clock, log, logger, regions, usedTokens } = deps
  const guard = new AccessGuard(options, { clock, log, regions, usedTokens })
  return {
    guard,
    onRefused: refusal => log.clientOnRefused(snakeCase(refusal)),
    start: async () => {
      if (!deps.hasAuthorize) warnOfExposure(options, logger)
      await asConfigProblem(() => guard.start())
    },
    close: () => guard.close(),
  }
}

function warnOfExposure({ auth, host }: RelayOptions, logger: Logger): void {
  if (isLoopback(host) || !letsAnybodyIn(auth)) return
  logger.warn('clients are not authenticated', {
    host,
    advice: 'set auth, or see that nobody reaches this port but through something that authenticates',
  })
}
