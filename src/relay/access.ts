/**
 * The part of the wiring that decides who comes in: the guard, its log lines, and the warning for a relay without one.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import { ConfigError } from '../config/problems.ts'
import { isLoopback, letsAnybodyIn } from '../config/rules.ts'
import type { Logger } from '../log.ts'
import { createAccessLog } from '../log.ts'
import type { SharedUsedTokens } from '../server/auth/client-tokens.ts'
import { AccessGuard } from '../server/auth/guard.ts'
import { AuthFileError } from '../server/auth/watched-file.ts'
import type { AccessRefusal } from '../server/options.ts'

export interface AccessDependencies {
  readonly clock: Clock
  readonly logger: Logger
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
  const { clock, logger, regions, usedTokens } = deps
  const log = createAccessLog(logger, { clock, logAddresses: options.logAddresses })
  const guard = new AccessGuard(options, { clock, log, regions, usedTokens })
  return {
    guard,
    onRefused: refusal => log.clientOnRefused(refusal),
    start: async () => {
      if (!deps.hasAuthorize) warnOfExposure(options, logger)
      await startGuard(guard)
    },
    close: () => guard.close(),
  }
}

async function startGuard(guard: AccessGuard): Promise<void> {
  try {
    await guard.start()
  } catch (error) {
    if (!(error instanceof AuthFileError)) throw error
    throw new ConfigError([{ path: error.path, value: null, rule: error.rule }])
  }
}

function warnOfExposure({ auth, host }: RelayOptions, logger: Logger): void {
  if (isLoopback(host) || !letsAnybodyIn(auth)) return
  logger.warn('clients are not authenticated', {
    host,
    advice: 'set auth, or see that nobody reaches this port but through something that authenticates',
  })
}
