/**
 * What a relay tells about itself once it has started.
 */
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { reachableHost } from '../server/address.ts'
import type { ClientServer, ListenAddress } from '../server/app.ts'
import { readOpenFileLimit } from '../server/file-limit.ts'
import type { Region } from '../upstream/regions.ts'
import { clientUrl } from './network.ts'

export interface RelayAddresses {
  readonly host: string
  readonly port: number
  readonly opsHost: string
  readonly opsPort: number
  /** `ws://host:port/v1/stream`, with TLS `wss:` */
  readonly url: string
  /** `http://host:port`, of `/livez`, `/readyz` and `/metrics` */
  readonly opsUrl: string
}

export function addressesOf(
  client: ListenAddress,
  operations: ListenAddress,
  options: RelayOptions,
): RelayAddresses {
  return {
    host: client.host,
    port: client.port,
    opsHost: operations.host,
    opsPort: operations.port,
    url: clientUrl(client, options),
    opsUrl: `http://${reachableHost(operations.host)}:${operations.port}`,
  }
}

export function logStart(
  logger: Logger,
  { opsUrl, url }: RelayAddresses,
  regions: readonly Region[],
  server: ClientServer,
): void {
  for (const { endpoint } of regions) {
    for (const warning of endpoint.warnings) logger.warn('endpoint', { warning })
  }
  logger.info('relay started', {
    listening: url,
    operations: opsUrl,
    region: regions.map(({ name }) => name).join(),
    upstream: regions.map(({ endpoint }) => endpoint.host).join(),
    native_build: nameOfBuild(server),
    open_file_limit: readOpenFileLimit(),
  })
}

export function nameOfBuild({ build }: ClientServer): string {
  return build === null ? 'unknown' : `${build.packageName}@${build.version}`
}
