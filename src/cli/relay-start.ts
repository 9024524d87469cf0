/**
 * Starts a relay for a command: what can go wrong at the start is told in one line, and what it says goes to the log.
 */
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { createLogger } from '../log.ts'
import { createRelay } from '../relay.ts'
import type { Relay, RelayAddresses, RelayDependencies } from '../relay.ts'
import { ListenError } from '../server/app.ts'
import { UwsLoadError } from '../server/uws.ts'
import { VERSION } from '../version.ts'
import { CommandError } from './command.ts'
import { describeListenFailure } from './service-loop.ts'

export interface StartedRelay {
  readonly relay: Relay
  readonly addresses: RelayAddresses
  readonly logger: Logger
}

/** Throws `ConfigError`, or `CommandError` for a port in use and a native build that does not load. */
export async function startRelay(
  options: RelayOptions,
  dependencies: Omit<RelayDependencies, 'logger'>,
  logger: Logger = createLogger({ level: options.logLevel, version: VERSION }),
): Promise<StartedRelay> {
  const relay = createRelay(options, { ...dependencies, logger })
  try {
    return { relay, addresses: await relay.start(), logger }
  } catch (error) {
    throw asCommandError(error, options)
  }
}

function asCommandError(error: unknown, { opsHost, opsPort }: RelayOptions): unknown {
  if (error instanceof ListenError || error instanceof UwsLoadError) {
    return new CommandError(error.message, { cause: error })
  }
  const reason = describeListenFailure(error, `${opsHost} port ${opsPort} (opsPort)`)
  return reason === null ? error : new CommandError(reason, { cause: error })
}
