/**
 * How a stream dies: by what the service does, or by what the network does. Every kind is one that another stream cures.
 *
 * A fate is drawn for each connection from the seed. Its moment is exponential, so that streams die at any age: in the
 * handshake, within a replay, while the last results are waited for.
 */
import type { FaultAction } from '../../src/emulator/index.ts'
import type { ProxiedConnection } from '../support/fault-proxy.ts'

type Timed = (atSeconds: number) => FaultAction

function exception(name: string, message?: string): Timed {
  return atSeconds => ({
    do: 'exception',
    name,
    closeCode: 1000,
    atSeconds,
    ...(message === undefined ? {} : { message }),
  })
}

function close(code: number, reason = ''): Timed {
  return atSeconds => ({ do: 'close', code, reason, atSeconds })
}

/** By the service; `atSeconds` is a position of the audio that the stream gets. */
export const SERVICE_FATES: Readonly<Record<string, Timed>> = {
  'close 1000': close(1000, 'done'),
  'close 1000 as if complete': close(1000, 'Streaming completed successfully'),
  'close 1001': close(1001),
  'close 1009': close(1009),
  'close 1011': close(1011),
  'close 1012': close(1012),
  InternalFailureException: exception('InternalFailureException'),
  ServiceUnavailableException: exception('ServiceUnavailableException'),
  'an unknown exception': exception('BrandNewException', 'who knows'),
  'maximum duration': exception(
    'LimitExceededException',
    'The maximum stream duration of 4 hours is reached.',
  ),
  'expired credentials': exception(
    'BadRequestException',
    'The security token included in the request is expired',
  ),
  'no new audio': exception(
    'BadRequestException',
    'Your request timed out because no new audio was received for 15 seconds.',
  ),
  'a message of type error': atSeconds => ({
    do: 'errorMessage',
    code: 'InternalError',
    message: 'oh',
    atSeconds,
  }),
  garbage: atSeconds => ({ do: 'garbage', bytes: 64, atSeconds }),
  'bad prelude CRC': atSeconds => ({ do: 'badPreludeCrc', atSeconds }),
  'bad message CRC': atSeconds => ({ do: 'badMessageCrc', atSeconds }),
  'truncated message': atSeconds => ({ do: 'truncatedMessage', atSeconds }),
  'text frame': atSeconds => ({ do: 'textFrame', text: '{}', atSeconds }),
  'compressed frame': atSeconds => ({ do: 'compressedFrame', atSeconds }),
  'reset by the service': atSeconds => ({ do: 'reset', atSeconds }),
  'FIN by the service': atSeconds => ({ do: 'fin', atSeconds }),
  'stops reading': atSeconds => ({ do: 'stopReading', atSeconds }),
  'reset after results': atSeconds => ({ do: 'dropAfterResults', results: Math.ceil(atSeconds) }),
  // Instead of a stream
  refused: () => ({ do: 'refuse' }),
  'HTTP 500': () => ({ do: 'httpStatus', status: 500, headers: {}, body: '{}' }),
  'HTTP 503': () => ({ do: 'httpStatus', status: 503, headers: {}, body: '{}' }),
  'no answer to the handshake': () => ({ do: 'stallHandshake' }),
  'slow handshake': () => ({ do: 'slowHandshake', delayMs: 300 }),
}

/** Of those, the ones that leave no stream to die. */
export const HANDSHAKE_FATES: ReadonlySet<string> = new Set([
  'refused',
  'HTTP 500',
  'HTTP 503',
  'no answer to the handshake',
  'slow handshake',
])

/** By the network, in the middle of whatever is under way. */
export const NETWORK_FATES: Readonly<Record<string, (connection: ProxiedConnection) => void>> = {
  'network: reset': connection => connection.reset(),
  'network: FIN': connection => connection.fin(),
  'network: stall': connection => connection.stall(),
  'network: half-open': connection => connection.halfOpen(),
}

/** Ways in which a connection is bad from the beginning, and lives on. */
export const WEATHERS = [
  {},
  { latencyMs: 50, jitterMs: 40 },
  { sliceBytes: 3000 },
  { bytesPerSecond: 1_500_000, latencyMs: 10, jitterMs: 10 },
] as const

/** Moments of deaths: exponential around a mean. */
export function drawMoment(random: () => number, mean: number): number {
  return -Math.log(1 - random()) * mean
}
