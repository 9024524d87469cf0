/**
 * The part of the wiring that dials out: from the options to the regions, their credentials, quotas and breakers, and the
 * dialer above them.
 */
import type { Clock } from '../clock.ts'
import type { RegionOption } from '../config/definition.ts'
import type { RelayOptions } from '../config/options.ts'
import { RelayError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { createDialLog, createRegionLog } from '../log.ts'
import type { RelayMetrics } from '../metrics/registry.ts'
import type { Endpoint } from '../transcribe/endpoints.ts'
import { EndpointError, resolveEndpoint } from '../transcribe/endpoints.ts'
import type { AwsCredentials } from '../upstream/aws-credentials.ts'
import { ClockSkew } from '../upstream/clock-skew.ts'
import { createDialer } from '../upstream/dial.ts'
import { DialSlots } from '../upstream/dial-slots.ts'
import { createWriteMemory } from '../upstream/frame-writer.ts'
import { RegionDialer } from '../upstream/region-dialer.ts'
import { RegionDrains } from '../upstream/region-drains.ts'
import { RegionLine } from '../upstream/region-line.ts'
import type { Region } from '../upstream/regions.ts'
import { SharedQuota } from '../upstream/shared-quota.ts'
import { LocalQuota, shareOf } from '../upstream/stream-quota.ts'
import { badOption, findEndpoint } from './endpoint.ts'
import { RegionCredentials } from './region-credentials.ts'
import type { SharedState } from './shared-state.ts'

export interface UpstreamDependencies {
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: RelayMetrics
  readonly random: () => number
  readonly ca: string | undefined
  /** Fixed keys instead of the AWS credential chain. */
  readonly credentials: AwsCredentials | undefined
  /** Into how many parts the quotas are divided, of which this process takes one. */
  readonly shares: number
  /** `null`: this relay counts alone. */
  readonly shared: SharedState | null
}

export interface RelayUpstream {
  readonly dialer: RegionDialer
  /** To be started before the first session. */
  readonly drains: RegionDrains
  readonly credentials: RegionCredentials
  close(): void
}

/** In the order in which they are tried. @throws ConfigError naming the option. */
export async function findRegions(
  options: RelayOptions,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Region[]> {
  if (options.regions.length > 0) return options.regions.map(given => toRegion(given, options))
  const endpoint = await findEndpoint(options, env)
  return [{ name: endpoint.region, endpoint, quota: quotaOf({}, options), role: null }]
}

export function createUpstream(
  options: RelayOptions,
  regions: readonly Region[],
  deps: UpstreamDependencies,
): RelayUpstream {
  const { clock, logger, metrics } = deps
  const credentials = new RegionCredentials(options, regions, deps)
  const closers: (() => void)[] = []
  const log = createRegionLog(logger)
  const shared = {
    clock,
    metrics,
    random: deps.random,
    ca: deps.ca,
    clockSkew: new ClockSkew(),
    maxMessageBytes: options.upstreamMaxMessageBytes,
    log: createDialLog(logger),
    limits: dialLimits(options),
    slots: new DialSlots(options.upstreamConcurrentDials, metrics),
    writeMemory: createWriteMemory(),
  }
  const createQuota = ({ name, quota: size }: Region): LocalQuota | SharedQuota => {
    const isCounted = size.streams > 0 || size.startsPerSecond > 0
    if (deps.shared === null || !isCounted) return new LocalQuota(shareOf(size, deps.shares), clock)
    const quota = new SharedQuota({
      region: name,
      size,
      shares: deps.shares,
      store: deps.shared.leases,
      clock,
      leaseMs: options.redisLeaseMs,
      isOpenOnFailure: options.redisFailure === 'open',
    })
    closers.push(() => quota.close())
    deps.shared.onReady(() => void quota.refresh())
    return quota
  }
  const dialer = new RegionDialer({
    clock,
    metrics,
    limits: options,
    createLines: onRoom =>
      regions.map(
        region =>
          new RegionLine({
            name: region.name,
            clock,
            dialer: createDialer({
              ...shared,
              endpoint: region.endpoint,
              credentials: credentials.of(region),
            }),
            quota: createQuota(region),
            credentials: credentials.of(region),
            breaker: { failures: options.breakerFailures, openMs: options.breakerOpenMs },
            log,
            onRoom,
          }),
      ),
  })
  const drains = new RegionDrains({ regions: dialer, store: deps.shared?.drains ?? null, clock })
  deps.shared?.onReady(() => void drains.refresh())
  return {
    dialer,
    drains,
    credentials,
    close: () => {
      drains.close()
      dialer.close()
      credentials.close()
      for (const close of closers) close()
    },
  }
}

function toRegion(given: RegionOption, options: RelayOptions): Region {
  const { region, roleArn, roleExternalId } = given
  return {
    name: region,
    endpoint: endpointOf(given, options),
    quota: quotaOf(given, options),
    role: roleArn === undefined ? null : { arn: roleArn, externalId: roleExternalId ?? null },
  }
}

function endpointOf({ endpoint, region }: RegionOption, { dualStack, fips }: RelayOptions): Endpoint {
  try {
    return resolveEndpoint({ region, fips, dualStack, endpointOverride: endpoint ?? null })
  } catch (error) {
    if (error instanceof EndpointError) throw badOption('regions', error.value, `${region}: ${error.rule}`)
    throw error
  }
}

function quotaOf(
  { startsPerSecond, streams }: Pick<RegionOption, 'streams' | 'startsPerSecond'>,
  { handoverStreams, regionStartsPerSecond, regionStreams }: RelayOptions,
): Region['quota'] {
  return {
    streams: streams ?? regionStreams,
    startsPerSecond: startsPerSecond ?? regionStartsPerSecond,
    reservedStreams: handoverStreams,
  }
}

function dialLimits(options: RelayOptions) {
  return {
    dialAttempts: options.dialAttempts,
    dialBackoffMs: options.dialBackoffMs,
    dialDeadlineMs: options.dialDeadlineMs,
    connectTimeoutMs: options.connectTimeoutMs,
    closeTimeoutMs: options.upstreamCloseTimeoutMs,
    pingIntervalMs: options.upstreamPingIntervalMs,
    expiresSeconds: options.presignExpiresSeconds,
  }
}

/** Why no session may start now, as far as the way out is concerned; `null`: one may. */
export function refusalOfUpstream({ credentials, dialer }: RelayUpstream): RelayError | null {
  const { ready, reason } = credentials.readiness()
  return ready ? dialer.refusal() : new RelayError('not_ready', { detail: reason })
}
