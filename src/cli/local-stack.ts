/**
 * A relay and the local Amazon Transcribe that it dials, in one process: what `dev` and `demo` run.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Emulator, EmulatorOptions } from '../emulator/index.ts'
import { EXAMPLE_ACCOUNT } from '../emulator/index.ts'
import type { Logger } from '../log.ts'
import type { RelayAddresses } from '../relay.ts'
import { build, startEmulator } from './emulate.ts'
import { startRelay } from './relay-start.ts'
import type { Service } from './service-loop.ts'

const LOCAL_REGION = 'us-east-1'

export interface LocalStack extends Pick<Service, 'drain' | 'close'> {
  readonly addresses: RelayAddresses
  readonly emulatorUrl: string
  readonly logger: Logger
}

/** What must hold for a relay to reach an emulator in its own process; the rest is free. */
function localOverrides(emulatorUrl: string): Partial<RelayOptions> {
  return { region: LOCAL_REGION, endpoint: emulatorUrl, fips: false, dualStack: false, workers: 1 }
}

/**
 * `resolve` makes the relay's options from those that the emulator decides. Throws what `startRelay` and
 * `startEmulator` throw, with nothing left open.
 */
export async function startLocalStack(
  emulatorOptions: EmulatorOptions,
  emulatorPort: string,
  resolve: (overrides: Partial<RelayOptions>) => Promise<RelayOptions>,
  clock: Clock,
): Promise<LocalStack> {
  const emulator = build({ ...emulatorOptions, region: LOCAL_REGION, port: Number(emulatorPort) })
  const { url } = await startEmulator(emulator, '127.0.0.1', emulatorPort)
  try {
    const options = await resolve(localOverrides(url))
    const { accessKeyId, secretAccessKey } = EXAMPLE_ACCOUNT
    const { relay, addresses, logger } = await startRelay(options, {
      clock,
      credentials: { accessKeyId, secretAccessKey },
    })
    return {
      addresses,
      emulatorUrl: url,
      logger,
      // The relay goes first: its last results come from the emulator.
      drain: () => endBoth(() => relay.drain(), emulator),
      close: () => endBoth(() => relay.close(), emulator),
    }
  } catch (error) {
    await emulator.close()
    throw error
  }
}

async function endBoth(endRelay: () => Promise<void>, emulator: Emulator): Promise<void> {
  try {
    await endRelay()
  } finally {
    await emulator.close()
  }
}
