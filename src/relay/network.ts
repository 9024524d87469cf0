/**
 * The part of the wiring between the options and the client port: TLS with what is told of it, and proxies.
 */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import { ConfigError } from '../config/problems.ts'
import type { Logger } from '../log.ts'
import { createTlsLog } from '../log.ts'
import { reachableHost } from '../server/address.ts'
import type { ListenAddress } from '../server/app.ts'
import { AuthFileError } from '../server/auth/watched-file.ts'
import type { ClientServerOptions } from '../server/options.ts'
import { STREAM_PATH } from '../server/handshake.ts'

export interface RelayNetwork {
  /** For the client port. */
  readonly server: Pick<ClientServerOptions, 'tls' | 'tlsLog' | 'proxies'>
  /** Of the certificate in use, ms since 1970; `null` without one. */
  certificateExpiresAtMs(): number | null
}

export function createNetwork(options: RelayOptions, clock: Clock, logger: Logger): RelayNetwork {
  const { proxyProtocol, tlsCertFile: certFile, tlsKeyFile: keyFile, trustedProxies } = options
  const log = createTlsLog(logger, clock)
  let expiresAtMs: number | null = null
  return {
    server: {
      tls:
        certFile === null || keyFile === null
          ? null
          : { certFile, keyFile, minVersion: options.tlsMinVersion },
      tlsLog: {
        certificateOnUse(facts) {
          ;({ expiresAtMs } = facts)
          log.certificateOnUse(facts)
        },
        certificateOnFailure: (file, error) => log.certificateOnFailure(file, error),
      },
      proxies: { trustedProxies, proxyProtocol },
    },
    certificateExpiresAtMs: () => expiresAtMs,
  }
}

/** Where clients connect. */
export function clientUrl({ host, port }: ListenAddress, { tlsCertFile }: RelayOptions): string {
  const scheme = tlsCertFile === null ? 'ws' : 'wss'
  return `${scheme}://${reachableHost(host)}:${port}${STREAM_PATH}`
}

/** A file that cannot be used at the start is a problem of the configuration. @throws ConfigError */
export async function asConfigProblem<Value>(start: () => Promise<Value>): Promise<Value> {
  try {
    return await start()
  } catch (error) {
    if (!(error instanceof AuthFileError)) throw error
    throw new ConfigError([{ path: error.path, value: null, rule: error.rule }])
  }
}
