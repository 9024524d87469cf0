/** The way to Amazon Transcribe, from the options of a relay. */
import type { Clock } from '../clock.ts'
import type { RelayOptions } from '../config/options.ts'
import type { Logger } from '../log.ts'
import { createDialLog } from '../log.ts'
import type { UpstreamDialer } from '../session/ports.ts'
import type { Endpoint } from '../transcribe/endpoints.ts'
import type { CredentialSource } from '../upstream/credentials.ts'
import type { DialMetrics } from '../upstream/dial.ts'
import { createDialer } from '../upstream/dial.ts'

export interface DialerParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly endpoint: Endpoint
  readonly credentials: CredentialSource
  readonly metrics: DialMetrics
  readonly random: () => number
  /** PEM; absent: what the system trusts. */
  readonly ca: string | undefined
}

export function createRelayDialer(
  options: RelayOptions,
  { ca, clock, credentials, endpoint, logger, metrics, random }: DialerParts,
): UpstreamDialer {
  return createDialer({
    clock,
    endpoint,
    credentials,
    metrics,
    random,
    ca,
    maxMessageBytes: options.upstreamMaxMessageBytes,
    log: createDialLog(logger),
    limits: {
      concurrentDials: options.upstreamConcurrentDials,
      dialAttempts: options.dialAttempts,
      dialBackoffMs: options.dialBackoffMs,
      dialDeadlineMs: options.dialDeadlineMs,
      connectTimeoutMs: options.connectTimeoutMs,
      closeTimeoutMs: options.upstreamCloseTimeoutMs,
      pingIntervalMs: options.upstreamPingIntervalMs,
      expiresSeconds: options.presignExpiresSeconds,
    },
  })
}
